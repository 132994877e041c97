"""When the events of a watch say that objects are Ready."""

from __future__ import annotations

import itertools
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from benchlib.milestones import awaiting, note, reached, true_conditions
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from demolib.objects import Object


def event(name: str, **conditions: str) -> bytes:
    listed = [{"type": kind, "status": status} for kind, status in conditions.items()]
    obj = {"metadata": {"name": name}, "status": {"conditions": listed}}
    return json.dumps({"type": "MODIFIED", "object": obj}).encode()


def silent_after(*lines: bytes) -> Iterator[bytes]:
    yield from lines
    raise TimeoutError


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        pytest.param(
            [event("a", Ready="False"), event("a", Ready="True"), event("b", Ready="True")],
            {"Ready": {"a": 1.0, "b": 2.0}},
            id="each object when it first is Ready, not before",
        ),
        pytest.param(
            [event("a", Ready="True"), event("a", Ready="True"), event("b", Ready="True")],
            {"Ready": {"a": 0.0, "b": 2.0}},
            id="what is said again is no news",
        ),
        pytest.param(
            [event("a", Started="True", Ready="True"), event("b", Ready="True"), event("c")],
            {"Started": {"a": 0.0}, "Ready": {"a": 0.0, "b": 1.0}},
            id="other conditions as well, and nothing once all are Ready",
        ),
        pytest.param(
            [event("a"), b'{"type": "ADDED", "object": {"metadata": {"name": "b"}}}'],
            {"Ready": {}},
            id="an object without conditions is nowhere yet",
        ),
    ],
)
def test_conditions_are_noted_when_they_become_true(
    lines: list[bytes], seen: dict[str, dict[str, float]]
) -> None:
    ticks = itertools.count()

    assert note(lines, 2, lambda: float(next(ticks))) == seen


def test_a_watch_that_falls_silent_ends_the_wait() -> None:
    assert note(silent_after(event("a", Ready="True")), 2, lambda: 0.0) == {"Ready": {"a": 0.0}}


class Watched:
    """Stands for the API server: a watch with some events, which then is open until it is ended.

    Args:
        lines: The events.
        items: What there is when it is opened.
        silent: Whether nothing comes after the events for too long.
        later: What there is, and comes, after the API server has ended it.
    """

    def __init__(
        self,
        *lines: bytes,
        items: Sequence[Object] = (),
        silent: bool = False,
        later: Watched | None = None,
    ) -> None:
        self._lines = lines
        self._items = items
        self._silent = silent
        self._later = later
        self._is_over = False
        self._ended = threading.Event()
        self.asked = ""

    def get(self, path: str) -> Object:
        if self._is_over and self._later is not None:
            return self._later.get(path)
        return {"metadata": {"resourceVersion": "7"}, "items": self._items}

    @contextmanager
    def stream(self, path: str, timeout_seconds: float) -> Iterator[Watched]:
        if self._is_over and self._later is not None:
            with self._later.stream(path, timeout_seconds) as later:
                yield later
        else:
            self.asked = path
            yield self

    def __iter__(self) -> Iterator[bytes]:
        yield from self._lines
        if self._silent:
            raise TimeoutError
        self._is_over = True
        if self._later is None:
            assert self._ended.wait(10), "nobody has ended the watch"

    def end(self) -> None:
        self._ended.set()


READY: Object = json.loads(event("a", Ready="True"))


def is_ready(obj: Any) -> bool:
    return "Ready" in true_conditions(obj)


def test_what_is_to_follow_an_event_is_done_when_it_comes() -> None:
    proxy: Any = Watched(event("a", Ready="False"), event("a", Ready="True"))
    followed: list[str] = []

    with awaiting(
        proxy, "/pods", "side=a", is_ready, then=lambda: followed.append(proxy.asked)
    ) as wait:
        wait()

    assert followed == ["/pods?watch=true&labelSelector=side%3Da&resourceVersion=7"]


def test_a_watch_is_ended_with_the_body_whatever_it_was_waiting_for() -> None:
    proxy: Any = Watched(event("a", Ready="False"))

    with pytest.raises(ValueError, match="another fault"), awaiting(proxy, "/pods", "", is_ready):
        raise ValueError("another fault")


def test_a_watch_that_falls_silent_before_is_an_error() -> None:
    proxy: Any = Watched(event("a", Ready="False"), silent=True)

    with (
        awaiting(proxy, "/pods", "", is_ready) as wait,
        pytest.raises(ClusterError, match="none of the pods became what it should"),
    ):
        wait()


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(Watched(items=[READY["object"]]), id="by what there is then"),
        pytest.param(Watched(json.dumps(READY).encode()), id="by what comes then"),
    ],
)
def test_after_a_watch_that_the_api_server_ends_another_one_goes_on(later: Watched) -> None:
    proxy: Any = Watched(event("a", Ready="False"), later=later)

    with awaiting(proxy, "/pods", "", is_ready) as wait:
        assert wait() > 0


def state(name: str, state_: str) -> bytes:
    return json.dumps({"object": {"metadata": {"name": name}, "state": state_}}).encode()


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        pytest.param(
            [state("a", "runs"), state("a", "done"), state("a", "done"), state("b", "done")],
            {"a": 1.0, "b": 3.0},
            id="each object when it is first done",
        ),
        pytest.param(
            silent_after(state("a", "done")), {"a": 0.0}, id="what there is before a silence"
        ),
        pytest.param(
            [state("a", "done"), state("b", "done"), state("c", "done")],
            {"a": 0.0, "b": 1.0},
            id="no more than are wanted",
        ),
    ],
)
def test_objects_are_noted_when_they_are_done(
    lines: Iterable[bytes], seen: dict[str, float]
) -> None:
    now = itertools.count(0.0)

    found = reached(lines, lambda obj: obj["state"] == "done", 2, lambda: next(now))

    assert found == seen
