"""A phase with a pod for each of several pods of the workload."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field

from controller.clock import Deadline
from controller.errors import Forbidden
from controller.reconcile import Request
from fakes.clock import FakeClock
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.function import Complete, Failed, PhaseRun, Progress, Running, Step
from reconcilers.actionset.functions import parts
from reconcilers.actionset.functions.parts import Ended
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def run() -> PhaseRun:
    """Return the run of a phase with three parts, none of them begun."""
    started = PhaseRun(
        request=Request("ns", "set"),
        action_set={"metadata": {"uid": "uid", "name": "set", "namespace": "ns"}},
        action=Action(0, "backup", "blueprint", ObjectReference("db")),
        phase="backup",
        deferred=False,
        parameters={},
        memo={},
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        repeatable=False,
        keep_failed_pod=False,
        deadline=Deadline.after(FakeClock(), 10),
    )
    return evolve(started, memo=memo_of(parts.begin(["a", "b", "c"])))


@define
class Parts:
    """Parts that go the way a test says."""

    steps: Mapping[str, Step | Exception] = field(factory=dict)
    asked: list[tuple[str, Mapping[str, Any]]] = field(factory=list)

    def __call__(self, run: PhaseRun, name: str) -> Step:
        """Advance one."""
        self.asked.append((name, run.memo))
        step = self.steps.get(name, Running(memo={"pod": name}))
        if isinstance(step, Exception):
            raise step
        return step


def memo_of(step: object) -> Mapping[str, Any]:
    assert isinstance(step, Running)
    assert step.memo is not None
    return step.memo


def test_which_parts_there_are_is_stored_first() -> None:
    assert parts.begin(["b", "a", "b"]) == Running(memo={"names": ["b", "a"], "parts": {}})


def test_too_many_parts_are_refused() -> None:
    with pytest.raises(InvalidInput, match="201 pods are more than 200"):
        parts.begin([f"p{number}" for number in range(201)])


def test_so_many_are_begun_at_a_time(run: PhaseRun) -> None:
    one = Parts()

    step = parts.advance(run, one, limit=2)

    assert one.asked == [("a", {}), ("b", {})]
    assert memo_of(step)["parts"] == {"a": {"memo": {"pod": "a"}}, "b": {"memo": {"pod": "b"}}}


def test_a_later_process_goes_on_where_it_was(run: PhaseRun) -> None:
    stored = evolve(run, memo=memo_of(parts.advance(run, Parts(), limit=2)))
    one = Parts({"a": Complete({"id": "1"})})

    step = parts.advance(stored, one, limit=2)

    assert one.asked == [("a", {"pod": "a"}), ("b", {"pod": "b"})]
    assert memo_of(step)["parts"]["a"] == {"outputs": {"id": "1"}}
    assert isinstance(step, Running)
    assert step.progress == Progress(33)


def test_how_far_all_are_is_the_average(run: PhaseRun) -> None:
    one = Parts(
        {"a": Complete({}), "b": Running(memo={}, progress=Progress(50)), "c": Running(memo={})}
    )

    step = parts.advance(run, one, limit=3)

    assert isinstance(step, Running)
    assert step.progress == Progress(50)


def test_what_is_over_is_not_asked_again_and_makes_room(run: PhaseRun) -> None:
    after = {"a": {"outputs": {}}, "b": {"memo": {"pod": "b"}}}
    one = Parts()

    step = parts.advance(evolve(run, memo={**run.memo, "parts": after}), one, limit=2)

    assert one.asked == [("b", {"pod": "b"}), ("c", {})]
    assert memo_of(step)["parts"]["c"] == {"memo": {"pod": "c"}}


def test_what_does_not_change_is_not_stored_again(run: PhaseRun) -> None:
    one = Parts({name: Running(waits_for=f"x{name}", again_after=5) for name in "abc"})
    stored = evolve(run, memo=memo_of(parts.advance(run, one, limit=2)))

    step = parts.advance(stored, one, limit=2)

    assert step == Running(waits_for="a: xa; b: xb", progress=Progress(0), again_after=5)


def test_all_have_succeeded(run: PhaseRun) -> None:
    one = Parts({name: Complete({"id": name}) for name in "abc"})

    assert parts.advance(run, one, limit=5) == Ended({name: {"id": name} for name in "abc"})


def test_one_that_fails_leaves_the_others_alone(run: PhaseRun) -> None:
    one = Parts(
        {"a": Failed("no space"), "b": Complete({"id": "b"}), "c": InvalidInput("R", "no claim")}
    )

    ended = parts.advance(run, one, limit=5)

    assert isinstance(ended, Ended)
    assert ended.done == {"b": {"id": "b"}}
    assert ended.message == "failed for a, c (a: no space; c: no claim); done for b"


def test_one_that_cannot_be_asked_holds_up_no_other(run: PhaseRun) -> None:
    """A quota that has no room for its pod: what the others have done would be lost with it."""
    refused = Forbidden(403, "Forbidden", "exceeded quota")
    one = Parts({"a": Complete({"id": "a"}), "b": refused, "c": Complete({"id": "c"})})

    step = parts.advance(run, one, limit=5)
    stored = evolve(run, memo=memo_of(step))

    assert parts.done(stored) == {"a": {"id": "a"}, "c": {"id": "c"}}
    with pytest.raises(Forbidden):
        parts.advance(stored, one, limit=5)


def test_a_cancel_ends_every_part_one_after_another(run: PhaseRun) -> None:
    stored = evolve(run, memo={**run.memo, "parts": {"a": {"memo": {"pod": "a"}}}})
    one = Parts({"a": Failed("gone"), "b": Running(waits_for="its end"), "c": Failed("gone")})

    assert parts.cancel(stored, one) == Running(waits_for="its end")
    # `b` may have been begun by a process that could not store it.
    assert one.asked == [("a", {"pod": "a"}), ("b", {})]
    assert parts.cancel(stored, Parts({name: Failed("gone") for name in "abc"})) == Failed("gone")


def test_a_cancel_before_anything_was_begun_ends_nothing(run: PhaseRun) -> None:
    assert parts.cancel(evolve(run, memo={}), Parts()) is None
