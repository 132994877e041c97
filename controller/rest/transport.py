"""The connections to the API server: requests and their answers' bytes.

The `kubernetes` package does authentication, TLS, proxies and the connection pool. Its generated
models are left out: they are slow and drop fields they do not know. Every request has a connect
and a read timeout. Nothing is sent twice behind the caller's back but a read on a kept-alive
connection that the server closed meanwhile. Where one connection has fallen silent, none of those
kept for later is used again.
"""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import kubernetes.client
import kubernetes.config
import structlog
import urllib3
from attrs import frozen

from controller.clock import Clock, Deadline, DeadlineExceeded
from controller.errors import TransportError, from_status
from controller.leaderelection.fence import always_open
from controller.metrics import Metrics
from controller.resource import Object

JSON: Final = "application/json"

#: The code label of a request that got no HTTP answer (client-go rest/request.go).
NO_ANSWER: Final = "<error>"

_READ_SIZE: Final = 64 * 1024
_COMPACT: Final = (",", ":")
_NO_RETRIES: Final = urllib3.Retry(total=False, redirect=False)

#: The official client's refresh hook reads a token file or runs a credential plugin, and is not
#: made for several threads at once.
_REFRESH: Final = threading.Lock()

_log = structlog.get_logger()


@frozen
class Call:
    """One request, before the server's address and the credentials are added."""

    method: str
    path: str
    #: Parameters that are None or "" are left out.
    query: Mapping[str, Any] = {}
    body: Object | None = None
    content_type: str = ""
    accept: str = JSON
    #: Seconds of silence allowed, None for the client's own.
    read_timeout: float | None = None
    #: Called with each part of the answer.
    on_progress: Callable[[], None] = lambda: None
    deadline: Deadline | None = None

    @property
    def writes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @property
    def description(self) -> str:
        """What an error message calls this request."""
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        """The path with the query."""
        query = {name: value for name, value in self.query.items() if value not in (None, "")}
        return f"{self.path}?{urlencode(query)}" if query else self.path

    @property
    def headers(self) -> dict[str, str]:
        """What the request says of its content and of the answer's."""
        content_type = {"Content-Type": self.content_type} if self.content_type else {}
        return {"Accept": self.accept, **content_type}

    def timeout(self, connect: float, read: float) -> urllib3.Timeout:
        """Return the timeouts, none longer than the deadline leaves time for."""
        read = self.read_timeout or read
        if self.deadline is None:
            return urllib3.Timeout(connect=connect, read=read)
        left = self.deadline.left()
        return urllib3.Timeout(connect=min(connect, left), read=min(read, left))

    def failure(self, error: Exception) -> TransportError | DeadlineExceeded:
        """Return what a failed transport means to the caller."""
        if self.deadline is not None and self.deadline.expired:
            return DeadlineExceeded(f"{self.description}: the deadline has passed")
        return transport_error(self.description, error)


