"""The way of a command to its container: proxies, deadlines, the stop, credentials, the fence."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
from prometheus_client import CollectorRegistry
from urllib3 import make_headers

from controller import errors
from controller.clock import Deadline, DeadlineExceeded, SystemClock
from controller.metrics import Metrics
from controller.rest.credentials import TokenFile
from controller.rest.cutoff import STOP_GRACE_SECONDS
from controller.rest.podexec import ExecResult, Executor
from controller.rest.transport import OPEN_SECONDS, Call, Transport
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.certificates import self_signed
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.httpproxy import TunnelProxy
from fakes.podexec import ExecStream, exec_session, make_executor, run, succeed


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


class TestProxy:
    """A command takes the way that all other requests take."""

    def run(self, host: str, **options: Any) -> ExecResult:
        configuration = kubernetes.client.Configuration(host=host)
        for name, value in options.items():
            setattr(configuration, name, value)
        transport = Transport(
            kubernetes.client.ApiClient(configuration),
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
        )
        deadline = Deadline.after(SystemClock(), STUCK_AFTER)
        return Executor(transport).run("ns", "pod-a", "kopia", ["true"], deadline=deadline)

    @pytest.mark.parametrize(
        ("login", "told"),
        [
            pytest.param({}, "", id="open to everybody"),
            pytest.param(
                make_headers(proxy_basic_auth="me:p@ss"), "Basic bWU6cEBzcw==", id="with a login"
            ),
        ],
    )
    def test_a_proxy_takes_it_to_a_server_that_only_the_proxy_knows(
        self, server: FakeApiServer, login: dict[str, str], told: str
    ) -> None:
        server.expect(exec_session(succeed))

        result = self.run("http://api.invalid:6443", proxy=server.url, proxy_headers=login)

        assert result.exit_code == 0
        assert server.logins == [told]

    @pytest.mark.parametrize(
        "secure",
        [
            pytest.param(False, id="TLS through a proxy that is spoken to in plain"),
            pytest.param(True, id="TLS within the proxy's own"),
        ],
    )
    def test_a_tunnel_leads_to_a_server_with_tls(self, tmp_path: Path, *, secure: bool) -> None:
        tls = self_signed(tmp_path)
        with (
            FakeApiServer(exec_session(succeed), tls=tls) as server,
            TunnelProxy(server.port, tls=tls if secure else None) as proxy,
        ):
            result = self.run(
                f"https://localhost:{server.port}", proxy=proxy.url, ssl_ca_cert=str(tls)
            )

        assert result.exit_code == 0
        assert proxy.asked == [f"CONNECT localhost:{server.port} HTTP/1.0"]

    @pytest.mark.parametrize(
        "exception",
        [
            pytest.param("127.0.0.0/8", id="by its network"),
            pytest.param("localhost, 127.0.0.1", id="in a list with spaces"),
            pytest.param("127.0.0.1:{port}", id="with its port"),
        ],
    )
    def test_a_server_that_is_excepted_is_asked_directly(
        self, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, exception: str
    ) -> None:
        port = server.url.rpartition(":")[2]
        monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
        monkeypatch.setenv("no_proxy", exception.format(port=port))
        server.expect(exec_session(succeed))

        assert self.run(server.url).exit_code == 0


def test_a_refused_connection(server: FakeApiServer) -> None:
    server.stop_listening()

    with pytest.raises(errors.TransportError) as caught:
        run(server)

    server.listen_again()
    assert caught.value.refused


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(exec_session(ExecStream.hang), id="a command that goes on"),
        pytest.param(apiserver.silence, id="a server that does not answer"),
    ],
)
def test_the_deadline_covers_everything(server: FakeApiServer, answer: apiserver.Answer) -> None:
    server.expect(answer)

    with pytest.raises(DeadlineExceeded, match="EXEC ns/pod-a/kopia"):
        run(server, seconds=0.2)


class Run:
    """A command that a thread runs, on a clock that only the test moves."""

    def __init__(self, server: FakeApiServer, seconds: float, *before: Call) -> None:
        self.clock, self.stop = FakeClock(), Stop()
        self._pool = ThreadPoolExecutor(1)
        deadline = Deadline.after(self.clock, seconds, stop=self.stop)
        self.transport = server.transport(clock=self.clock)
        self.answers = [self.transport.request(call) for call in before]
        self._result = self._pool.submit(
            Executor(self.transport).run, "ns", "pod-a", "kopia", ["sleep"], deadline=deadline
        )
        server.wait_for_requests(len(before) + 1)
        self.clock.block_until_waiters(1)

    def result(self) -> ExecResult:
        try:
            return self._result.result(STUCK_AFTER)
        finally:
            self._pool.shutdown()


def test_a_command_that_takes_too_long_says_nothing_of_other_connections(
    server: FakeApiServer,
) -> None:
    """A hundred of them, on a storage that hangs, would have each request connect anew."""
    started = threading.Event()

    def script(stream: ExecStream) -> None:
        # The client answers once it counts the command as started.
        stream.ping()
        stream.receive()
        started.set()
        stream.hang()

    other = Call("GET", "/api/v1/namespaces/ns/pods/a")
    server.expect(apiserver.who, exec_session(script), apiserver.who)
    command = Run(server, 60.0, other)
    assert started.wait(STUCK_AFTER)

    command.clock.step(60.0)

    with pytest.raises(DeadlineExceeded):
        command.result()
    assert [command.transport.request(other)] == command.answers


def test_a_command_may_run_for_longer_than_it_may_take_to_start(server: FakeApiServer) -> None:
    started, late = threading.Event(), threading.Event()

    def script(stream: ExecStream) -> None:
        # The client answers once it counts the command as started.
        stream.ping()
        stream.receive()
        started.set()
        late.wait(STUCK_AFTER)
        succeed(stream)

    server.expect(exec_session(script))
    command = Run(server, seconds=3600)
    assert started.wait(STUCK_AFTER)

    for _ in range(2):
        command.clock.block_until_waiters(1)
        command.clock.step(OPEN_SECONDS)
    late.set()

    assert command.result().exit_code == 0


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(exec_session(ExecStream.hang), id="a command that goes on"),
        pytest.param(apiserver.silence, id="a server that does not answer"),
    ],
)
def test_a_stop_cuts_it_a_second_later(server: FakeApiServer, answer: apiserver.Answer) -> None:
    server.expect(answer)
    command = Run(server, seconds=3600)

    command.stop.set()
    command.clock.block_until_waiters(1)
    command.clock.step(STOP_GRACE_SECONDS)

    with pytest.raises(errors.Stopped, match="EXEC ns/pod-a/kopia"):
        command.result()


def test_a_command_that_does_not_start_is_given_up(server: FakeApiServer) -> None:
    """An hour may be right for the command, but not for the way to it."""
    server.expect(apiserver.silence)
    command = Run(server, seconds=3600)

    command.clock.step(OPEN_SECONDS)

    with pytest.raises(errors.TransportError, match="timed out"):
        command.result()


def test_credentials_that_were_refused_are_read_anew_before_it_starts(
    server: FakeApiServer, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    api_client = server.api_client()
    api_client.configuration.refresh_api_key_hook = TokenFile(token)
    executor = Executor(
        Transport(api_client, clock=SystemClock(), metrics=Metrics(CollectorRegistry()))
    )
    server.expect(apiserver.failure(401), exec_session(succeed))

    deadline = Deadline.after(SystemClock(), STUCK_AFTER)
    assert executor.run("ns", "pod-a", "kopia", ["true"], deadline=deadline).exit_code == 0


def test_after_the_deadline_nothing_is_sent(server: FakeApiServer) -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 1)
    clock.step(2)

    with pytest.raises(DeadlineExceeded):
        make_executor(server).run("ns", "pod-a", "kopia", ["true"], deadline=deadline)

    assert server.requests == []


def test_the_token_goes_along_and_requests_are_counted(server: FakeApiServer) -> None:
    registry = CollectorRegistry()
    api_client = server.api_client()
    api_client.configuration.api_key["BearerToken"] = "bearer made-up"
    transport = Transport(api_client, clock=SystemClock(), metrics=Metrics(registry))
    executor = Executor(transport)
    server.expect(exec_session(succeed), apiserver.failure(404))
    deadline = Deadline.after(SystemClock(), STUCK_AFTER)

    executor.run("ns", "pod-a", "kopia", ["true"], deadline=deadline)
    with pytest.raises(errors.NotFound):
        executor.run("ns", "pod-a", "kopia", ["true"], deadline=deadline)

    assert server.requests[0].headers["authorization"] == "bearer made-up"
    host = server.url.removeprefix("http://")
    codes = {
        code: registry.get_sample_value(
            "rest_client_requests_total", {"code": code, "method": "GET", "host": host}
        )
        for code in ("101", "404")
    }
    assert codes == {"101": 1, "404": 1}


class TestFence:
    def test_a_closed_one_starts_no_command(self, server: FakeApiServer) -> None:
        def fence() -> None:
            raise errors.NotLeading("closed")

        with pytest.raises(errors.NotLeading):
            run(server, fence=fence)

        assert server.requests == []

    def test_one_that_closes_while_connecting_starts_no_command(
        self, server: FakeApiServer
    ) -> None:
        left = iter([None])

        def fence() -> None:
            if next(left, "closed"):
                raise errors.NotLeading("closed")

        with pytest.raises(errors.NotLeading):
            run(server, fence=fence)

        assert server.requests == []

    def test_one_that_closes_lets_no_more_input_through(self, server: FakeApiServer) -> None:
        heard: queue.Queue[list[bytes]] = queue.Queue()
        server.expect(exec_session(lambda stream: heard.put(stream.receive_all())))
        left = iter([None, None, None])

        def fence() -> None:
            if next(left, "closed"):
                raise errors.NotLeading("closed")

        with pytest.raises(errors.NotLeading):
            run(server, stdin=b"x" * 50_000, fence=fence)

        # The first piece of two, after the checks before connecting and before the start.
        assert [len(message) for message in heard.get(timeout=STUCK_AFTER)] == [32 * 1024 + 1]
