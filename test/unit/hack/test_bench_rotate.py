"""What is told of changed passwords."""

from __future__ import annotations

import pytest

from benchlib import rotate
from benchlib.figures import Spread


def test_the_worst_change_and_the_time_of_each_of_many_users_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = rotate.report(Spread.of([1.0, 2.0, 5.0]), 4.0, users=50)

    assert told["seconds"] == {"first": 1.0, "median": 2.0, "last": 5.0}
    assert told["milliseconds_per_user"] == 8.0
    assert "8.0 ms a user" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "within"),
    [
        pytest.param([0.5, 0.9, 2.9], True, id="less than a second, and three at worst"),
        pytest.param([0.5, 1.0, 2.9], False, id="a second at the median is too much"),
        pytest.param([0.5, 0.9, 3.0], False, id="so are three once"),
    ],
)
def test_the_median_and_the_worst_are_limited(seconds: list[float], *, within: bool) -> None:
    assert rotate.report(Spread.of(seconds), 1.0, users=1)["within_limits"] is within
