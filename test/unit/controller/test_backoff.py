"""How long a reflector waits before it tries again."""

from controller.cache.backoff import Backoff, RetryWindow
from fakes.clock import FakeClock


def test_pauses_double_up_to_the_cap_and_start_over_after_two_quiet_minutes() -> None:
    clock = FakeClock()
    backoff = Backoff(clock, lambda low, _high: low)

    pauses = [backoff.next_pause() for _ in range(8)]
    clock.step(121)

    assert pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert backoff.next_pause() == 0.8


def test_pauses_are_spread_up_to_twice_their_length() -> None:
    assert Backoff(FakeClock(), lambda _low, high: high).next_pause() == 1.6


def test_a_retry_window_starts_over_after_a_quiet_minute() -> None:
    clock = FakeClock()
    window = RetryWindow(clock)

    answers = []
    for seconds in (0, 20, 20, 60):
        clock.step(seconds)
        answers.append(window.still_open())

    assert answers == [True, True, False, True]
