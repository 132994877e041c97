"""The HTTP servers for the probes of the kubelet and for Prometheus.

Follows controller-runtime pkg/healthz/healthz.go and pkg/metrics/server. Paths, texts and status
codes are the same.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import structlog
from prometheus_client.exposition import MetricsHandler

from controller.servingcert import ServingCertificate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from prometheus_client import CollectorRegistry

    from controller.stop import Stop

    #: A check returns or raises `CheckFailed`, as controller-runtime's Checker.
    Check = Callable[[], None]

#: The address of a server that is switched off.
DISABLED: Final = "0"

METRICS_PATH: Final = "/metrics"
NO_SUCH_PAGE: Final = "404 page not found\n"
CANNOT_LISTEN: Final = "{name} cannot be served on {address}: {reason}"

#: The last line of an answer. controller-runtime has the same words for both endpoints.
CHECK_PASSED: Final = "healthz check passed"
CHECK_FAILED: Final = "healthz check failed"

#: Seconds of silence after which a client is cut, so that it does not hold a thread.
_CLIENT_TIMEOUT_SECONDS: Final = 10.0

#: Seconds before the next try after a connection could not be accepted. They double up to the
#: second figure (Go net/http server.go `Serve`).
ACCEPT_PAUSE_SECONDS: Final = 0.005
MAX_ACCEPT_PAUSE_SECONDS: Final = 1.0

_log = structlog.get_logger()


class CheckFailed(Exception):
    """A check has failed. The message says why, for the log."""


def ping() -> None:
    """Return. The check of an endpoint without checks of its own (healthz.go `Ping`)."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The kernel drops connections beyond this number, and a probe that it drops is tried again
    # after a second. The default is 5.
    request_queue_size = socket.SOMAXCONN

    def __init__(
        self,
        address: str,
        handler: type[BaseHTTPRequestHandler],
        certificate: ServingCertificate | None,
    ) -> None:
        #: Why the last look for a connection has brought none; None if it has.
        self.accept_error: OSError | None = None
        self._certificate = certificate
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if ":" in host or (not host and socket.has_dualstack_ipv6()):
            self.address_family = socket.AF_INET6
        super().__init__((host, int(port)), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # HTTPServer's own method asks the DNS for a name that nobody needs. Without an answer the
        # start would hang.
        TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def get_request(self) -> tuple[socket.socket, object]:
        """Return the next connection. Its handshake, for which a client may take long, is not yet.

        The thread that handles the request makes it, as the first read.
        """
        self.accept_error = None
        try:
            connection, client = super().get_request()
        except OSError as error:
            self.accept_error = error
            raise
        if self._certificate is None:
            return connection, client
        try:
            context = self._certificate.context()
            return (
                context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False),
                client,
            )
        except OSError:
            connection.close()
            raise

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's signature
        """Log the error that ended a request. The inherited method prints a traceback."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("request failed")


class _HttpRunnable:
    """A runnable that serves one address.

    Args:
        name: See the attribute.
        address: `host:port` or `:port`; `DISABLED` for none.
        handler: Answers the requests.
        certificate: What it serves with; None for plain HTTP.

    Raises:
        OSError: The port is taken or not allowed.
    """

    def __init__(
        self,
        name: str,
        address: str,
        handler: type[BaseHTTPRequestHandler],
        certificate: ServingCertificate | None = None,
    ) -> None:
        #: Its name in logs and errors.
        self.name = name
        self._server: _Server | None = None
        if address == DISABLED:
            return
        try:
            # Opened here and not in `run`, so that a port that is taken fails the start.
            self._server = _Server(address, handler, certificate)
        except OSError as error:
            reason = error.strerror or str(error)
            message = CANNOT_LISTEN.format(name=name, address=address, reason=reason)
            raise OSError(error.errno, message) from error

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it is disabled."""
        return 0 if self._server is None else self._server.server_port

    def run(self, stop: Stop) -> None:
        """Serve until the stop is set."""
        if self._server is None:
            stop.wait()
            return
        _log.info("serving", server=self.name, port=self.port)
        with self._server as server:
            take_back = stop.call_back(lambda: _wake(server.socket))
            pause = 0.0
            while not stop.is_set():
                server.handle_request()
                pause = self._pause_after(server.accept_error, pause, stop)
            take_back()

    def _pause_after(self, error: OSError | None, pause: float, stop: Stop) -> float:
        """Wait if there was no descriptor for a connection, for example: it is still in the queue.

        Args:
            error: Why no connection was accepted; None if one was.
            pause: How long it waited before, 0.0 if the last connection was accepted.
            stop: Ends the wait.

        Returns:
            How long it has waited.
        """
        if error is None or stop.is_set():
            return 0.0
        if not pause:
            _log.warning("no connection accepted", server=self.name, error=str(error))
        pause = min(2 * pause or ACCEPT_PAUSE_SECONDS, MAX_ACCEPT_PAUSE_SECONDS)
        stop.wait(pause)
        return pause


