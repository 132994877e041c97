"""What is going to happen, by time."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from fakes.clock import FakeClock

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

#: Seconds by which sums of fractions may miss a time.
_ROUNDING = 1e-9


class Idle(Exception):
    """Somebody would wait.

    Attributes:
        seconds: For how long; None for ever.
    """

    def __init__(self, seconds: float | None) -> None:
        super().__init__(f"for {seconds} s")
        self.seconds = seconds


class SimulatedClock(FakeClock):
    """A clock for a single thread: who would wait for it is told so."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        raise Idle(timeout)


class Agenda:
    """Moves the clock from one thing that happens to the next."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        # By time, and by their order in time.
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Have something happen in a while; never at once, so that nothing happens twice over."""
        self._count += 1
        at = self._clock.monotonic() + seconds
        heapq.heappush(self._entries, (at, self._count, action))

    def next_in(self) -> float | None:
        """Return the seconds until the next thing happens; None if nothing will."""
        if not self._entries:
            return None
        return max(self._entries[0][0] - self._clock.monotonic(), 0.0)

    def advance(self, seconds: float) -> None:
        """Let time pass, and what falls into it happen."""
        end = self._clock.monotonic() + seconds
        while self._entries and self._entries[0][0] <= end + _ROUNDING:
            at, _, action = heapq.heappop(self._entries)
            self._step_to(at)
            action()
        self._step_to(end)

    def _step_to(self, at: float) -> None:
        # What has happened meanwhile may have taken time of its own.
        self._clock.step(max(at - self._clock.monotonic(), 0.0))
