"""How the figures of several rounds become one line each."""

from __future__ import annotations

import pytest

from benchlib.figures import Spread, columns, table


@pytest.mark.parametrize(
    ("seconds", "spread"),
    [
        pytest.param([2.0], Spread(2.0, 2.0, 2.0), id="one object is first and last"),
        pytest.param([3.0, 1.0, 2.0], Spread(1.0, 2.0, 3.0), id="in any order"),
        pytest.param([1.0, 2.0, 4.0, 9.0], Spread(1.0, 3.0, 9.0), id="the middle of two"),
    ],
)
def test_a_spread_has_the_first_the_median_and_the_last(
    seconds: list[float], spread: Spread
) -> None:
    assert Spread.of(seconds) == spread


def test_one_slow_round_does_not_count() -> None:
    rounds = [Spread(1.0, 2.0, 3.0), Spread(9.0, 9.0, 9.0), Spread(1.1, 2.1, 3.1)]

    assert Spread.typical(rounds) == Spread(1.1, 2.1, 3.1)


def test_a_table_lines_up() -> None:
    lines = table({"bare": Spread(1.0, 2.0, 13.456), "servers": Spread(1.0, 2.0, 3.0)}).splitlines()

    assert lines[1:] == [
        "bare         1.00     2.00    13.46",
        "servers      1.00     2.00     3.00",
    ]
    assert len(lines[0]) == len(lines[1])


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("all", ["1", "2.25"]), ("  of them", ["100", ""])]

    assert columns(["a", "b"], rows).splitlines() == [
        "             a     b",
        "all          1  2.25",
        "  of them  100",
    ]
