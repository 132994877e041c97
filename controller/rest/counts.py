"""The metrics of requests (client-go tools/metrics, with the names of component-base)."""

from typing import Any, Final, Self
from urllib.parse import urlsplit

from controller.clock import Clock
from controller.metrics import Metrics

#: The code label of a request that got no HTTP answer (client-go rest/request.go).
NO_ANSWER: Final = "<error>"


class Counts:
    """Counts the requests to one server.

    The children of a metric are looked up once: that costs more than to count.

    Args:
        metrics: Where they are.
        host: Their label.
    """

    def __init__(self, metrics: Metrics, host: str) -> None:
        self._metrics = metrics
        self._host = host
        self._requests: dict[tuple[str, str], Any] = {}
        self._methods: dict[str, tuple[Any, Any, Any]] = {}

    def sent(self, method: str, code: str, seconds: float, size: int) -> None:
        """Count a request, and what it took until the head of its answer."""
        total = self._requests.get((method, code))
        if total is None:
            total = self._requests[method, code] = self._metrics.rest_requests_total.labels(
                code=code, method=method, host=self._host
            )
        total.inc()
        duration, sizes, _ = self._of(method)
        duration.observe(seconds)
        sizes.observe(size)

    def received(self, method: str, size: int) -> None:
        """Measure the body of an answer."""
        self._of(method)[2].observe(size)

    def retried(self, method: str) -> None:
        """Count a request that was sent again since it got no answer."""
        self._metrics.rest_request_retries_total.labels(
            code=NO_ANSWER, verb=method, host=self._host
        ).inc()

    def _of(self, method: str) -> tuple[Any, Any, Any]:
        """Return the histograms of the durations, the requests' and the answers' sizes."""
        found = self._methods.get(method)
        if found is None:
            labels = {"verb": method, "host": self._host}
            found = self._methods[method] = (
                self._metrics.rest_request_duration_seconds.labels(**labels),
                self._metrics.rest_request_size_bytes.labels(**labels),
                self._metrics.rest_response_size_bytes.labels(**labels),
            )
        return found


class Measured:
    """Counts one request and measures how long its answer takes to begin. A context manager.

    Args:
        counts: Where.
        clock: The time.
        method: The HTTP method.
        size: Bytes of its body.
    """

    def __init__(self, counts: Counts, clock: Clock, method: str, size: int) -> None:
        #: The status of the answer, once there is one.
        self.code = NO_ANSWER
        self._counts = counts
        self._clock = clock
        self._method = method
        self._size = size
        self._started = 0.0

    def __enter__(self) -> Self:
        """Begin to measure."""
        self._started = self._clock.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        """Count the request."""
        seconds = self._clock.monotonic() - self._started
        self._counts.sent(self._method, self.code, seconds, self._size)


def host_label(url: str) -> str:
    """Return host and port of a URL, for a metric: never the user and password it may hold."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host
