"""The fence: a process sends no write once another one may lead.

client-go has no counterpart. A process that was paused (SIGSTOP, a suspended machine) cannot know
that its lease has expired until it runs again, and then any of its threads may run first. So each
thread checks the fence itself, right before it sends a write.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from controller.errors import NotLeading

if TYPE_CHECKING:
    from controller.clock import Clock

CLOSED: Final = "not sent: the lease was not renewed in time, another process may lead"


class Fence:
    """Open until a time, which each renewal of the lease moves on. Closed at first.

    Any thread may check it. The elector alone opens and closes it.

    Args:
        clock: The time. It must count while the process or the machine is suspended, as
            `controller.clock.SystemClock` does.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # When it closes, in monotonic seconds. A single reference, so it needs no lock.
        self._open_until = -math.inf

    @property
    def remaining(self) -> float:
        """Seconds until it closes; 0.0 if it is closed."""
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
