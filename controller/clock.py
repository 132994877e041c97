"""Time as a dependency. Only this module reads the system's clock or waits for it.

Everything that measures, waits or expires takes a `Clock`, as in k8s.io/utils/clock. A test then
moves time by hand and does not sleep. The linter bans the functions of `time` and `datetime`
everywhere else.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Final, Protocol, Self

from attrs import evolve, frozen

from controller.stop import Stop


class Clock(Protocol):
    """The time, as the runtime reads it and waits for it."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC, with its time zone. Use it for what people read."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary origin. They never run backwards. Use it for durations.

        Time for which the machine was suspended counts.
        """

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait as `condition.wait(timeout)` does; the caller holds the condition's lock.

        Args:
            condition: What to wait for. The wait may end without a notification: call it in a
                loop.
            timeout: Seconds; None to wait until notified.

        Returns:
            False if the timeout has passed, True otherwise.
        """

    def wait_event(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait as `event.wait(timeout)` does: sleep, unless the event is set.

        Args:
            event: Ends the wait early, a `Stop` for example.
            timeout: Seconds; None to wait until the event is set.

        Returns:
            Whether the event is set.
        """


#: A clock that counts while the machine is suspended. Linux has one of its own for that. On macOS
#: the monotonic clock is one, and on other systems it is the best there is.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The time of the machine."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC, with its time zone."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since the machine started. Changes of the wall clock do not matter.

        `time.monotonic` stops while the machine is suspended. With it a leader would find its lease
        valid after a suspension in which the lease has expired.
        """
        return time.clock_gettime(_CLOCK)

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait for a notification, for at most `timeout` seconds."""
        return condition.wait(timeout)

    def wait_event(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait for the event to be set, for at most `timeout` seconds."""
        return event.wait(timeout)


PASSED: Final = "the deadline has passed"


class DeadlineExceeded(TimeoutError):
    """No time is left for a piece of work."""


@frozen
class Deadline:
    """The time by which a piece of work must be done, and the stop that may end it earlier.

    The counterpart of a Go context. Python cannot cancel a thread. Code that may block takes a
    deadline, derives its timeouts from `left`, and calls `check` between two steps.

    A stop does not expire the deadline: work that makes progress may use its time. The stop bounds
    each request: one that hangs is cut (`controller.rest.transport`).

    Args:
        clock: The time.
        at: When the time is over, in monotonic seconds of `clock`.
        stop: Ends requests that hang. Default: None, nothing ends them early.
    """

    clock: Clock
    at: float
    stop: Stop | None = None

    @classmethod
    def after(cls, clock: Clock, seconds: float, *, stop: Stop | None = None) -> Self:
        """Return a deadline that lies `seconds` ahead.

        Args:
            clock: The time.
            seconds: From now.
            stop: See the class.
        """
        return cls(clock, clock.monotonic() + seconds, stop)

    def within(self, seconds: float) -> Self:
        """Return the deadline that lies `seconds` ahead, at most this one.

        The counterpart of `context.WithTimeout`. The stop stays the same.
        """
        return evolve(self, at=min(self.at, self.clock.monotonic() + seconds))

    def remaining(self) -> float:
        """Return the seconds that are left, 0.0 if none are."""
        return max(0.0, self.at - self.clock.monotonic())

    def left(self) -> float:
        """Return the seconds that are left, for a timeout. Never 0.0: a socket reads that as none.

        Raises:
            DeadlineExceeded: No time is left.
        """
        seconds = self.remaining()
        if not seconds:
            raise DeadlineExceeded(PASSED)
        return seconds

    @property
    def expired(self) -> bool:
        """True if no time is left."""
        return self.clock.monotonic() >= self.at

    def check(self) -> None:
        """Return if time is left.

        Raises:
            DeadlineExceeded: No time is left.
        """
        self.left()
