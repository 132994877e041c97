"""How long a reflector waits after a failure, and how often it tries again."""

import math
from collections.abc import Callable
from typing import Final

from controller.clock import Clock

#: Pauses after a failure: 0.8, 1.6, 3.2 ... 30 s, each times a random factor of [1, 2), so that
#: clients cut off together do not come back together. With the cap and the mean factor of 1.5, an
#: API server in need gets one request every 45 s from each reflector, 0.02 a second.
BACKOFF_BASE: Final = 0.8
BACKOFF_FACTOR: Final = 2.0
BACKOFF_CAP: Final = 30.0
BACKOFF_JITTER: Final = 1.0
#: The cap while connections are refused. client-go has none of its own, and notices an API server
#: that is back after up to a minute; one that nobody serves is not spared by waiting.
BACKOFF_CAP_REFUSED: Final = 5.0
#: Seconds without a failure after which the next pause is the shortest again.
BACKOFF_RESET: Final = 120.0

#: Seconds for which a watch that the server ends with an internal error is opened again, before
#: the objects are listed anew (what kube-apiserver gives its own reflectors).
MAX_INTERNAL_ERROR_RETRY: Final = 30.0

#: Seconds without an internal error after which the next one begins a new series.
INTERNAL_ERROR_SERIES_GAP: Final = 60.0


class Backoff:
    """Growing pauses with jitter, for one thread (apimachinery wait.Backoff with reset).

    It begins with the shortest pause.

    Args:
        clock: Measures the time since the last failure.
        uniform: Draws a number between two, as `random.uniform`.
    """

    def __init__(self, clock: Clock, uniform: Callable[[float, float], float]) -> None:
        self._clock = clock
        self._uniform = uniform
        self._pause = BACKOFF_BASE
        self._last_failure = clock.monotonic()

    def next_pause(self, cap: float = BACKOFF_CAP) -> float:
        """Return how many seconds to pause after a failure now.

        Args:
            cap: The longest pause, before the random factor.
        """
        now = self._clock.monotonic()
        if now - self._last_failure > BACKOFF_RESET:
            self._pause = BACKOFF_BASE
        self._last_failure = now
        pause = min(self._pause, cap)
        self._pause = min(pause * BACKOFF_FACTOR, cap)
        return pause * self._uniform(1.0, 1.0 + BACKOFF_JITTER)


class RetryWindow:
    """Limits the retries of an error that keeps coming (reflector.go RetryWithDeadline).

    Args:
        clock: Measures the time since the first error of a series, and since the last one.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first = self._last = -math.inf

    def still_open(self) -> bool:
        """Record an error now; return whether the first of its series is recent enough."""
        now = self._clock.monotonic()
        if now - self._last >= INTERNAL_ERROR_SERIES_GAP:
            self._first = now
        self._last = now
        return now - self._first <= MAX_INTERNAL_ERROR_RETRY
