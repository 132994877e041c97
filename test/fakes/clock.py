"""A clock that only a test moves."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

#: Real seconds after which a test that waits for threads is stuck, not slow.
STUCK_AFTER = 60.0

#: Real seconds between looks at an event: an event can be waited for, but not together with the
#: fake time, and waking it through its own condition would mislead whoever else waits for it.
EVENT_POLL = 0.001


#: Real seconds that threads have to notice a step, of those that are made until something happens.
STEP_PAUSE = 0.005


class FakeClock:
    """Time that stands still until `step`, for `controller.clock.Clock`."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        # Guards all fields; notified whenever the number of waiters changes.
        self._changed = threading.Condition(threading.Lock())
        # One entry a thread inside `wait`: its condition and when it times out, None for never.
        self._conditions: list[tuple[threading.Condition, float | None]] = []
        # The same for the threads inside `wait_event`.
        self._events: list[float | None] = []
        # When each thread has looked at the clock last, unless it has waited since.
        self._looked = threading.local()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        with self._changed:
            self._looked.at = self._elapsed
            return self._elapsed

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait as `Clock` says; the timeout counts from when the thread has looked last.

        It has computed it from that. A step in between would be lost, and the thread wait for ever.
        """
        if timeout is not None and timeout > threading.TIMEOUT_MAX:
            # As `Condition.wait` does.
            raise OverflowError("timeout value is too large")
        with self._changed:
            looked = self._looked.__dict__.pop("at", self._elapsed)
            ends = None if timeout is None else looked + timeout
            if ends is not None and ends <= self._elapsed:
                return False
            entry = (condition, ends)
            self._conditions.append(entry)
            self._changed.notify_all()
        # The caller has held the condition's lock since before the entry was made, so neither a
        # notification nor a step, which takes that lock to notify, can slip in before this wait.
        try:
            condition.wait()
        finally:
            with self._changed:
                self._conditions.remove(entry)
                self._changed.notify_all()
        with self._changed:
            return ends is None or self._elapsed < ends

    def wait_event(self, event: threading.Event, timeout: float | None) -> bool:
        with self._changed:
            ends = None if timeout is None else self._elapsed + timeout
            self._events.append(ends)
            self._changed.notify_all()
        try:
            while ends is None or self.monotonic() < ends:
                if event.wait(EVENT_POLL):
                    return True
            return event.is_set()
        finally:
            with self._changed:
                self._events.remove(ends)
                self._changed.notify_all()

    def step(self, seconds: float) -> None:
        """Move time forward and wake the waits that it ends."""
        with self._changed:
            self._elapsed += seconds
            due = {
                condition
                for condition, ends in self._conditions
                if ends is not None and ends <= self._elapsed
            }
        for condition in due:
            with condition:
                condition.notify_all()

    def step_until(self, done: Callable[[], bool], seconds: float = 1.0) -> None:
        """Move time forward, step by step, until something has come of it."""
        for _ in range(int(STUCK_AFTER / STEP_PAUSE)):
            if done():
                return
            self.step(seconds)
            threading.Event().wait(STEP_PAUSE)
        raise AssertionError("nothing came of the time that passed")

    def block_until_waiters(self, count: int) -> None:
        """Return once at least `count` threads wait for this clock, with or without a timeout.

        One whose time has come, and that has not noticed yet, does not count.
        """
        with self._changed:
            reached = self._changed.wait_for(lambda: self._waiters() >= count, STUCK_AFTER)
            assert reached, f"{self._waiters()} threads wait for the clock, expected {count}"

    def _waiters(self) -> int:
        all_ends = [ends for _, ends in self._conditions] + self._events
        return sum(ends is None or ends > self._elapsed for ends in all_ends)


class InstantClock(FakeClock):
    """A clock that jumps over each pause and notes how long it was."""

    def __init__(self) -> None:
        super().__init__()
        self._paused = threading.Condition()
        self.pauses: list[float] = []

    def wait_event(self, event: threading.Event, timeout: float | None) -> bool:
        assert timeout is not None
        with self._paused:
            self.pauses.append(timeout)
            self._paused.notify_all()
        self.step(timeout)
        return event.is_set()

    def wait_for_pauses(self, count: int) -> None:
        with self._paused:
            assert self._paused.wait_for(lambda: len(self.pauses) >= count, STUCK_AFTER)
