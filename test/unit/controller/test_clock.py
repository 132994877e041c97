"""What a clock promises: the system's, and the fake one of the tests."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from controller.clock import Clock, Deadline, DeadlineExceeded, SystemClock
from fakes.clock import STUCK_AFTER, FakeClock


@pytest.fixture(params=[SystemClock, FakeClock], ids=["the system's", "the fake"])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_wall_time_is_aware_and_in_utc(clock: Clock) -> None:
    assert clock.now().tzinfo is UTC


def test_monotonic_time_never_runs_backwards(clock: Clock) -> None:
    first = clock.monotonic()

    assert clock.monotonic() >= first


def test_a_wait_without_time_to_wait_returns_false_at_once(clock: Clock) -> None:
    condition = threading.Condition()

    with condition:
        assert clock.wait(condition, 0) is False
    assert clock.wait_event(threading.Event(), 0) is False


def test_an_event_that_is_set_ends_the_wait_at_once(clock: Clock) -> None:
    event = threading.Event()
    event.set()

    assert clock.wait_event(event, 3600) is True


def test_a_notification_ends_a_wait_before_its_timeout(clock: Clock) -> None:
    condition = threading.Condition()
    waiting = threading.Event()

    def wait() -> bool:
        with condition:
            waiting.set()
            return clock.wait(condition, 3600)

    with ThreadPoolExecutor() as pool:
        result = pool.submit(wait)
        waiting.wait()
        with condition:
            condition.notify_all()

        assert result.result(timeout=STUCK_AFTER) is True


class TestFakeClock:
    def test_starts_where_told_and_moves_only_by_step(self) -> None:
        clock = FakeClock(datetime(2026, 5, 1, 12, 0, tzinfo=UTC))

        clock.step(90)

        assert clock.now() == datetime(2026, 5, 1, 12, 1, 30, tzinfo=UTC)
        assert clock.monotonic() == 90

    def test_a_step_ends_the_waits_that_are_due_and_no_other(self) -> None:
        clock = FakeClock()
        condition = threading.Condition()

        def wait(timeout: float | None) -> bool:
            with condition:
                return clock.wait(condition, timeout)

        with ThreadPoolExecutor() as pool:
            short = pool.submit(wait, 10)
            clock.block_until_waiters(1)
            clock.step(9.5)
            assert not short.done()

            clock.step(0.5)
            assert short.result(timeout=STUCK_AFTER) is False

    def test_a_step_between_a_look_and_the_wait_that_it_was_for_is_not_lost(self) -> None:
        clock, condition = FakeClock(), threading.Condition()
        ended: list[bool] = []

        def wait() -> None:
            with condition:
                left = 10 - clock.monotonic()
                clock.step(10)
                ended.append(clock.wait(condition, left))

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        thread.join(STUCK_AFTER)

        assert ended == [False]

    def test_a_step_ends_the_wait_for_an_event(self) -> None:
        clock = FakeClock()
        event = threading.Event()

        with ThreadPoolExecutor() as pool:
            timed = pool.submit(clock.wait_event, event, 10)
            endless = pool.submit(clock.wait_event, event, None)
            clock.block_until_waiters(2)
            clock.step(10)
            assert timed.result(timeout=STUCK_AFTER) is False
            assert not endless.done()

            event.set()
            assert endless.result(timeout=STUCK_AFTER) is True


class TestDeadline:
    def test_counts_down_to_zero_and_not_below(self) -> None:
        clock = FakeClock()
        deadline = Deadline.after(clock, 30)

        clock.step(10)
        assert deadline.remaining() == 20
        assert not deadline.expired
        clock.step(40)
        assert deadline.remaining() == 0
        assert deadline.expired

    def test_check_raises_only_once_the_time_has_passed(self) -> None:
        clock = FakeClock()
        deadline = Deadline.after(clock, 1)

        deadline.check()
        clock.step(1)
        with pytest.raises(DeadlineExceeded):
            deadline.check()


@pytest.mark.parametrize(
    ("seconds", "remaining"),
    [
        pytest.param(3.0, 3.0, id="a part of the time"),
        pytest.param(30.0, 10.0, id="never more than there is"),
    ],
)
def test_a_part_of_a_deadline(seconds: float, remaining: float) -> None:
    clock = FakeClock()

    assert Deadline.after(clock, 10.0).within(seconds).remaining() == remaining
