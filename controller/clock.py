"""Time as a dependency: the only module that reads or waits for the system's clock.

Everything that measures, waits or expires takes a `Clock`, so that a test moves time by hand
instead of sleeping. The linter bans the functions of `time` and `datetime` everywhere else.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Final, Protocol, Self

from attrs import evolve, frozen

from controller.stop import Stop


class Clock(Protocol):
    """What the runtime needs of time."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC: for what is shown or stored."""

    def monotonic(self) -> float:
        """Return seconds that never run backwards, from an arbitrary origin: for durations.

        The time for which the machine was suspended counts.
        """

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait as `condition.wait(timeout)` does; the caller holds the condition's lock.

        Args:
            condition: What to wait for. The wait may also end for no reason, so loop.
            timeout: Seconds, or None to wait until notified.

        Returns:
            False when the timeout has passed, True otherwise.
        """

    def wait_event(self, event: threading.Event, timeout: float | None) -> bool:
        """Wait as `event.wait(timeout)` does: a sleep that a stop event ends.

        Args:
            event: What ends the wait early.
            timeout: Seconds, or None to wait until the event is set.

        Returns:
            Whether the event is set.
        """


#: Counts while the machine is suspended. Linux has a clock of its own for that; the monotonic one
#: of others does so too (macOS), or is the best there is.
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the wall-clock time, aware and in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds since the start of the machine, whatever becomes of the wall clock.

        Not `time.monotonic`, which stands still with the machine: a leader that slept would take
        its lease for fresh.
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
    """The time allowed for a piece of work has passed."""


@frozen
class Deadline:
    """A point in time by which a piece of work must be done, and what may end it before.

    The counterpart of a Go context. Python cannot cancel a thread: whoever may block takes a
    deadline, derives its timeouts from `left`, and calls `check` between steps.

    A stop does not make the deadline pass: work that makes progress may use its time. It bounds
    each request: what hangs is cut (`controller.rest.transport`).

    Args:
        clock: The time.
        at: Monotonic seconds of `clock`.
        stop: Ends requests that hang; None if nothing does.
    """

    clock: Clock
    at: float
    stop: Stop | None = None

    @classmethod
    def after(cls, clock: Clock, seconds: float, *, stop: Stop | None = None) -> Self:
        """Return the deadline that lies `seconds` ahead."""
        return cls(clock, clock.monotonic() + seconds, stop)

    def within(self, seconds: float) -> Self:
        """Return the deadline that lies `seconds` ahead, or this one if it is earlier."""
        return evolve(self, at=min(self.at, self.clock.monotonic() + seconds))

    def remaining(self) -> float:
        """Return the seconds left, 0.0 when there are none."""
        return max(0.0, self.at - self.clock.monotonic())

    def left(self) -> float:
        """Return the seconds left, for a timeout: never 0.0, which to a socket is none.

        Raises:
            DeadlineExceeded: No time is left.
        """
        seconds = self.remaining()
        if not seconds:
            raise DeadlineExceeded(PASSED)
        return seconds

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.clock.monotonic() >= self.at

    def check(self) -> None:
        """Return while time is left.

        Raises:
            DeadlineExceeded: No time is left.
        """
        self.left()
