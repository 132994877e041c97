"""Requests to the API server: connections, deadlines, credentials, counting.

The `kubernetes` package finds the server and the credentials, urllib3 keeps the connections. The
generated models are left out: they are slow and drop fields they do not know. Every request has one
total deadline: names, connecting, TLS, sending, the answer and its body together. A stop ends it as
well. Nothing is sent twice behind the caller's back but a read on a kept-alive connection that the
server closed meanwhile, and what the server refused because of outdated credentials.
"""

import math
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import kubernetes.client
import structlog
import urllib3
from attrs import field, frozen

from controller.clock import PASSED, Clock, Deadline, DeadlineExceeded
from controller.errors import ClientError, Stopped, TransportError, from_status
from controller.metrics import Metrics
from controller.rest.connections import Connections
from controller.rest.counts import Counts, Measured, host_label
from controller.rest.credentials import Credentials
from controller.rest.cutoff import STOP_GRACE_SECONDS, Cause, Cutoff, Guard, current
from controller.stop import Stop

JSON: Final = "application/json"

#: Seconds for one object.
READ_SECONDS: Final = 30.0
#: Seconds for a write. An admission webhook may take 30 s, and more than one may be asked
#: (k8s.io/api admissionregistration/v1, timeoutSeconds).
WRITE_SECONDS: Final = 65.0
#: Seconds for a list, or for one page of it. The API server gives a request 60 s.
LIST_SECONDS: Final = 65.0
#: Seconds until a stream has begun.
OPEN_SECONDS: Final = 30.0

_READ_SIZE: Final = 64 * 1024

_log = structlog.get_logger()


def unfenced() -> None:
    """Return: a process that has no rival may always write."""


@frozen
class Call:
    """One request, before the server's address and the credentials are added.

    Args:
        method: The HTTP method. All but GET are writes.
        path: Where, without the path that the server's URL may have.
        query: Parameters; those that are None or "" are left out.
        body: Bytes, None for none.
        content_type: What the body is.
        accept: What the answer may be.
        seconds: How long it may take, if `deadline` leaves as much.
        deadline: Until when the caller waits, and what stops it before; None for as long as
            `seconds` says.
        on_progress: Called with each part of the answer; None to read it in one go.
        fence: Called right before a write is sent, and again before its body. What it raises is
            raised, and the server has done nothing.
    """

    method: str
    path: str
    query: Mapping[str, Any] = {}
    body: bytes | None = field(default=None, repr=False)
    content_type: str = ""
    accept: str = JSON
    seconds: float = READ_SECONDS
    deadline: Deadline | None = None
    on_progress: Callable[[], None] | None = None
    fence: Callable[[], None] = unfenced

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


