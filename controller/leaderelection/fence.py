"""What keeps a process from writing once another one may be at work in its place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from controller.errors import NotLeading

if TYPE_CHECKING:
    from controller.clock import Clock

CLOSED: Final = "not sent: the lease was not renewed in time, another process may lead"


def always_open() -> None:
    """Let every request through: the fence of a process that has no rival."""


class Fence:
    """Lets requests through until a point in time that is moved on again and again.

    A process that is stopped (SIGSTOP, a paused machine) cannot notice that its time has passed
    before it runs again, and then any of its threads may be the first. So each one looks at the
    time itself, right before what it sends.
    """

    def __init__(self, clock: Clock) -> None:
        """Start closed.

        Args:
            clock: Must count the time for which the process or the machine was stopped.
        """
        self._clock = clock
        # Monotonic seconds; written by one thread, read by all.
        self._open_until = -math.inf

    @property
    def remaining(self) -> float:
        """The seconds until it closes; 0.0 if it is closed."""
        return max(0.0, self._open_until - self._clock.monotonic())

    def open_until(self, at: float) -> None:
        """Let requests through until a time, in monotonic seconds of the clock."""
        self._open_until = at

    def check(self) -> None:
        """Return while it is open.

        Raises:
            NotLeading: It is closed.
        """
        if self._clock.monotonic() >= self._open_until:
            raise NotLeading(CLOSED)
