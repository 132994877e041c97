"""The status document: its invariants hold whatever happens in whatever order."""

from __future__ import annotations

import copy
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.actionsets import action, phase
from reconcilers.actionset.api import State
from reconcilers.actionset.blueprint import parse_action
from reconcilers.actionset.function import Complete, Failed, Progress
from reconcilers.actionset.memo import DEFER, Position
from reconcilers.actionset.status import document
from reconcilers.actionset.status.invariants import violations
from reconcilers.actionset.status.summary import running_phase

if TYPE_CHECKING:
    from controller.resource import Object
    from reconcilers.actionset.blueprint import BlueprintAction

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = Position(0, 0)


def planned(phases: int = 2, *, defer: bool = False) -> BlueprintAction:
    written: dict[str, Any] = {"phases": [phase(f"p{n}") for n in range(phases)]}
    if defer:
        written["deferPhase"] = phase("last")
    return parse_action(written, blueprint="db", action="backup")


def begun(*plans: BlueprintAction) -> Object:
    return document.begun(document.initial([(action(), plan) for plan in plans], now=NOW), now=NOW)


plans_of_actions = st.lists(
    st.builds(planned, st.integers(1, 3), defer=st.booleans()), min_size=1, max_size=3
)
EVENTS = ("succeeds", "fails", "runs", "progresses")
events = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(EVENTS), st.integers(0, 100)), max_size=20
)


def happens(status: Object, at: Position, event: str, percents: int, now: datetime) -> Object:
    if event == "succeeds":
        return document.phase_complete(status, at, Complete({"o": 1}), now=now)
    if event == "fails":
        return document.phase_failed(status, at, Failed("no room"), now=now)
    progress = Progress(percents) if event == "progresses" else None
    return document.phase_running(status, at, progress=progress, now=now)


@pytest.mark.parametrize("event", EVENTS)
def test_what_becomes_of_one_action_copies_no_other(event: str) -> None:
    """There may be hundreds, and each has its turn in every reconcile."""
    before = begun(planned(), planned())
    kept = copy.deepcopy(before)

    after = happens(before, FIRST, event, 50, NOW)

    assert after["actions"][1] is before["actions"][1]
    assert before == kept


@given(plans_of_actions, events)
@settings(max_examples=300)
def test_whatever_phases_do_the_invariants_hold_and_all_come_to_an_end(
    plans: list[BlueprintAction], happening: list[tuple[int, str, int]]
) -> None:
    status, now = begun(*plans), NOW
    # What is still open in the end succeeds.
    for action_index, event, percents in itertools.chain(
        happening, itertools.repeat((0, "succeeds", 0))
    ):
        due = [document.due_phase(status, index) for index in range(len(plans))]
        still_due = [position for position in due if position is not None]
        if not still_due:
            break
        now += timedelta(seconds=1)
        position = still_due[action_index % len(still_due)]
        before = copy.deepcopy(status)
        after = happens(status, position, event, percents, now)
        assert status == before, "the document that was given is left alone"
        assert violations(after, actions=len(plans)) == []
        assert after["state"] == State.RUNNING
        status = after
    status = document.ended(status, now=now)

    assert violations(status, actions=len(plans)) == []
    has_failed = any("failed" in str(one) for one in status["actions"])
    assert status["state"] == (State.FAILED if has_failed else State.COMPLETE)
    assert status["progress"]["runningPhase"] == ""
    if not has_failed:
        assert status["progress"]["percentCompleted"] == "100"


@pytest.mark.parametrize(
    ("change", "violation"),
    [
        pytest.param({"state": "done"}, "the ActionSet has the unknown state done", id="a state"),
        pytest.param({"actions": []}, "the status has 0 actions, the spec has 1", id="actions"),
        pytest.param(
            {"state": "failed"}, "the state is failed without an error", id="an error is missing"
        ),
        pytest.param(
            {"state": "complete"},
            "the state is complete, but action 0 has a phase that is not",
            id="complete too early",
        ),
        pytest.param(
            {"state": "failed", "error": {"message": "x"}},
            "the state is failed, but action 0 has a phase that is not over",
            id="failed too early",
        ),
    ],
)
def test_what_the_invariants_find(change: Object, violation: str) -> None:
    assert violation in violations({**begun(planned()), **change}, actions=1)


def test_a_phase_that_runs_after_one_that_has_not_ended_is_found() -> None:
    status = begun(planned())
    status["actions"][0]["phases"][1]["state"] = "running"

    assert violations(status, actions=1) == [
        "action 0: a phase after one that is not complete is not pending"
    ]


def test_the_time_of_the_last_transition_changes_only_with_the_progress() -> None:
    later, last = NOW + timedelta(seconds=9), "2026-01-01T00:00:00Z"
    status = document.phase_running(begun(planned()), FIRST, progress=Progress(5), now=NOW)

    same = document.phase_running(status, FIRST, progress=Progress(5), now=later)
    more = document.phase_running(status, FIRST, progress=Progress(15), now=later)

    assert same["progress"]["lastTransitionTime"] == last
    assert more["progress"]["lastTransitionTime"] == "2026-01-01T00:00:09Z"


def test_sizes_of_all_phases_are_added_up_and_the_time_left_goes_at_the_end() -> None:
    status = begun(planned(), planned())
    progress = Progress(50, {"sizeUploadedB": 7, "estimatedUploadSizeB": 14}, seconds_left=3)
    for index in range(2):
        status = document.phase_running(status, Position(index, 0), progress=progress, now=NOW)
    running = status["actions"][0]["phases"][0]["progress"]
    done = document.phase_complete(status, FIRST, Complete(), now=NOW)

    assert (running["estimatedTimeSeconds"], running["sizeUploadedB"]) == (3, 7)
    assert status["progress"] == {
        "runningPhase": "p0",
        "percentCompleted": "25",
        "sizeUploadedB": 14,
        "estimatedUploadSizeB": 28,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    assert done["actions"][0]["phases"][0]["progress"] == {
        "progressPercent": "100",
        "sizeUploadedB": 7,
        "estimatedUploadSizeB": 14,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_all_phases_that_run_are_listed_the_defer_phase_among_them() -> None:
    status = begun(planned(1, defer=True), planned())
    status = document.phase_failed(status, FIRST, Failed("x"), now=NOW)
    for position in (Position(0, DEFER), Position(1, 0)):
        status = document.phase_running(status, position, progress=None, now=NOW)

    assert running_phase(status) == "last, p0"


def test_outputs_of_a_phase_that_has_failed_are_kept_where_its_function_says_so() -> None:
    status = document.phase_failed(begun(planned()), FIRST, Failed("x", {"done": "a"}), now=NOW)

    assert document.phase_at(status, FIRST)["output"] == {"done": "a"}


def test_an_error_has_a_limit_and_says_where_it_was_cut() -> None:
    status = document.phase_failed(begun(planned()), FIRST, Failed("ä" * 9000), now=NOW)

    message = status["error"]["message"]
    assert len(message.encode()) <= document.MAX_MESSAGE_BYTES
    assert message.endswith("ä …")


def test_templates_of_an_action_that_has_failed_are_no_artifacts() -> None:
    written = {"phases": [phase("a")], "outputArtifacts": {"x": {"kopiaSnapshot": "{{ t }}"}}}
    plan = parse_action(written, blueprint="db", action="backup")
    status = document.phase_failed(begun(plan), FIRST, Failed("x"), now=NOW)

    assert "artifacts" in status["actions"][0]
    assert "artifacts" not in document.ended(status, now=NOW)["actions"][0]
