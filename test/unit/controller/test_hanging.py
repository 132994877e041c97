"""A server that keeps its clients waiting, at each point of a request."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import kubernetes.client
import pytest
from attrs import evolve
from prometheus_client import CollectorRegistry

from controller import errors
from controller.clock import Clock, Deadline, DeadlineExceeded, SystemClock
from controller.metrics import Metrics
from controller.rest import transport
from controller.rest.cutoff import STOP_GRACE_SECONDS
from controller.rest.transport import Call, Transport
from controller.stop import Stop
from fakes import apiserver, traps
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.ports import port_of, reserved

POD = "/api/v1/namespaces/ns/pods/a"
READ = Call("GET", POD)
WRITE = Call("POST", "/api/v1/namespaces/ns/pods", body=b"{}", seconds=transport.WRITE_SECONDS)


def transport_to(url: str, clock: Clock | None = None) -> Transport:
    configuration = kubernetes.client.Configuration(host=url)
    configuration.proxy = None
    return transport_of(kubernetes.client.ApiClient(configuration), clock)


def transport_of(api_client: kubernetes.client.ApiClient, clock: Clock | None = None) -> Transport:
    return Transport(api_client, clock=clock or SystemClock(), metrics=Metrics(CollectorRegistry()))


class Hanging:
    """A request to a server that keeps it waiting, on a clock that only the test moves."""

    def __init__(self, way: str, call: Call, trap: traps.Trap) -> None:
        self.trap = trap
        self.clock = FakeClock()
        self.stop = Stop()
        self.description = call.description
        self.seconds = call.seconds
        scheme, host = ("https", "api.invalid") if "proxy" in way else (way, "127.0.0.1")
        configuration = kubernetes.client.Configuration(host=f"{scheme}://{host}:{trap.port}")
        proxy = {"proxy": "http", "secure proxy": "https"}.get(way)
        configuration.proxy = proxy and f"{proxy}://127.0.0.1:{trap.port}"
        self._transport = transport_of(kubernetes.client.ApiClient(configuration), self.clock)
        self._call = call
        self._pool = ThreadPoolExecutor(1)
        self._result: Future[bytes]

    def start(self, seconds: float | None) -> None:
        """Send the request, with a deadline or without, and return once it hangs."""
        call = self._call
        if seconds is not None:
            deadline = Deadline.after(self.clock, seconds, stop=self.stop)
            call = evolve(call, deadline=deadline)
        self._result = self._pool.submit(self._transport.request, call)
        self.trap.wait_until_reached()
        self.clock.block_until_waiters(1)

    def done(self) -> bool:
        return self._result.done()

    def result(self) -> bytes:
        try:
            return self._result.result(STUCK_AFTER)
        finally:
            self._pool.shutdown()


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


class TestHanging:
    """A server that keeps a client waiting, at every point of a request."""

    LARGE = b" " * 10_000_000

    @pytest.fixture(
        params=[
            pytest.param(("http", READ, traps.say_nothing), id="no answer"),
            pytest.param(("https", READ, traps.say_nothing), id="no TLS handshake"),
            pytest.param(("http", WRITE, traps.say_nothing), id="no answer to a write"),
            pytest.param(("http", evolve(WRITE, body=LARGE), traps.say_nothing), id="no reading"),
            pytest.param(("http", READ, traps.drip_headers), id="headers byte by byte"),
            pytest.param(("http", READ, traps.drip_body), id="a body byte by byte"),
            pytest.param(
                ("http", READ, traps.drip_body_without_length), id="a body that has no end"
            ),
            pytest.param(("proxy", READ, traps.say_nothing), id="no tunnel from a proxy"),
            pytest.param(("secure proxy", READ, traps.say_nothing), id="no TLS with a proxy"),
        ]
    )
    def hanging(self, request: pytest.FixtureRequest) -> Iterator[Hanging]:
        way, call, behaviour = request.param
        with traps.trap(behaviour) as trap:
            yield Hanging(way, call, trap)

    def test_the_deadline_bounds_everything(self, hanging: Hanging) -> None:
        hanging.start(20.0)

        hanging.clock.step(19.0)
        assert not hanging.done()
        hanging.clock.step(1.0)

        with pytest.raises(DeadlineExceeded, match=hanging.description):
            hanging.result()

    def test_without_one_the_transports_own_limit_does(self, hanging: Hanging) -> None:
        hanging.start(None)

        hanging.clock.step(hanging.seconds - 1.0)
        assert not hanging.done()
        hanging.clock.step(1.0)

        with pytest.raises(errors.TransportError, match="timed out"):
            hanging.result()

    def test_a_stop_cuts_it_after_a_second(self, hanging: Hanging) -> None:
        hanging.start(3600.0)

        hanging.stop.set()
        assert not hanging.done()
        hanging.clock.step(STOP_GRACE_SECONDS)

        with pytest.raises(errors.Stopped, match=hanging.description):
            hanging.result()

    def test_a_deadline_that_has_passed_sends_nothing(self, server: FakeApiServer) -> None:
        clock = FakeClock()
        deadline = Deadline.after(clock, 10)
        clock.step(11)

        with pytest.raises(DeadlineExceeded):
            server.transport(clock=clock).request(evolve(READ, deadline=deadline))

        assert server.requests == []

    def test_a_connection_that_is_not_made_is_given_up(self) -> None:
        with traps.unreachable() as port:
            connections = transport_to(f"http://127.0.0.1:{port}")
            deadline = Deadline.after(SystemClock(), 0.2)

            with pytest.raises(DeadlineExceeded):
                connections.request(evolve(READ, deadline=deadline))

    def test_a_stop_ends_the_wait_for_a_connection(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock, stop = FakeClock(), Stop()
        dialled: SimpleQueue[socket.socket] = SimpleQueue()
        connect = socket.socket.connect

        def note(sock: socket.socket, address: Any) -> None:
            dialled.put(sock)
            connect(sock, address)

        # It is not the limit of one address that ends the wait.
        monkeypatch.setattr("controller.rest.connections.CONNECT_SECONDS", 2 * STUCK_AFTER)
        with traps.unreachable() as port, ThreadPoolExecutor(1) as pool:
            monkeypatch.setattr(socket.socket, "connect", note)
            call = evolve(READ, deadline=Deadline.after(clock, 3600.0, stop=stop))
            waiting = pool.submit(transport_to(f"http://127.0.0.1:{port}", clock).request, call)
            wait_until_connecting(dialled.get(timeout=STUCK_AFTER))
            stop.set()
            clock.step(STOP_GRACE_SECONDS)

            with pytest.raises(errors.Stopped):
                waiting.result(STUCK_AFTER)


def wait_until_connecting(sock: socket.socket) -> None:
    """Return once the kernel connects a socket: from then on it has a port of its own."""
    for _ in range(int(STUCK_AFTER / 0.01)):
        if sock.getsockname()[1]:
            return
        threading.Event().wait(0.01)
    raise AssertionError("the socket is not being connected")


class TestNames:
    """The look-up of a name cannot be woken: the request goes on without it."""

    @pytest.fixture
    def answered(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        """Have the server of names answer only once this is set, with this machine."""
        answered, look_up = threading.Event(), socket.getaddrinfo

        def slow(host: str, *arguments: Any, **options: Any) -> Any:
            if host != "api.example":
                return look_up(host, *arguments, **options)
            if options.get("flags") == socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "no address")
            answered.wait(STUCK_AFTER)
            return look_up("127.0.0.1", *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        yield answered
        answered.set()

    def test_one_that_does_not_end_is_left_to_itself(
        self, server: FakeApiServer, answered: threading.Event
    ) -> None:
        connections = transport_to(f"http://api.example:{server.port}")
        deadline = Deadline.after(SystemClock(), 0.2)

        with pytest.raises(DeadlineExceeded):
            connections.request(evolve(READ, deadline=deadline))

        assert not answered.is_set()

    def test_one_that_takes_its_time_is_waited_for(
        self, server: FakeApiServer, answered: threading.Event
    ) -> None:
        server.expect(apiserver.ok({}))
        with ThreadPoolExecutor(1) as pool:
            request = pool.submit(transport_to(f"http://api.example:{server.port}").request, READ)
            answered.set()

            assert request.result(STUCK_AFTER) == b"{}"

    def test_one_that_nobody_has_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The machine's own server of names is not asked: it may be slow, or know all names."""

        def look_up(*_arguments: Any, **_options: Any) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

        with pytest.raises(errors.TransportError, match=r"api\.invalid"):
            transport_to("http://api.invalid").request(READ)

    def test_the_next_address_is_tried(
        self, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A name may have addresses that nobody listens at."""
        closed = reserved()
        kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        addresses = [("127.0.0.1", port_of(closed)), ("127.0.0.1", server.port)]

        def look_up(_host: str, *_arguments: Any, **options: Any) -> Any:
            if options.get("flags") == socket.AI_NUMERICHOST:
                raise socket.gaierror(socket.EAI_NONAME, "no address")
            return [(*kind, address) for address in addresses]

        server.expect(apiserver.ok({}))
        connections = transport_to("http://api.example")
        monkeypatch.setattr(socket, "getaddrinfo", look_up)

        assert connections.request(READ) == b"{}"
        closed.close()


def test_a_write_has_longer_than_a_webhook_may_take(server: FakeApiServer) -> None:
    """A dead webhook that may be passed over takes 30 s; in as many no write would succeed."""
    late = threading.Event()

    def answer(handler: apiserver.Handler) -> None:
        late.wait(STUCK_AFTER)
        apiserver.ok({})(handler)

    clock = FakeClock()
    server.expect(answer)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(server.transport(clock=clock).request, WRITE)
        server.wait_for_requests(1)
        clock.block_until_waiters(1)
        clock.step(60.0)
        late.set()

        assert writing.result(STUCK_AFTER) == b"{}"
