"""Rollout slots: how many servers are replaced at the same time, and whether any is begun.

An upgrade to an image that does not work must not reach every server: after as many failures in a
row as there are slots none is begun.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.clock import Clock
    from controller.reconcile import Request

DEFAULT_LIMIT: Final = 5

#: Longer than a server takes to open a large repository; one that hangs must not stop all others.
#: It counts as failed.
EXPIRY_SECONDS: Final = 600.0

#: A slot that becomes free wakes nobody. Who waits asks again, the more wait the less often:
#: all of them together ask fifty times a second at most.
MIN_PAUSE_SECONDS: Final = 2.0
MAX_PAUSE_SECONDS: Final = 60.0
_ASKS_A_SECOND: Final = 50

WAITING: Final = "waiting until fewer servers are being replaced at the same time"
HELD_BACK: Final = (
    "no replacement is begun, because the last {count} in a row have failed ({names}): this one is "
    "when one of them succeeds, or when its own inputs change again"
)
#: How many of those are named.
_NAMED: Final = 5


@frozen
class _Slot:
    """A replacement under way.

    Args:
        hash: Of the new revision.
        since: When it began, in monotonic seconds.
    """

    hash: str
    since: float


class RolloutSlots:
    """Hands out a limited number of slots; an upgrade must not start a thousand pods at once.

    Args:
        limit: How many may have a slot at the same time, and how many may fail in a row.
        clock: The time.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT, *, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._holders: dict[Request, _Slot] = {}
        # Invariant: a resource is never both waiting and holding a slot.
        self._waiting: set[Request] = set()
        # The replacements that have failed since one succeeded, by resource, with their hashes.
        self._failed: dict[Request, str] = {}
        # Those that were held back for that, with their hashes.
        self._held_back: dict[Request, str] = {}

    def acquire(self, request: Request, hash_: str = "") -> bool:
        """Return whether a resource has a slot, or gets one now.

        Args:
            request: The resource.
            hash_: Of the revision that it would begin. Another one than the one that failed, or
                was held back, means that somebody has changed its inputs since.
        """
        with self._lock:
            self._expire()
            if self._failed.get(request, hash_) != hash_:
                del self._failed[request]
            slot = self._holders.get(request)
            if slot is not None and slot.hash == hash_:
                return True
            # With its slot it begins another revision, unless it was counted beyond the limit.
            self._holders.pop(request, None)
            # One that has failed, and of which nothing is there, would wait for itself for ever.
            others_failed = len(self._failed) >= self._limit and request not in self._failed
            held = others_failed and slot is None
            if held and self._held_back.setdefault(request, hash_) != hash_:
                held = False
            if held or len(self._holders) >= self._limit:
                self._waiting.add(request)
                return False
            self._begin(request, hash_)
            return True

    def resume(self, request: Request, hash_: str) -> None:
        """Count a replacement that another process has begun, whatever the limit.

        Args:
            request: The resource.
            hash_: Of the revision.
        """
        with self._lock:
            if request not in self._holders and self._failed.get(request) != hash_:
                self._begin(request, hash_)

    def holds(self, request: Request) -> list[Request]:
        """Return the resources whose failures hold a resource back; empty if it waits for a slot.

        Args:
            request: One that got no slot.
        """
        with self._lock:
            held = request in self._held_back and len(self._failed) >= self._limit
            return list(self._failed) if held else []

    def pause(self) -> float:
        """Return the seconds after which one that got no slot is to ask again."""
        with self._lock:
            wanted = len(self._waiting) / _ASKS_A_SECOND
        return min(max(wanted, MIN_PAUSE_SECONDS), MAX_PAUSE_SECONDS)

    def release(self, request: Request) -> None:
        """Free the slot of a resource, or its place among those that wait, if it has one."""
        with self._lock:
            self._holders.pop(request, None)
            self._waiting.discard(request)

    def fail(self, request: Request) -> None:
        """Free the slot of a resource whose replacement has failed."""
        with self._lock:
            self._waiting.discard(request)
            slot = self._holders.pop(request, None)
            if slot is not None:
                self._failed[request] = slot.hash

    def excuse(self, request: Request) -> None:
        """Free the slot of a resource whose replacement waits for what no revision is to blame for.

        If it has failed before, that counts no more: nobody may ever end its wait.
        """
        with self._lock:
            self._waiting.discard(request)
            self._holders.pop(request, None)
            self._failed.pop(request, None)

    def succeed(self, request: Request) -> None:
        """Free the slot of a resource whose replacement serves, or has failed and works now."""
        with self._lock:
            self._waiting.discard(request)
            was_begun = self._holders.pop(request, None) is not None
            if was_begun or request in self._failed:
                self._failed.clear()
                self._held_back.clear()

    def drop(self, request: Request) -> None:
        """Drop a resource that is gone."""
        self.release(request)
        with self._lock:
            self._failed.pop(request, None)
            self._held_back.pop(request, None)

    def _begin(self, request: Request, hash_: str) -> None:
        self._waiting.discard(request)
        self._held_back.pop(request, None)
        self._holders[request] = _Slot(hash_, self._clock.monotonic())

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for holder, slot in list(self._holders.items()):
            if now - slot.since >= EXPIRY_SECONDS:
                del self._holders[holder]
                self._failed[holder] = slot.hash


def why_held(failed: Sequence[str]) -> str:
    """Return what a server waits for that has got no slot.

    Args:
        failed: Names of the resources whose failures hold it back; empty if none do.
    """
    if not failed:
        return WAITING
    names = ", ".join([*failed[:_NAMED], *(["..."] if len(failed) > _NAMED else [])])
    return HELD_BACK.format(count=len(failed), names=names)
