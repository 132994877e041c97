"""How long a failing item waits before it is handed out again.

The limiters of client-go's util/workqueue/default_rate_limiters.go.
"""

import threading
from collections.abc import Hashable
from typing import Protocol

from controller.clock import Clock

#: Seconds before the first retry of an item, and before any later one at most.
BASE_DELAY = 0.005
MAX_DELAY = 1000.0

#: Retries a second that the bucket lets through, and how many at once after a rest.
BUCKET_RATE = 10.0
BUCKET_BURST = 100

#: Doublings beyond which a float would overflow; any sensible maximum is reached long before.
MAX_DOUBLINGS = 1000


class RateLimiter(Protocol):
    """Decides on the delay of each retry. Safe for use by several threads."""

    def when(self, item: Hashable) -> float:
        """Return the seconds that this retry of the item has to wait, and count the retry."""

    def forget(self, item: Hashable) -> None:
        """Start over for an item that succeeded, or that nobody will retry."""

    def num_requeues(self, item: Hashable) -> int:
        """Return how often `when` was called for the item since it was last forgotten."""


class ExponentialRateLimiter:
    """Doubles an item's delay with each of its retries: 5 ms, 10 ms, 20 ms and so on to 1000 s.

    Args:
        base: Seconds before the first retry.
        maximum: Seconds that no delay exceeds.
    """

    def __init__(self, base: float = BASE_DELAY, maximum: float = MAX_DELAY) -> None:
        self._base = base
        self._maximum = maximum
        self._lock = threading.Lock()
        # Retries of each item since it was last forgotten; no entry means none.
        self._retries: dict[Hashable, int] = {}

    def when(self, item: Hashable) -> float:
        """Return `base` doubled by each earlier retry of the item, at most `maximum`."""
        with self._lock:
            retries = self._retries.get(item, 0)
            self._retries[item] = retries + 1
        return min(self._base * 2.0 ** min(retries, MAX_DOUBLINGS), self._maximum)

    def forget(self, item: Hashable) -> None:
        """Start over at `base`."""
        with self._lock:
            self._retries.pop(item, None)

    def num_requeues(self, item: Hashable) -> int:
        """Return the retries of the item since it was last forgotten."""
        with self._lock:
            return self._retries.get(item, 0)


class BucketRateLimiter:
    """Limits the retries of all items together by a token bucket.

    Args:
        clock: Fills the bucket.
        rate: Tokens a second.
        burst: Tokens that the bucket holds, all of them at the start.
    """

    def __init__(
        self, clock: Clock, *, rate: float = BUCKET_RATE, burst: int = BUCKET_BURST
    ) -> None:
        self._clock = clock
        self._rate = rate
        self._burst = burst
        self._lock = threading.Lock()
        # Tokens at the time `_filled_at`; negative when they are promised to waiting items.
        self._tokens = float(burst)
        self._filled_at = clock.monotonic()

    def when(self, item: Hashable) -> float:  # noqa: ARG002 - all items share the bucket
        """Take a token and return the seconds until it is there."""
        with self._lock:
            now = self._clock.monotonic()
            gained = (now - self._filled_at) * self._rate
            self._filled_at = now
            self._tokens = min(self._burst, self._tokens + gained) - 1
            return max(0.0, -self._tokens / self._rate)

    def forget(self, item: Hashable) -> None:
        """Do nothing: the bucket knows no items."""

    def num_requeues(self, item: Hashable) -> int:  # noqa: ARG002 - the bucket knows no items
        """Return 0: the bucket knows no items."""
        return 0


class MaxOf:
    """Takes the longest delay of several limiters.

    Each call asks all of them, so a bucket among them is charged even where another one decides.
    """

    def __init__(self, *limiters: RateLimiter) -> None:
        self._limiters = limiters

    def when(self, item: Hashable) -> float:
        """Return the longest of the delays."""
        return max(limiter.when(item) for limiter in self._limiters)

    def forget(self, item: Hashable) -> None:
        """Tell all limiters."""
        for limiter in self._limiters:
            limiter.forget(item)

    def num_requeues(self, item: Hashable) -> int:
        """Return the highest count."""
        return max(limiter.num_requeues(item) for limiter in self._limiters)
