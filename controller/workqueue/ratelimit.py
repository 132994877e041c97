"""Rate limiters: how long a failing item waits for its next retry.

Follows `ItemExponentialFailureRateLimiter` of client-go util/workqueue/default_rate_limiters.go. As
controller-runtime with its priority queue, the runtime has no limit for all items together.
"""

import threading
from collections.abc import Hashable
from typing import Final, Protocol

#: Seconds before the first retry of an item.
BASE_DELAY: Final = 0.005
#: The longest delay in seconds.
MAX_DELAY: Final = 1000.0

#: More doublings would overflow a float. Any sensible maximum is reached earlier.
MAX_DOUBLINGS: Final = 1000


class RateLimiter(Protocol):
    """Decides on the delay of each retry. Safe to share between threads."""

    def when(self, item: Hashable) -> float:
        """Count a retry of an item, and return the seconds before it.

        Args:
            item: The item.
        """

    def forget(self, item: Hashable) -> None:
        """Reset the count of an item that succeeded, or that will not be retried.

        Args:
            item: The item. It need not have been retried.
        """


class ExponentialRateLimiter:
    """Doubles the delay of an item with each retry: 5 ms, 10 ms, 20 ms and so on up to 1000 s.

    Args:
        base: Seconds before the first retry. Default: 5 ms.
        maximum: The longest delay in seconds. Default: 1000, from the nineteenth retry on.
    """

    def __init__(self, base: float = BASE_DELAY, maximum: float = MAX_DELAY) -> None:
        self._base = base
        self._maximum = maximum
        # Guards the field below.
        self._lock = threading.Lock()
        # The retries of each item since it was last forgotten. No entry means none.
        self._retries: dict[Hashable, int] = {}

    def when(self, item: Hashable) -> float:
        """Count a retry, and return `base` doubled for each earlier one, `maximum` at most."""
        with self._lock:
            retries = self._retries.get(item, 0)
            self._retries[item] = retries + 1
        return min(self._base * 2.0 ** min(retries, MAX_DOUBLINGS), self._maximum)

    def forget(self, item: Hashable) -> None:
        """Reset the count of an item."""
        with self._lock:
            self._retries.pop(item, None)
