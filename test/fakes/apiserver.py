"""An API server on loopback that does what a script says, misbehaviour included.

A test lists the answers in the order of the requests it expects; what was asked is recorded. A
request beyond the script gets silence: its connection stays open and nothing comes.
"""

import contextlib
import json
import socket
import ssl
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

import kubernetes.client
from attrs import frozen
from prometheus_client import CollectorRegistry

from controller.clock import Clock, SystemClock
from controller.metrics import Metrics
from controller.rest.transport import Transport
from fakes.clock import STUCK_AFTER
from fakes.ports import port_of, reserved

Object = dict[str, Any]

#: How a watch ends: in good order, torn off between events, inside one, never (half-open), or not
#: yet, as more of the script follows.
End = Literal["clean", "cut", "truncated", "silent", "open"]


@frozen
class RecordedRequest:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def verb(self) -> str:
        """The Kubernetes verb, as in a Role."""
        if self.method != "GET":
            return self.method.lower()
        return "watch" if self.query.get("watch") else "get or list"


Answer = Callable[["Handler"], None]


class FakeApiServer:
    """A server for one test; a context manager that frees the port and all connections."""

    def __init__(
        self, *script: Answer, tls: Path | None = None, clients: Path | None = None
    ) -> None:
        """Start listening.

        Args:
            script: The answers, in the order of the requests.
            tls: A PEM file with certificate and key, None for plain HTTP.
            clients: A PEM file with the certificates that clients must have one of, None for any
                client.
        """
        self._lock = threading.Condition()
        self._script = deque(script)
        self._requests: list[RecordedRequest] = []
        self._tls = tls
        self._clients = clients
        self._connections: list[socket.socket] = []
        self.closing = threading.Event()
        #: What each client said of itself that asked for a tunnel to another server.
        self.logins: list[str] = []
        self._reserved = reserved()
        self._port = port_of(self._reserved)
        self._listener = self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.stop_listening()
        self.drop_connections()
        self._reserved.close()

    @property
    def url(self) -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def requests(self) -> list[RecordedRequest]:
        with self._lock:
            return list(self._requests)

    def api_client(self) -> kubernetes.client.ApiClient:
        configuration = kubernetes.client.Configuration(host=self.url)
        configuration.proxy = None
        if self._tls:
            configuration.ssl_ca_cert = str(self._tls)
        return kubernetes.client.ApiClient(configuration)

    def transport(self, metrics: Metrics | None = None, clock: Clock | None = None) -> Transport:
        """Return connections to this server.

        Args:
            metrics: Where requests are counted; nowhere unless given.
            clock: The time; the machine's unless given.
        """
        return Transport(
            self.api_client(),
            clock=clock or SystemClock(),
            metrics=metrics or Metrics(CollectorRegistry()),
        )

    def expect(self, *answers: Answer) -> None:
        """Append to the script."""
        with self._lock:
            self._script.extend(answers)

    def wait_for_requests(self, count: int) -> list[RecordedRequest]:
        """Return all requests once there are `count`."""
        with self._lock:
            reached = self._lock.wait_for(lambda: len(self._requests) >= count, STUCK_AFTER)
            assert reached, f"{len(self._requests)} requests came, expected {count}"
            return list(self._requests)

    def stop_listening(self) -> None:
        """Refuse connections from now on; those that stand stay."""
        self._listener.shutdown()
        self._listener.server_close()

    def drop_connections(self) -> None:
        """Close the connections that stand."""
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            self._connections.clear()

    def connected(self, connection: socket.socket) -> None:
        """Remember a connection."""
        with self._lock:
            self._connections.append(connection)

    def listen_again(self) -> None:
        """Accept connections at the old port."""
        self._listener = self._listen()

    def record(self, request: RecordedRequest) -> Answer:
        """Take a request down and return the answer to it."""
        with self._lock:
            self._requests.append(request)
            self._lock.notify_all()
            return self._script.popleft() if self._script else silence

    def _listen(self) -> "_Listener":
        listener = _Listener(("127.0.0.1", self._port), Handler)
        listener.fake = self
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._tls)
            if self._clients:
                context.load_verify_locations(self._clients)
                context.verify_mode = ssl.CERT_REQUIRED
            listener.socket = context.wrap_socket(listener.socket, server_side=True)
        threading.Thread(
            target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()
        return listener


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # As many as a test opens at once. The kernel drops those beyond five, the default, and they
    # try again ever more rarely.
    request_queue_size = socket.SOMAXCONN
    fake: FakeApiServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about a client that has gone: some tests cut their connections."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def setup(self) -> None:
        super().setup()
        self.server.fake.connected(self.connection)

    def peer_name(self) -> str:
        """Return the common name in the client's certificate."""
        assert isinstance(self.connection, ssl.SSLSocket)
        certificate: Any = self.connection.getpeercert()
        (((_, name),),) = certificate["subject"]
        return str(name)

    def handle_any(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length", 0))
        content = self.rfile.read(length)
        if len(content) < length:
            # Given up by the client: as if it had never been asked.
            self.close_connection = True
            return
        answer = self.server.fake.record(
            RecordedRequest(
                method=self.command,
                path=url.path,
                query=dict(parse_qsl(url.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=json.loads(content) if content else None,
            )
        )
        answer(self)

    def do_CONNECT(self) -> None:
        """Be the proxy as well: what comes through its tunnel is asked of this server."""
        self.server.fake.logins.append(self.headers.get("Proxy-Authorization", ""))
        # Whatever version of HTTP asks for it.
        self.close_connection = False
        self.send_response(200)
        self.end_headers()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output clean."""

    def hang(self) -> None:
        """Say nothing more until the test is over."""
        self.server.fake.closing.wait()
        self.close_connection = True

    def wait_until_closed(self) -> None:
        """Say nothing more until the client has closed the connection."""
        self.close_connection = True
        self.rfile.read(1)

    def tear(self) -> None:
        """Drop the connection in mid-sentence."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def send_chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        self.wfile.flush()


def answer(status: int, body: Object | bytes, **headers: str) -> Answer:
    """Answer a request; an underscore in a header's name stands for a hyphen."""

    def send(handler: Handler) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


def ok(body: Object) -> Answer:
    """Answer with an object."""
    return answer(200, body)


def who(handler: "Handler") -> None:
    """Answer with the connection's own name."""
    ok({"port": handler.client_address[1]})(handler)


def failure(status: int, reason: str = "", *causes: str, **headers: str) -> Answer:
    """Answer with a Status object."""
    return answer(status, status_object(status, reason, *causes), **headers)


def dropped(handler: Handler) -> None:
    """Close the connection without an answer."""
    handler.tear()


def silence(handler: Handler) -> None:
    """Keep the connection open and never answer."""
    handler.hang()


def trickle(handler: Handler) -> None:
    """Send one byte after the other until the client has had enough."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    with contextlib.suppress(OSError):
        while not handler.server.fake.closing.wait(0.01):
            handler.wfile.write(b" ")


def half_an_answer(handler: Handler) -> None:
    """Announce more bytes than are sent."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"half": ')
    handler.tear()


def watch(*events: Object | Callable[[], object], end: End = "clean") -> Answer:
    """Answer a watch with events; a function among them holds the stream until it returns."""

    def send(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        for event in events:
            if callable(event):
                event()
            else:
                handler.send_chunk(json.dumps(event).encode() + b"\n")
        match end:
            case "clean":
                handler.send_chunk(b"")
            case "cut":
                handler.tear()
            case "truncated":
                handler.send_chunk(b'{"type": "ADDED", "obj')
                handler.send_chunk(b"")
            case "silent":
                handler.hang()
            case "open":
                pass

    return send


def stream(*pieces: bytes, end: Literal["clean", "cut", "silent"] = "clean") -> Answer:
    """Answer with bytes, piece by piece."""

    def send(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.send_chunk(piece)
        match end:
            case "clean":
                handler.send_chunk(b"")
            case "cut":
                handler.tear()
            case "silent":
                handler.hang()

    return send


def pod(name: str, version: int, *, uid: str = "", **fields: Any) -> Object:
    """Make a small object; its content is its resource version."""
    metadata = {
        "namespace": "ns",
        "name": name,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(version),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, **fields}


def event(type_: str, obj: Object) -> Object:
    return {"type": type_, "object": obj}


def added(name: str, version: int) -> Object:
    return event("ADDED", pod(name, version))


def modified(name: str, version: int) -> Object:
    return event("MODIFIED", pod(name, version))


def deleted(name: str, version: int) -> Object:
    return event("DELETED", pod(name, version))


def bookmark(version: int) -> Object:
    return event("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(version)}})


def initial_events_end(version: int) -> Object:
    """Make the bookmark after the last object that existed when the watch began."""
    mark = bookmark(version)
    mark["object"]["metadata"]["annotations"] = {"k8s.io/initial-events-end": "true"}
    return mark


def error_event(status: int, reason: str = "") -> Object:
    return event("ERROR", status_object(status, reason))


def status_object(status: int, reason: str = "", *causes: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": status,
        "reason": reason,
        "message": "said the script",
        "details": {"causes": [{"reason": cause} for cause in causes]},
    }


def pod_list(items: Iterable[Object], version: int, *, continue_token: str = "") -> Object:
    """Make a list; its items lack kind and apiVersion, as those of a real server do."""
    bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
    metadata = {"resourceVersion": str(version), "continue": continue_token}
    return {"apiVersion": "v1", "kind": "PodList", "metadata": metadata, "items": bare}
