"""Turns: how many servers are replaced at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.controller import Request

DEFAULT_LIMIT = 5


class Turns:
    """Hands out a limited number of turns; an upgrade must not start a thousand pods at once."""

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        """Start with all turns free.

        Args:
            limit: How many may have a turn at the same time.
        """
        self._limit = limit
        self._lock = threading.Lock()
        # Invariant: at most `limit`.
        self._taken: set[Request] = set()

    def take(self, request: Request) -> bool:
        """Return whether a resource has a turn, or gets one now."""
        with self._lock:
            if request not in self._taken and len(self._taken) >= self._limit:
                return False
            self._taken.add(request)
            return True

    def give_back(self, request: Request) -> None:
        """Free the turn of a resource, if it has one."""
        with self._lock:
            self._taken.discard(request)
