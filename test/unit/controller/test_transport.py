"""How a request goes out and comes to an end, whatever the server does."""

import gc
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import kubernetes.client
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from controller import errors
from controller.clock import Clock, Deadline, DeadlineExceeded, SystemClock
from controller.metrics import Metrics
from controller.rest import transport
from controller.rest.counts import host_label
from controller.rest.transport import Call, Transport
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.tcpproxy import TcpProxy

POD = "/api/v1/namespaces/ns/pods/a"
READ = Call("GET", POD)
WRITE = Call("POST", "/api/v1/namespaces/ns/pods", body=b"{}", seconds=transport.WRITE_SECONDS)


def transport_to(url: str, clock: Clock | None = None) -> Transport:
    configuration = kubernetes.client.Configuration(host=url)
    configuration.proxy = None
    return transport_of(kubernetes.client.ApiClient(configuration), clock)


def transport_of(api_client: kubernetes.client.ApiClient, clock: Clock | None = None) -> Transport:
    return Transport(api_client, clock=clock or SystemClock(), metrics=Metrics(CollectorRegistry()))


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


def test_what_the_server_warns_of_is_logged(server: FakeApiServer) -> None:
    """Of a field that is deprecated, say, or of what the namespace's pod security would refuse."""
    server.expect(apiserver.answer(200, {}, Warning='299 - "would violate PodSecurity"'))

    with capture_logs() as lines:
        server.transport().request(WRITE)

    assert lines == [
        {
            "event": "warned by the API server",
            "log_level": "info",
            "request": "POST /api/v1/namespaces/ns/pods",
            "warning": "would violate PodSecurity",
        }
    ]


def test_a_redirect_is_a_refusal(server: FakeApiServer) -> None:
    """Whoever it leads to would be sent the credentials; what comes along is no object."""
    server.expect(apiserver.answer(302, {"kind": "Pod"}, Location=f"{server.url}/elsewhere"))

    with pytest.raises(errors.ApiError, match="302"):
        server.transport().request(READ)

    assert len(server.requests) == 1


def test_half_an_answer_is_none(server: FakeApiServer) -> None:
    server.expect(apiserver.half_an_answer)

    with pytest.raises(errors.TransportError, match=POD) as caught:
        server.transport().request(READ)

    assert not caught.value.refused


def test_a_refused_connection_says_so(server: FakeApiServer) -> None:
    connections = server.transport()
    server.stop_listening()

    with pytest.raises(errors.TransportError) as caught:
        connections.request(READ)

    server.listen_again()
    assert caught.value.refused


class TestDroppedConnections:
    """A kept-alive connection can be closed while a request is on its way."""

    def test_a_read_is_repeated_once(self, server: FakeApiServer) -> None:
        server.expect(apiserver.dropped, apiserver.ok({"a": 1}))

        assert json.loads(server.transport().request(READ)) == {"a": 1}

    def test_a_read_is_repeated_only_once(self, server: FakeApiServer) -> None:
        server.expect(apiserver.dropped, apiserver.dropped)

        with pytest.raises(errors.TransportError):
            server.transport().request(READ)

        assert len(server.requests) == 2

    def test_a_write_is_never_repeated(self, server: FakeApiServer) -> None:
        """It may have been carried out."""
        server.expect(apiserver.dropped)

        with pytest.raises(errors.TransportError):
            server.transport().request(WRITE)

        assert len(server.requests) == 1


class TestHalfOpenConnections:
    """Where one connection has fallen silent the others that are kept have as well."""

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
    def connections(self, network: TcpProxy, clock: FakeClock) -> Transport:
        return transport_to(f"http://127.0.0.1:{network.port}", clock)

    def get_three_at_once(self, server: FakeApiServer, connections: Transport) -> list[Any]:
        """Use three connections, which are kept then."""
        together = threading.Barrier(3)

        def answer(handler: apiserver.Handler) -> None:
            together.wait(STUCK_AFTER)
            apiserver.ok({"a": 1})(handler)

        server.expect(answer, answer, answer)
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(lambda _: json.loads(connections.request(READ)), range(3)))

    def time_out(self, connections: Transport, clock: FakeClock, waits: threading.Event) -> None:
        """Let the time of a request pass once it waits for what does not come."""
        deadline = Deadline.after(clock, 20.0)
        with ThreadPoolExecutor(1) as pool:
            asking = pool.submit(connections.request, Call("GET", POD, deadline=deadline))
            assert waits.wait(STUCK_AFTER)
            clock.step(20.0)
            with pytest.raises(DeadlineExceeded):
                asking.result(STUCK_AFTER)

    def test_a_request_without_an_answer_is_the_only_one(
        self, server: FakeApiServer, network: TcpProxy, connections: Transport, clock: FakeClock
    ) -> None:
        self.get_three_at_once(server, connections)
        network.freeze()

        self.time_out(connections, clock, network.held_back)

        assert self.get_three_at_once(server, connections) == [{"a": 1}] * 3

    def test_an_answer_that_stops_halfway_is_the_only_one(
        self, server: FakeApiServer, network: TcpProxy, connections: Transport, clock: FakeClock
    ) -> None:
        halfway = threading.Event()

        def half(handler: apiserver.Handler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "8")
            handler.end_headers()
            handler.wfile.write(b'{"a"')
            halfway.set()
            handler.hang()

        self.get_three_at_once(server, connections)
        server.expect(half)
        self.time_out(connections, clock, halfway)

        # Only what is connected by now; whatever is kept would be silent.
        network.freeze()
        assert self.get_three_at_once(server, connections) == [{"a": 1}] * 3


