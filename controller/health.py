"""The HTTP servers for the kubelet's probes and for Prometheus.

Follows controller-runtime pkg/healthz/healthz.go and pkg/metrics/server: paths, words and status
codes are the same, so that probes and dashboards made for it fit.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import structlog
from prometheus_client.exposition import MetricsHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from prometheus_client import CollectorRegistry

    from controller.stop import Stop

    #: Returns when all is well, and raises `CheckFailed` when not, as controller-runtime's Checker.
    Check = Callable[[], None]

DISABLED = "0"

METRICS_PATH = "/metrics"
NO_SUCH_PAGE = "404 page not found\n"

# The words are the same for both endpoints.
CHECK_PASSED = "healthz check passed"
CHECK_FAILED = "healthz check failed"

# A client that says nothing for this long holds a thread no longer.
_CLIENT_TIMEOUT_SECONDS = 10.0

_log = structlog.get_logger()


class CheckFailed(Exception):
    """What a probe asked about is not well; the message says what, for the log."""


def ping() -> None:
    """Return: the check of an endpoint that was given none."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, handler: type[BaseHTTPRequestHandler]) -> None:
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if ":" in host or (not host and socket.has_dualstack_ipv6()):
            self.address_family = socket.AF_INET6
        super().__init__((host, int(port)), handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Past HTTPServer, which asks the DNS for a name that nobody needs: where that does not
        # answer, the start would hang.
        TCPServer.server_bind(self)
        self.server_port = self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - socketserver's signature
        """Log what ended a request early: the inherited one prints it, and no line of a log."""
        if not isinstance(sys.exc_info()[1], OSError):
            _log.exception("request failed")


class _HttpRunnable:
    """Serves one address until it is told to stop."""

    def __init__(self, name: str, address: str, handler: type[BaseHTTPRequestHandler]) -> None:
        self.name = name
        # Here and not in `run`: a port that is taken is an error of the start.
        self._server = None if address == DISABLED else _Server(address, handler)

    @property
    def port(self) -> int:
        """The port that it listens on; 0 if it is switched off."""
        return 0 if self._server is None else self._server.server_port

    def run(self, stop: Stop) -> None:
        """Serve until the event is set."""
        if self._server is None:
            stop.wait()
            return
        _log.info("serving", server=self.name, port=self.port)
        with self._server as server:
            threading.Thread(
                target=_wake_at, args=(stop, server.socket), name=f"{self.name}-stop", daemon=True
            ).start()
            while not stop.is_set():
                server.handle_request()


def _wake_at(stop: Stop, listening: socket.socket) -> None:
    """End the wait for a connection once the event is set: Linux then calls the socket readable."""
    stop.wait()
    with contextlib.suppress(OSError):
        listening.shutdown(socket.SHUT_RDWR)


class MetricsServer(_HttpRunnable):
    """Serves a registry's metrics at `/metrics`."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        """Open the port.

        Args:
            address: `host:port` or `:port`; `0` for none.
            registry: What is served.

        Raises:
            OSError: The port cannot be had.
        """

        class Handler(_MetricsHandler):
            pass

        Handler.registry = registry
        super().__init__("metrics", address, Handler)


class HealthServer(_HttpRunnable):
    """Serves `/healthz` and `/readyz`."""

    def __init__(
        self,
        address: str,
        *,
        healthz: Mapping[str, Check] | None = None,
        readyz: Mapping[str, Check] | None = None,
    ) -> None:
        """Open the port.

        Args:
            address: `host:port` or `:port`; `0` for none.
            healthz: Checks of the process by name, looked up at each probe. Without them there is
                no such path; with an empty mapping it always succeeds.
            readyz: Checks of its readiness, likewise.

        Raises:
            OSError: The port cannot be had.
        """
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
        """Say nothing: probes come every few seconds."""


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
        # Checks come and go with the parts of the process, while probes are answered.
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
            # The reason is for the log: whoever can reach the port needs no details.
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
