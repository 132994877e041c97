"""The stream of a watch, and every way in which it ends."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes.client
import pytest
from prometheus_client import CollectorRegistry

from controller import errors
from controller.metrics import Metrics
from controller.rest.client import Client, Resource
from controller.rest.transport import OPEN_SECONDS, Transport
from controller.rest.watch import WatchStream
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.certificates import self_signed
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.tcpproxy import TcpProxy

PODS = Resource("", "v1", "pods", "Pod")

#: Seconds of a clock that only the test moves.
READ_TIMEOUT = 90.0


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


def client_of(server: FakeApiServer, clock: FakeClock | None = None) -> Client:
    return Client(server.transport(clock=clock), field_manager="tester")


def open_watch(client: Client, stop: Stop | None = None) -> WatchStream:
    return client.watch(
        PODS,
        "ns",
        resource_version="5",
        timeout_seconds=300,
        read_timeout=READ_TIMEOUT,
        send_initial_events=True,
        stop=stop,
    )


def test_it_yields_its_events_and_ends_in_good_order(server: FakeApiServer) -> None:
    large = apiserver.event("ADDED", apiserver.pod("large", 1, padding="x" * 500_000))
    events = [large, apiserver.added("a", 2), apiserver.bookmark(3)]
    server.expect(apiserver.watch(*events))

    with open_watch(client_of(server)) as stream:
        assert list(stream) == events

    assert server.requests[0].query == {
        "watch": "true",
        "resourceVersion": "5",
        "timeoutSeconds": "300",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("cut", id="the connection broke between events"),
        pytest.param("truncated", id="the stream ended inside an event"),
    ],
)
def test_it_does_not_end_in_good_order(server: FakeApiServer, end: apiserver.End) -> None:
    server.expect(apiserver.watch(apiserver.added("a", 1), end=end))

    with open_watch(client_of(server)) as stream:
        assert next(stream) == apiserver.added("a", 1), "what came before the break is delivered"
        with pytest.raises(errors.TransportError):
            next(stream)


def test_a_refused_watch_raises_at_once(server: FakeApiServer) -> None:
    server.expect(apiserver.failure(410, "Expired"))

    with pytest.raises(errors.Gone):
        open_watch(client_of(server))


class Reader:
    """A thread that reads a stream to its end."""

    def __init__(self, stream: WatchStream) -> None:
        self.events: list[Any] = []
        self.failure: Exception | None = None
        self._stream = stream
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_until_ended(self) -> None:
        self._thread.join(STUCK_AFTER)
        assert not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def _read(self) -> None:
        try:
            self.events.extend(self._stream)
        except errors.ClientError as error:
            self.failure = error


@pytest.mark.parametrize("tls", [pytest.param(False, id="plain"), pytest.param(True, id="TLS")])
class TestSilence:
    """A stream on which nothing comes, whose reader only another thread can wake."""

    @pytest.fixture
    def server(self, *, tls: bool, tmp_path: Path) -> Iterator[FakeApiServer]:
        script = apiserver.watch(apiserver.added("a", 1), end="silent")
        with FakeApiServer(script, tls=self_signed(tmp_path) if tls else None) as started:
            yield started

    def test_a_stop_ends_it_at_once(self, server: FakeApiServer) -> None:
        """The clock stands still: no second of grace passes."""
        stop, clock = Stop(), FakeClock()
        with open_watch(client_of(server, clock), stop) as stream:
            next(stream)
            reader = Reader(stream)
            clock.block_until_waiters(1)

            stop.set()
            reader.wait_until_ended()

        assert (reader.events, reader.failure) == ([], None)

    def test_it_counts_as_dead_after_the_read_timeout(self, server: FakeApiServer) -> None:
        clock = FakeClock()
        with open_watch(client_of(server, clock)) as stream:
            next(stream)
            reader = Reader(stream)
            clock.step_until(lambda: reader.ended)

        assert clock.monotonic() >= READ_TIMEOUT
        assert isinstance(reader.failure, errors.TransportError)
        assert "timed out" in str(reader.failure)


def test_a_stop_cuts_a_watch_that_is_being_opened(server: FakeApiServer) -> None:
    stop, clock = Stop(), FakeClock()
    client = client_of(server, clock)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_watch, client, stop)
        server.wait_for_requests(1)

        stop.set()

        with pytest.raises(errors.Stopped):
            opening.result(STUCK_AFTER)


def test_a_watch_that_does_not_begin_is_given_up(server: FakeApiServer) -> None:
    clock = FakeClock()
    client = client_of(server, clock)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_watch, client)
        server.wait_for_requests(1)
        clock.block_until_waiters(1)

        clock.step(OPEN_SECONDS)

        with pytest.raises(errors.TransportError, match="timed out"):
            opening.result(STUCK_AFTER)


class TestIdleConnections:
    """A quiet resource and a network that is gone look alike until the watch is opened again."""

    @pytest.fixture
    def network(self, server: FakeApiServer) -> Iterator[TcpProxy]:
        port = urlsplit(server.url).port
        assert port
        with TcpProxy("127.0.0.1", port) as proxy:
            yield proxy

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def client(self, network: TcpProxy, clock: FakeClock) -> Client:
        configuration = kubernetes.client.Configuration(host=f"http://127.0.0.1:{network.port}")
        configuration.proxy = None
        transport = Transport(
            kubernetes.client.ApiClient(configuration),
            clock=clock,
            metrics=Metrics(CollectorRegistry()),
        )
        return Client(transport, field_manager="tester")

    def fall_silent(self, client: Client, server: FakeApiServer, clock: FakeClock) -> None:
        """Use a connection, which is kept, while a watch on another one is silent for too long."""
        server.expect(apiserver.watch(end="silent"), apiserver.who)
        with open_watch(client) as stream:
            self.kept = client.get(PODS, "ns", "a")
            reader = Reader(stream)
            clock.step_until(lambda: reader.ended)
            assert isinstance(reader.failure, errors.TransportError)

    def in_use(self, client: Client, server: FakeApiServer) -> list[Any]:
        """Return the connections that two requests at once use: that of the watch was closed."""
        together = threading.Barrier(2)

        def answer(handler: apiserver.Handler) -> None:
            together.wait(STUCK_AFTER)
            apiserver.who(handler)

        server.expect(answer, answer)
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda name: client.get(PODS, "ns", name), "ab"))

    def test_a_quiet_watch_leaves_them(
        self, server: FakeApiServer, client: Client, clock: FakeClock
    ) -> None:
        """Every 90 s, for each quiet resource, each request would connect anew."""
        self.fall_silent(client, server, clock)

        assert self.kept in self.in_use(client, server)

    def test_they_go_if_the_watch_cannot_be_opened_again(
        self, server: FakeApiServer, client: Client, clock: FakeClock, network: TcpProxy
    ) -> None:
        self.fall_silent(client, server, clock)
        network.freeze()
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(open_watch, client)
            clock.step_until(opening.done)
            with pytest.raises(errors.TransportError, match="timed out"):
                opening.result(STUCK_AFTER)

        assert self.kept not in self.in_use(client, server)