def test_as_many_connections_are_kept_as_were_in_use_at_once(
    server: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    """With a fixed number, 256 workers made a connection for most of their requests."""
    count = 100
    connections, together = server.transport(), threading.Barrier(count)

    def answer(handler: apiserver.Handler) -> None:
        together.wait(STUCK_AFTER)
        apiserver.answer(200, str(handler.client_address[1]).encode())(handler)

    def burst() -> set[bytes]:
        server.expect(*[answer] * count)
        with ThreadPoolExecutor(count) as pool:
            return set(pool.map(lambda _: connections.request(READ), range(count)))

    with caplog.at_level(logging.WARNING):
        first, second = burst(), burst()

    assert first == second
    assert caplog.records == []


def test_connections_are_closed_with_their_transport(server: FakeApiServer) -> None:
    """A descriptor each would stay with the process for ever."""
    closed = threading.Event()

    def answer(handler: apiserver.Handler) -> None:
        apiserver.ok({})(handler)
        handler.wait_until_closed()
        closed.set()

    server.expect(answer)
    connections = server.transport()
    connections.request(READ)

    del connections
    gc.collect()

    assert closed.wait(STUCK_AFTER)


def test_requests_are_counted(server: FakeApiServer) -> None:
    registry, clock = CollectorRegistry(), FakeClock()
    connections = server.transport(Metrics(registry), clock)
    server.expect(apiserver.ok({}), apiserver.failure(404, "NotFound"), apiserver.silence)

    connections.request(Call("POST", POD, body=b"12345"))
    with pytest.raises(errors.NotFound):
        connections.request(READ)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(
            connections.request, Call("GET", POD, deadline=Deadline.after(clock, 20.0))
        )
        server.wait_for_requests(3)
        clock.step(20.0)
        with pytest.raises(DeadlineExceeded):
            asking.result(STUCK_AFTER)

    host = server.url.removeprefix("http://")
    counted = {
        (sample.labels["method"], sample.labels["code"], sample.labels["host"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "rest_client_requests_total"
    }
    assert counted == {
        ("POST", "200", host): 1,
        ("GET", "404", host): 1,
        ("GET", "<error>", host): 1,
    }
    sizes = {"verb": "POST", "host": host}
    assert registry.get_sample_value("rest_client_request_size_bytes_sum", sizes) == 5


@pytest.mark.parametrize(
    ("url", "label"),
    [
        pytest.param("https://10.0.0.1:6443", "10.0.0.1:6443", id="host and port"),
        pytest.param("https://user:secret@h:1/proxy", "h:1", id="never what may be secret"),
        pytest.param("https://[fd00::1]:6443", "[fd00::1]:6443", id="IPv6"),
        pytest.param("https://api.example", "api.example", id="no port"),
    ],
)
def test_the_host_label(url: str, label: str) -> None:
    assert host_label(url) == label


def test_an_api_below_a_path_is_asked_there(server: FakeApiServer) -> None:
    server.expect(apiserver.ok({}))

    transport_to(f"{server.url}/clusters/one").request(READ)

    assert server.requests[0].path == f"/clusters/one{POD}"


def test_a_proxy_is_told_where_a_request_goes(server: FakeApiServer) -> None:
    server.expect(apiserver.ok({}))
    configuration = kubernetes.client.Configuration(host="http://api.invalid:6443")
    configuration.proxy = server.url

    transport_of(kubernetes.client.ApiClient(configuration)).request(READ)

    (request,) = server.requests
    assert request.path == POD
    assert request.headers["host"] == "api.invalid:6443"


def test_whoever_is_impersonated_goes_along(server: FakeApiServer) -> None:
    api_client = server.api_client()
    api_client.default_headers["Impersonate-User"] = "somebody"
    server.expect(apiserver.ok({}))

    transport_of(api_client).request(READ)

    assert server.requests[0].headers["impersonate-user"] == "somebody"
