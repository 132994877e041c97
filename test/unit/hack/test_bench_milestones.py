"""When the events of a watch say that objects are Ready."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from benchlib.milestones import note

if TYPE_CHECKING:
    from collections.abc import Iterator


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
