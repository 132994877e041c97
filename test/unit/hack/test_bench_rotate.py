"""What is told of changed passwords."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchlib import rotate
from benchlib.figures import Spread

if TYPE_CHECKING:
    import pytest


def test_the_worst_change_and_the_time_of_each_of_many_users_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = rotate.report(Spread.of([1.0, 2.0, 5.0]), 4.0, users=50)

    assert told["seconds"] == {"first": 1.0, "median": 2.0, "last": 5.0}
    assert told["milliseconds_per_user"] == 8.0
    assert "8.0 ms a user" in capsys.readouterr().out
