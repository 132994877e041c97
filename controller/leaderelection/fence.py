"""The fence: no write leaves a process once another one may lead.

client-go has no counterpart. A process that is paused (SIGSTOP, a suspended machine) cannot notice
that its lease has expired before it runs again, and then any of its threads may run first. So every
thread checks the fence itself, right before it sends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from controller.errors import NotLeading

if TYPE_CHECKING:
    from controller.clock import Clock

CLOSED: Final = "not sent: the lease was not renewed in time, another process may lead"


class Fence:
    """Open until a point in time, which each renewal of the lease moves on. Closed at first.

    Safe to check from any thread. The elector alone opens and closes it.

    Args:
        clock: Must count the time for which the process or the machine was suspended, as
            `controller.clock.SystemClock` does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Monotonic seconds.
        self._open_until = -math.inf

    @property
    def remaining(self) -> float:
        """The seconds until it closes; 0.0 if it is closed."""
        return max(0.0, self._open_until - self._clock.monotonic())

    def open_until(self, at: float) -> None:
        """Open it until a time.

        Args:
            at: Monotonic seconds of the clock.
        """
        self._open_until = at

    def close(self) -> None:
        """Close it now."""
        self._open_until = -math.inf

    def check(self) -> None:
        """Return if it is open.

        Raises:
            NotLeading: It is closed.
        """
        if self._clock.monotonic() >= self._open_until:
            raise NotLeading(CLOSED)