class Transport:
    """Sends requests over kept-alive connections. Safe to share between threads.

    Args:
        api_client: Where the server is and how to authenticate; see `controller.rest.kubeconfig`.
        clock: Bounds and measures requests.
        metrics: Where requests are counted.

    Raises:
        ConfigError: A certificate or key that the configuration names cannot be loaded.
    """

    def __init__(
        self, api_client: kubernetes.client.ApiClient, *, clock: Clock, metrics: Metrics
    ) -> None:
        configuration = api_client.configuration
        self._clock = clock
        self._cutoff = Cutoff(clock)
        self._credentials = Credentials(api_client)
        self._connections = Connections(configuration, self._credentials.tls)
        self._counts = Counts(metrics, host_label(configuration.host))
        #: The server's URL.
        self.url: str = configuration.host

    def request(self, call: Call) -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            ApiError: The server refuses.
            TransportError: No answer came, or half of one.
            DeadlineExceeded: The call's deadline has passed.
            Stopped: The stop of the call's deadline was set.
        """
        guard = self.begin(call.description, call.seconds, call.deadline)
        try:
            response = self._answer(call, guard)
            content = _body(response, call.on_progress)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self.failure(call.description, guard, error) from error
        else:
            if guard.cause is not None:
                # A body that ends with its connection looks whole when that is cut.
                raise self.failure(call.description, guard, None)
        finally:
            guard.end()
        self._counts.received(call.method, len(content))
        return content

    def open(self, call: Call, *, stop: Stop | None) -> tuple[urllib3.BaseHTTPResponse, Guard]:
        """Send a request and return its answer while the body is still on its way.

        Args:
            call: The request.
            stop: Cuts it at once, while it is opened and later.

        Returns:
            The answer, and the guard that cuts it; the caller closes the one and ends the other.

        Raises:
            ApiError: The server refuses.
            TransportError: No answer came in time.
            DeadlineExceeded: The call's deadline has passed.
            Stopped: The stop was set.
        """
        guard = self._begin(call.description, call.seconds, call.deadline, stop, grace=0.0)
        try:
            return self._answer(call, guard), guard
        except (urllib3.exceptions.HTTPError, OSError) as error:
            failure = self.failure(call.description, guard, error)
            guard.end()
            raise failure from error
        except BaseException:
            guard.end()
            raise

    def begin(self, description: str, seconds: float, deadline: Deadline | None) -> Guard:
        """Begin a request of the calling thread.

        Args:
            description: What an error message calls it.
            seconds: How long it may take, if the deadline leaves as much.
            deadline: As in `Call`.

        Returns:
            Its guard, whose `end` the caller owes.

        Raises:
            DeadlineExceeded: No time is left.
        """
        stop = None if deadline is None else deadline.stop
        return self._begin(description, seconds, deadline, stop, grace=STOP_GRACE_SECONDS)

    def _begin(
        self,
        description: str,
        seconds: float,
        deadline: Deadline | None,
        stop: Stop | None,
        *,
        grace: float,
    ) -> Guard:
        left = math.inf if deadline is None else deadline.remaining()
        if not left:
            raise DeadlineExceeded(f"{description}: {PASSED}")
        ends, cause = (left, Cause.DEADLINE) if left <= seconds else (seconds, Cause.LIMIT)
        return self._cutoff.begin(self._clock.monotonic() + ends, cause, stop, grace)

    def failure(
        self, description: str, guard: Guard, error: Exception | None
    ) -> ClientError | DeadlineExceeded:
        """Return what a request that failed means to its caller.

        Args:
            description: What an error message calls the request.
            guard: The request's, which has not ended.
            error: What urllib3, ssl or the socket raised: if the request was cut, some consequence
                of that. None if nothing did.
        """
        if not guard.left():
            # The thread that cuts may be a moment late.
            guard.expire()
        if guard.cause in (Cause.DEADLINE, Cause.LIMIT) and not guard.answered:
            self._connections.close_idle()
        match guard.cause:
            case Cause.STOP | Cause.CLOSED:
                return Stopped(f"{description}: cut off, since the process ends")
            case Cause.DEADLINE:
                return DeadlineExceeded(f"{description}: {PASSED}")
            case Cause.LIMIT:
                return TransportError(f"{description}: timed out")
            case Cause.SILENCE:
                return TransportError(f"{description}: timed out: the connection is silent")
        refused = error is not None and _caused_by(error, ConnectionRefusedError)
        return TransportError(f"{description}: {error}", refused=refused)

    def connect(self, guard: Guard) -> tuple[Any, dict[str, str]]:
        """Connect for a protocol other than HTTP, by the way that all requests take.

        Args:
            guard: That of a request which was begun.

        Returns:
            The socket, or what urllib3 has in its place, and the headers of every request.

        Raises:
            TransportError: The credentials cannot be read.
            urllib3.exceptions.HTTPError: The server cannot be reached.
            OSError: As well.
        """
        headers, version = self._credentials.headers(), self._credentials.version
        current.guard = guard
        try:
            return self._connections.connect(), headers
        except ssl.SSLCertVerificationError:
            if not self._credentials.believe_anew(version):
                raise
            return self._connections.connect(), headers
        finally:
            current.guard = None

    @property
    def credentials_version(self) -> int:
        """Which credentials a request that is made now carries, for `renew`."""
        return self._credentials.version

    def measured(self, method: str, size: int = 0) -> Measured:
        """Return what counts and measures one request.

        Args:
            method: The HTTP method.
            size: Bytes of its body.
        """
        return Measured(self._counts, self._clock, method, size)

    def _answer(self, call: Call, guard: Guard) -> urllib3.BaseHTTPResponse:
        """Return the answer to a request, its body unread, if it is no refusal."""
        response = self._authenticated(call, guard)
        for header in response.headers.getlist("Warning"):
            # A code, who warns, and the text in quotes (controller-runtime pkg/log: the same).
            text = header.partition('"')[2].removesuffix('"')
            _log.info("warned by the API server", request=call.description, warning=text)
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            retry_after = retry_after_seconds(response.headers.get("Retry-After", ""))
            raise from_status(response.status, response.read(), retry_after=retry_after)
        return response

    def _authenticated(self, call: Call, guard: Guard) -> urllib3.BaseHTTPResponse:
        """Send, and once more with the credentials of now where those of before were refused."""
        version = self._credentials.version
        response = self._send(call, guard)
        if response.status != HTTPStatus.UNAUTHORIZED or not self.renew(version):
            return response
        # With the connection: its client certificate is the one that was refused.
        response.close()
        return self._send(call, guard)

    def renew(self, version: int) -> bool:
        """Read the credentials anew after a 401, and use no connection again that carried others.

        Args:
            version: That of the credentials when the request was made.

        Returns:
            Whether it makes sense to send the request again.
        """
        if not self._credentials.renew(version):
            return False
        self._connections.close_idle()
        return True

    def _send(self, call: Call, guard: Guard) -> urllib3.BaseHTTPResponse:
        """Send, and once more where that certainly had no effect, or has none.

        A kept-alive connection can be closed while the request is on its way. A read may then be
        repeated; a write may have been carried out, so its caller decides. A server whose
        certificate is not believed was asked nothing yet; its authority may have been replaced.
        """
        version = self._credentials.version
        try:
            return self._send_once(call, guard)
        except urllib3.exceptions.ProtocolError:
            if call.writes or guard.cause is not None:
                raise
        except urllib3.exceptions.HTTPError as error:
            unbelieved = _caused_by(error, ssl.SSLCertVerificationError)
            if not (unbelieved and self._credentials.believe_anew(version)):
                raise
        self._counts.retried(call.method)
        return self._send_once(call, guard)

    def _send_once(self, call: Call, guard: Guard) -> urllib3.BaseHTTPResponse:
        """Send and count one request."""
        headers = self._credentials.headers()
        headers["Accept"] = call.accept
        body: bytes | Iterator[bytes] | None = None
        if call.writes:
            call.fence()
            body = _fenced(call)
            headers["Content-Type"] = call.content_type
            headers["Content-Length"] = str(len(call.body or b""))
        current.guard = guard
        try:
            with self.measured(call.method, len(call.body or b"")) as measured:
                response = self._connections.request(
                    call.method, call.target, headers=headers, body=body
                )
                measured.code = str(response.status)
                return response
        finally:
            current.guard = None


def _fenced(call: Call) -> Iterator[bytes]:
    """Yield the body of a write, once it is certain that it may be sent.

    Between the head of a request and its body: to connect and to send the head may have taken
    seconds, and without the body the server does nothing.
    """
    call.fence()
    yield call.body or b""


def _body(response: urllib3.BaseHTTPResponse, on_progress: Callable[[], None] | None) -> bytes:
    if on_progress is None:
        return response.read()
    chunks = []
    while chunk := response.read1(_READ_SIZE):
        chunks.append(chunk)
        on_progress()
    return b"".join(chunks)


def _caused_by(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Look for an error among the causes of another: urllib3 wraps what it catches."""
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def retry_after_seconds(header: str) -> float | None:
    """Return the seconds of a Retry-After header, None without any; the API server sends no dates.

    Args:
        header: Its value, "" if there is none.
    """
    try:
        return max(0.0, float(header))
    except ValueError:
        return None
