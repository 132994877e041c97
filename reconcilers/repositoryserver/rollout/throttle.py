"""Turns: how many servers are replaced at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.reconcile import Request

DEFAULT_LIMIT = 5

# Longer than a server takes to open a large repository; one that hangs must not stop all others.
EXPIRY_SECONDS = 600.0

# A turn that becomes free wakes nobody. Who waits asks again, the more wait the less often, so that
# all of them together ask fifty times a second at most.
MIN_PAUSE_SECONDS = 2.0
MAX_PAUSE_SECONDS = 60.0
_ASKS_A_SECOND = 50


class Turns:
    """Hands out a limited number of turns; an upgrade must not start a thousand pods at once."""

    def __init__(self, limit: int = DEFAULT_LIMIT, *, clock: Clock) -> None:
        """Start with all turns free.

        Args:
            limit: How many may have a turn at the same time.
            clock: The time.
        """
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        # When each turn began, in monotonic seconds. Invariant: at most `limit`.
        self._taken: dict[Request, float] = {}
        # Invariant: nobody waits who has a turn.
        self._waiting: set[Request] = set()

    def take(self, request: Request) -> bool:
        """Return whether a resource has a turn, or gets one now."""
        with self._lock:
            now = self._clock.monotonic()
            for holder, since in list(self._taken.items()):
                if now - since >= EXPIRY_SECONDS:
                    del self._taken[holder]
            if request not in self._taken and len(self._taken) >= self._limit:
                self._waiting.add(request)
                return False
            self._waiting.discard(request)
            self._taken.setdefault(request, now)
            return True

    def pause(self) -> float:
        """Return the seconds after which one that got no turn is to ask again."""
        with self._lock:
            wanted = len(self._waiting) / _ASKS_A_SECOND
        return min(max(wanted, MIN_PAUSE_SECONDS), MAX_PAUSE_SECONDS)

    def give_back(self, request: Request) -> None:
        """Free the turn of a resource, or its place among those that wait, if it has one."""
        with self._lock:
            self._taken.pop(request, None)
            self._waiting.discard(request)