def _wake(listening: socket.socket) -> None:
    """End a wait of `handle_request`: a socket that is shut down becomes readable."""
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)


class MetricsServer(_HttpRunnable):
    """Serves the metrics of a registry at `/metrics`. Its port is open once it is made.

    Args:
        address: `host:port` or `:port`; `DISABLED` for none.
        registry: Holds the metrics.
        cert_path: A folder with `tls.crt` and `tls.key`, to serve with TLS 1.2 or later. They are
            read again when they change. Default: none, plain HTTP.

    Raises:
        OSError: The port is taken or not allowed, or (`CertificateUnusable`) there is no
            certificate.
    """

    def __init__(self, address: str, registry: CollectorRegistry, *, cert_path: str = "") -> None:
        class Handler(_MetricsHandler):
            pass

        Handler.registry = registry
        certificate = ServingCertificate(cert_path) if cert_path else None
        super().__init__("metrics", address, Handler, certificate)


class HealthServer(_HttpRunnable):
    """Serves `/healthz` and `/readyz`. Its port is open once it is made.

    Args:
        address: `host:port` or `:port`; `DISABLED` for none.
        healthz: The checks of liveness by name, looked up at each probe. Default: None, no such
            path. An empty mapping always succeeds.
        readyz: The checks of readiness, likewise.

    Raises:
        OSError: The port is taken or not allowed.
    """

    def __init__(
        self,
        address: str,
        *,
        healthz: Mapping[str, Check] | None = None,
        readyz: Mapping[str, Check] | None = None,
    ) -> None:
        endpoints = {
            name: checks
            for name, checks in (("healthz", healthz), ("readyz", readyz))
            if checks is not None
        }

        class Handler(_HealthHandler):
            pass

        Handler.endpoints = endpoints
        super().__init__("health probes", address, Handler)


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_TIMEOUT_SECONDS

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: probes come every few seconds."""


class _MetricsHandler(_Handler, MetricsHandler):
    def do_GET(self) -> None:
        if urlsplit(self.path).path == METRICS_PATH:
            super().do_GET()
        else:
            self._answer(HTTPStatus.NOT_FOUND, NO_SUCH_PAGE)


class _HealthHandler(_Handler):
    endpoints: Mapping[str, Mapping[str, Check]] = {}

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        query = parse_qs(target.query, keep_blank_values=True)
        endpoint, _, check = target.path.strip("/").partition("/")
        found = self.endpoints.get(endpoint)
        # A copy: checks come and go while probes are answered.
        checks = {} if found is None else dict(found) or {"ping": ping}
        if not checks or (check and check not in checks):
            self._answer(HTTPStatus.NOT_FOUND, NO_SUCH_PAGE)
        elif check:
            self._answer(*_one(checks[check]))
        else:
            excluded = query.get("exclude", [])
            self._answer(*_all(endpoint, checks, excluded, verbose="verbose" in query))


def _one(check: Check) -> tuple[HTTPStatus, str]:
    try:
        check()
    except CheckFailed as error:
        return HTTPStatus.INTERNAL_SERVER_ERROR, f"internal server error: {error}\n"
    return HTTPStatus.OK, "ok"


def _all(
    endpoint: str, checks: Mapping[str, Check], excluded: Collection[str], *, verbose: bool
) -> tuple[HTTPStatus, str]:
    lines = []
    failed = []
    for name in sorted(checks):
        if name in excluded:
            lines.append(f"[+]{name} excluded: ok")
            continue
        try:
            checks[name]()
        except CheckFailed as error:
            # The reason goes to the log only: the port is open to everyone in the network.
            _log.warning("check failed", endpoint=endpoint, check=name, reason=str(error))
            failed.append(name)
            lines.append(f"[-]{name} failed: reason withheld")
        else:
            lines.append(f"[+]{name} ok")
    unknown = sorted(set(excluded) - set(checks))
    if unknown:
        quoted = ",".join(f'"{name}"' for name in unknown)
        lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
    if failed:
        return HTTPStatus.INTERNAL_SERVER_ERROR, _text(lines, CHECK_FAILED)
    if verbose:
        return HTTPStatus.OK, _text(lines, CHECK_PASSED)
    return HTTPStatus.OK, "ok"


def _text(lines: Collection[str], verdict: str) -> str:
    return "".join(f"{line}\n" for line in (*lines, verdict))
