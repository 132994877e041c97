"""When what fails in a server is tried again."""

from __future__ import annotations

import pytest

from reconcilers.repositoryserver.rollout import retry


@pytest.mark.parametrize(
    ("failing", "pause"),
    [
        pytest.param(0.0, 5.0, id="the second try comes soon"),
        pytest.param(50.0, 5.0, id="as long as a tenth of the time is no longer"),
        pytest.param(51.0, 5.1, id="then a tenth passes"),
        pytest.param(600.0, 60.0, id="up to a minute"),
        pytest.param(86400.0, 60.0, id="who mends it after a day waits no longer"),
        pytest.param(-3600.0, 5.0, id="a clock that was set back makes no pause shorter"),
    ],
)
def test_a_tenth_of_the_time_passes_between_two_tries(failing: float, pause: float) -> None:
    assert retry.pause(failing) == pytest.approx(pause)


def test_what_is_about_to_come_may_be_asked_for_sooner() -> None:
    assert retry.pause(0.0, shortest=1.0) == 1.0
    assert retry.pause(30.0, shortest=1.0) == 3.0
