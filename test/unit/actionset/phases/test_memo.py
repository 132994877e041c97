"""What the next process is told of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from reconcilers.actionset.phases.memo import Memo

WHOLE = Memo("shop", "pod-a", "uid-a", attempt=1, first_line=5)


def test_it_is_read_as_it_was_stored() -> None:
    assert Memo.read(WHOLE.json()) == WHOLE


def test_nothing_is_stored_of_what_there_is_not() -> None:
    assert Memo().json() == {}
    assert Memo.read({}) == Memo()


@pytest.mark.parametrize(
    "memo",
    [
        pytest.param({**WHOLE.json(), "uid": None}, id="without its uid"),
        pytest.param({**WHOLE.json(), "pod": ""}, id="without its name"),
        pytest.param({**WHOLE.json(), "namespace": 5}, id="with a number for its namespace"),
    ],
)
def test_half_a_pod_is_none(memo: dict[str, Any]) -> None:
    """Somebody has changed it by hand: the pod is found by its name, as without a memo."""
    assert Memo.read(memo) == Memo(attempt=1, first_line=5)


def test_what_cannot_be_read_counts_as_not_there() -> None:
    memo = {**WHOLE.json(), "attempt": "x", "firstLine": "y"}

    assert Memo.read(memo) == Memo("shop", "pod-a", "uid-a")
