"""What is kept of running phases survives its annotation, and what others make of that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilers.actionset import memo
from reconcilers.actionset.memo import ARTIFACTS, DEFER, Entry, Memos, Position

NOW = datetime(2026, 1, 1, tzinfo=UTC)

times = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 - made UTC
    lambda when: when.replace(microsecond=0, tzinfo=UTC)
)
positions = st.builds(
    Position, st.integers(0, 50), st.integers(0, 50) | st.sampled_from([DEFER, ARTIFACTS])
)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
entries = st.builds(
    Entry,
    started_at=times,
    memo=st.dictionaries(st.text(), json, max_size=3),
    refused_since=st.none() | times,
    away_since=st.none() | times,
    cancelled=st.booleans(),
    over=st.sampled_from(["", "complete", "failed"]),
)


@given(st.dictionaries(positions, entries, max_size=5))
def test_what_is_written_is_read(content: dict[Position, Entry]) -> None:
    assert memo.parse(memo.render(Memos(content)) or "") == Memos(content)


def test_no_entry_is_no_annotation() -> None:
    assert memo.render(Memos()) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no JSON",
        "[]",
        '{"0/x": {}}',
        '{"0/1": {}}',
        '{"0/1": {"startedAt": "today"}}',
        '{"0/1": 3}',
        '{"x": {"startedAt": "2026-01-01T00:00:00Z"}}',
    ],
)
def test_what_another_hand_has_broken_counts_as_not_there(text: str) -> None:
    assert memo.parse(text) == Memos()


def test_a_phase_that_has_ended_is_no_longer_refused_and_is_left_to_be_released() -> None:
    at = Position(1, 0)
    memos = Memos({at: Entry(NOW, {"pod": "x"}, refused_since=NOW, away_since=NOW)}).ended(
        at, "failed"
    )

    assert memos.over() == [(at, Entry(NOW, {"pod": "x"}, over="failed"))]
    assert memos.without(at) == Memos()
    assert memos.ended(Position(0, 0), "failed") == memos, "one without an entry has nothing left"
