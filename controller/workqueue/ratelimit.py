"""How long a failing item waits before it is handed out again.

The limiter of single items of client-go's util/workqueue/default_rate_limiters.go. Like
controller-runtime with its priority queue, the runtime has no limit for all items together.
"""

import threading
from collections.abc import Hashable
from typing import Final, Protocol

#: Seconds before the first retry of an item.
BASE_DELAY: Final = 0.005
#: Seconds that no delay exceeds.
MAX_DELAY: Final = 1000.0

#: Doublings beyond which a float would overflow; any sensible maximum is reached long before.
MAX_DOUBLINGS: Final = 1000


class RateLimiter(Protocol):
    """Decides on the delay of each retry. Safe for use by several threads."""

    def when(self, item: Hashable) -> float:
        """Return the seconds that this retry of the item has to wait, and count the retry.

        Args:
            item: What is retried.
        """

    def forget(self, item: Hashable) -> None:
        """Start over for an item that succeeded, or that nobody will retry.

        Args:
            item: What is not retried; one that never was is no error.
        """


class ExponentialRateLimiter:
    """Doubles an item's delay with each of its retries: client-go's exponential failure limiter.

    Args:
        base: Seconds before the first retry. Default: 5 ms.
        maximum: Seconds that no delay exceeds. Default: 1000 s, from the nineteenth retry on.
    """

    def __init__(self, base: float = BASE_DELAY, maximum: float = MAX_DELAY) -> None:
        self._base = base
        self._maximum = maximum
        # Guards the field below.
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
