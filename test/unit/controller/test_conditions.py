"""Conditions: what changes, and when it counts as a transition."""

from datetime import UTC, datetime

import pytest

from controller.conditions import get_condition, is_true, remove_condition, set_condition
from controller.resource import Object

THEN = "2026-01-01T00:00:00Z"
NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
NOW_TEXT = "2026-01-01T01:00:00Z"

READY: Object = {
    "type": "Ready",
    "status": "True",
    "reason": "Up",
    "message": "all is well",
    "observedGeneration": 1,
    "lastTransitionTime": THEN,
}
OTHER: Object = {"type": "Other", "status": "False"}


@pytest.mark.parametrize(
    ("before", "status", "time"),
    [
        pytest.param([READY], "True", THEN, id="the same status is no transition"),
        pytest.param([READY], "False", NOW_TEXT, id="another status is one"),
        pytest.param([], "True", NOW_TEXT, id="a new condition is one"),
        pytest.param(
            [{"type": "Ready", "status": "True"}],
            "True",
            NOW_TEXT,
            id="a condition without a time gets one",
        ),
    ],
)
def test_the_time_is_that_of_the_transition(
    before: list[dict[str, object]], status: str, time: str
) -> None:
    after = set_condition(before, "Ready", status, "New", "other words", generation=2, now=NOW)

    assert get_condition(after, "Ready") == {
        "type": "Ready",
        "status": status,
        "reason": "New",
        "message": "other words",
        "observedGeneration": 2,
        "lastTransitionTime": time,
    }


def test_order_and_input_stay_as_they_are() -> None:
    before = [READY, OTHER]

    after = set_condition(before, "Ready", "False", "Down", "", generation=1, now=NOW)

    assert [condition["type"] for condition in after] == ["Ready", "Other"]
    assert after[1] is OTHER
    assert before[0]["status"] == "True"


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        pytest.param([READY], True, id="True is true"),
        pytest.param([{"type": "Ready", "status": "Unknown"}], False, id="Unknown is not"),
        pytest.param([OTHER], False, id="nor is an absent one"),
    ],
)
def test_is_true(conditions: list[dict[str, object]], *, expected: bool) -> None:
    assert is_true(conditions, "Ready") is expected


def test_one_that_is_removed_leaves_the_others_in_their_order() -> None:
    conditions = [{"type": "A"}, {"type": "B"}, {"type": "C"}]

    assert remove_condition(conditions, "B") == [{"type": "A"}, {"type": "C"}]
    assert remove_condition(conditions, "D") == conditions