class Transport:
    """Sends requests over kept-alive connections. Safe to share between threads."""

    def __init__(
        self,
        api_client: kubernetes.client.ApiClient,
        *,
        clock: Clock,
        metrics: Metrics,
        fence: Callable[[], None] = always_open,
        connect_timeout: float = 5.0,
        read_timeout: float = 30.0,
    ) -> None:
        """Make a transport.

        Args:
            api_client: Where to connect and how to authenticate; see `controller.rest.kubeconfig`.
            clock: Measures requests.
            metrics: Where requests are counted.
            fence: Called right before a write is sent, on the caller's thread. What it raises is
                raised, and nothing was written. See `controller.leaderelection.fence`.
            connect_timeout: Seconds until a connection must stand.
            read_timeout: Seconds the server may be silent before and in an answer.
        """
        self._api_client = api_client
        # All requests go to one server: the pool of its connections is looked up once. What a proxy
        # has to be told with each request its manager knows.
        host, manager = api_client.configuration.host, api_client.rest_client.pool_manager
        self._pool: urllib3.HTTPConnectionPool | urllib3.PoolManager = manager
        # What stands before a request's path.
        self._base = host
        if manager.proxy is None:
            self._pool, self._base = manager.connection_from_url(host), urlsplit(host).path
        self._clock = clock
        self._metrics = metrics
        self._fence = fence
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._host = host_label(api_client.configuration.host)

    def open(self, call: Call) -> urllib3.BaseHTTPResponse:
        """Send a request and return the successful response, its body unread."""
        try:
            response = self._send(call)
        except urllib3.exceptions.HTTPError as error:
            raise self._failure(call, error) from error
        for header in response.headers.getlist("Warning"):
            # A code, who warns, and the text in quotes (controller-runtime pkg/log: the same).
            text = header.partition('"')[2].removesuffix('"')
            _log.info("warned by the API server", request=call.description, warning=text)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            retry_after = retry_after_seconds(response.headers.get("Retry-After", ""))
            content = self.read_body(response, call)
            raise from_status(response.status, content, retry_after=retry_after)
        return response

    def _send(self, call: Call) -> urllib3.BaseHTTPResponse:
        """Send, and once more if a read met a connection that the server had just closed.

        A kept-alive connection can be closed while the request is on its way. A read may then be
        repeated; a write may have been carried out, so its caller decides.
        """
        try:
            return self._send_once(call)
        except urllib3.exceptions.ProtocolError:
            if call.writes:
                raise
        self._metrics.rest_request_retries_total.labels(
            code=NO_ANSWER, verb=call.method, host=self._host
        ).inc()
        return self._send_once(call)

    def _send_once(self, call: Call) -> urllib3.BaseHTTPResponse:
        """Send and count one request."""
        if call.writes:
            self._fence()
        timeout = call.timeout(self._connect_timeout, self._read_timeout)
        content = b"" if call.body is None else json.dumps(call.body, separators=_COMPACT).encode()
        length = {"Content-Length": str(len(content))} if call.writes else {}
        started = self._clock.monotonic()
        code = NO_ANSWER
        try:
            response: urllib3.BaseHTTPResponse = self._pool.urlopen(
                call.method,
                self._base + call.target,
                body=self._fenced(content) if call.writes else None,
                headers=request_headers(self._api_client) | call.headers | length,
                timeout=timeout,
                retries=_NO_RETRIES,
                redirect=False,
                preload_content=False,
            )
            code = str(response.status)
        finally:
            self._metrics.rest_requests_total.labels(
                code=code, method=call.method, host=self._host
            ).inc()
            self._metrics.rest_request_duration_seconds.labels(
                verb=call.method, host=self._host
            ).observe(self._clock.monotonic() - started)
            self._metrics.rest_request_size_bytes.labels(verb=call.method, host=self._host).observe(
                len(content)
            )
        return response

    def _failure(self, call: Call, error: Exception) -> TransportError | DeadlineExceeded:
        """Return what a failed transport means to the caller; after silence trust no connection."""
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            self.close_idle()
        return call.failure(error)

    def close_idle(self) -> None:
        """Close the connections that are kept for later requests.

        What has silenced one, a load balancer or a network, has as a rule silenced all, and each
        would cost a request its whole timeout. client-go has one HTTP/2 connection for everything,
        and gives that up when it does not answer a ping.
        """
        if isinstance(self._pool, urllib3.PoolManager):
            self._pool.clear()
        elif (idle := self._pool.pool) is not None:
            with contextlib.suppress(queue.Empty):
                while True:
                    # None is a place not taken yet; an empty pool makes new connections.
                    if (connection := idle.get_nowait()) is not None:
                        connection.close()

    def _fenced(self, content: bytes) -> Iterator[bytes]:
        """Yield the body of a write, once it is certain that it may be sent.

        Between the head of a request and its body: to connect and to send the head may have taken
        seconds, and without the body the server does nothing.
        """
        self._fence()
        yield content

    def read_body(self, response: urllib3.BaseHTTPResponse, call: Call) -> bytes:
        """Return the body of an answer."""
        chunks = []
        try:
            # What has arrived, not a full chunk of it: a line that carries a byte a second would
            # pass by the deadline.
            while chunk := response.read1(_READ_SIZE):
                chunks.append(chunk)
                call.on_progress()
                if call.deadline is not None:
                    call.deadline.check()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # DeadlineExceeded is an OSError too; `failure` makes it come out as such.
            response.close()
            raise self._failure(call, error) from error
        content = b"".join(chunks)
        self._metrics.rest_response_size_bytes.labels(verb=call.method, host=self._host).observe(
            len(content)
        )
        return content


def transport_error(description: str, error: Exception) -> TransportError:
    """Return the error for a request that got no answer, or half of one.

    Args:
        description: Method and path.
        error: What urllib3, ssl or the socket raised.
    """
    return TransportError(f"{description}: {error}", refused=_was_refused(error))


def _was_refused(error: BaseException | None) -> bool:
    """Look for a refused connection among the causes: urllib3 wraps it once or twice."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_after_seconds(header: str) -> float | None:
    """Read a Retry-After header in seconds; the API server sends no dates.

    Args:
        header: Its value, "" if there is none.
    """
    try:
        return max(0.0, float(header))
    except ValueError:
        return None


def host_label(url: str) -> str:
    """Return host and port of a URL, for a metric: never the user and password it may hold."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host


def request_headers(api_client: kubernetes.client.ApiClient) -> dict[str, str]:
    """Return the headers that every request carries: who asks, and the credentials.

    The token is read anew when it is due: a service account token is replaced on disk within the
    hour, and the official client's hook looks once a minute.

    Raises:
        TransportError: The credentials cannot be read now; a later request may find them.
    """
    headers: dict[str, str] = dict(api_client.default_headers)
    try:
        with _REFRESH:
            api_client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
    except (OSError, kubernetes.config.ConfigException) as error:
        raise TransportError(f"the credentials cannot be renewed: {error}") from error
    return headers
