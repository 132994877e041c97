"""Commands in containers: what is sent, and what becomes of every way in which one can end."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

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
from controller.rest.transport import OPEN_SECONDS, Transport
from controller.stop import Stop
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.certificates import self_signed
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.httpproxy import TunnelProxy
from fakes.podexec import ExecStream, exec_session


def make_executor(
    server: FakeApiServer,
    registry: CollectorRegistry | None = None,
    fence: Callable[[], None] = lambda: None,
) -> Executor:
    return Executor(server.transport(Metrics(registry or CollectorRegistry())), fence=fence)


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


def run(
    server: FakeApiServer,
    *,
    seconds: float = STUCK_AFTER,
    fence: Callable[[], None] = lambda: None,
    **options: Any,
) -> ExecResult:
    return make_executor(server, fence=fence).run(
        "ns",
        "pod-a",
        "kopia",
        ["kopia", "server", "user list", "--json"],
        deadline=Deadline.after(SystemClock(), seconds),
        **options,
    )


def succeed(stream: ExecStream) -> None:
    stream.send_status(status="Success")
    stream.close()


def test_output_and_success(server: FakeApiServer) -> None:
    def script(stream: ExecStream) -> None:
        stream.send(1, b"")
        stream.send(1, b"out")
        stream.send(2, b"err")
        stream.send(1, b"put" * 100_000)
        succeed(stream)

    server.expect(exec_session(script))

    assert run(server) == ExecResult(0, b"out" + b"put" * 100_000, b"err")


def test_output_that_the_status_overtook_is_kept(server: FakeApiServer) -> None:
    def script(stream: ExecStream) -> None:
        stream.send_status(status="Success")
        stream.send(1, b"late")
        stream.close()

    server.expect(exec_session(script))

    assert run(server) == ExecResult(0, b"late", b"")


def test_what_is_asked(server: FakeApiServer) -> None:
    asked = []

    def note(handler: apiserver.Handler) -> None:
        asked.append(handler.path)
        exec_session(succeed)(handler)

    server.expect(note)

    run(server)

    url = urlsplit(asked[0])
    assert url.path == "/api/v1/namespaces/ns/pods/pod-a/exec"
    assert parse_qsl(url.query) == [
        ("container", "kopia"),
        ("stdin", "false"),
        ("stdout", "true"),
        ("stderr", "true"),
        ("command", "kopia"),
        ("command", "server"),
        ("command", "user list"),
        ("command", "--json"),
    ]


@pytest.mark.parametrize(
    ("protocol", "ends"),
    [
        pytest.param("v5.channel.k8s.io", [b"\xff\x00"], id="v5: the command sees the end"),
        pytest.param("v4.channel.k8s.io", [], id="v4: it does not"),
    ],
)
def test_stdin_is_sent_in_pieces(server: FakeApiServer, protocol: str, ends: list[bytes]) -> None:
    messages: list[bytes] = []
    heard = threading.Event()

    def script(stream: ExecStream) -> None:
        succeed(stream)
        messages.extend(stream.receive_all())
        heard.set()

    server.expect(exec_session(script, protocol=protocol))
    secret = bytes(range(256)) * 300

    run(server, stdin=secret)
    assert heard.wait(STUCK_AFTER)

    pieces, closing = messages[:3], messages[3:]
    assert {piece[0] for piece in pieces} == {0}
    assert b"".join(piece[1:] for piece in pieces) == secret
    assert closing == ends
    assert server.requests[0].query["stdin"] == "true"


def test_the_exit_code(server: FakeApiServer) -> None:
    def script(stream: ExecStream) -> None:
        causes = [{"reason": "Other"}, {"reason": "ExitCode", "message": "7"}]
        stream.send(2, b"no such user")
        stream.send_status(status="Failure", reason="NonZeroExitCode", details={"causes": causes})
        stream.close()

    server.expect(exec_session(script))

    assert run(server) == ExecResult(7, b"", b"no such user")


def cannot_start(stream: ExecStream) -> None:
    stream.send_status(status="Failure", reason="InternalError", code=500, message="no such file")
    stream.close()


def no_exit_code(stream: ExecStream) -> None:
    stream.send_status(status="Failure", reason="NonZeroExitCode", message="lost")
    stream.close()


def vanish(stream: ExecStream) -> None:
    stream.send(1, b"half")


def end_without_status(stream: ExecStream) -> None:
    stream.close()


def break_the_status(stream: ExecStream) -> None:
    stream.send(3, b'{"status": ')
    stream.close()


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        pytest.param(cannot_start, errors.ServerUnavailable, "no such file", id="no such program"),
        pytest.param(no_exit_code, errors.ServerUnavailable, "lost", id="a code that is missing"),
        pytest.param(vanish, errors.TransportError, "EXEC ns/pod-a/kopia", id="a cut"),
        pytest.param(
            end_without_status, errors.TransportError, "before the command did", id="no status"
        ),
        pytest.param(break_the_status, errors.TransportError, "broken status", id="half a status"),
    ],
)
def test_a_command_that_does_not_run_to_its_end(
    server: FakeApiServer,
    script: Callable[[ExecStream], None],
    error: type[errors.ClientError],
    words: str,
) -> None:
    server.expect(exec_session(script))

    with pytest.raises(error, match=words):
        run(server)


def test_a_flood_of_output_is_given_up(server: FakeApiServer) -> None:
    def script(stream: ExecStream) -> None:
        stream.send(1, b"xxxx")
        stream.hang()

    server.expect(exec_session(script))

    with pytest.raises(errors.TransportError, match="more than 3 bytes"):
        run(server, max_output=3)


def test_output_that_is_passed_on_has_no_limit(server: FakeApiServer) -> None:
    def script(stream: ExecStream) -> None:
        for _ in range(3):
            stream.send(1, b"xxxx")
        stream.send(2, b"err")
        succeed(stream)

    server.expect(exec_session(script))
    pieces: list[bytes] = []

    result = run(server, max_output=100, on_stdout=pieces.append)

    assert b"".join(pieces) == b"xxxx" * 3
    assert result == ExecResult(0, b"", b"err")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        pytest.param(404, errors.NotFound, id="no such pod"),
        pytest.param(403, errors.Forbidden, id="no permission"),
        pytest.param(400, errors.BadRequest, id="no such container"),
    ],
)
def test_a_refusal_keeps_the_servers_words(
    server: FakeApiServer, status: int, error: type[errors.ApiError]
) -> None:
    server.expect(apiserver.failure(status))

    with pytest.raises(error, match="said the script"):
        run(server)


def test_credentials_follow_no_redirect(server: FakeApiServer) -> None:
    server.expect(apiserver.answer(302, b"", Location=f"{server.url}/elsewhere"))

    with pytest.raises(errors.TransportError, match="Redirect"):
        run(server)

    assert len(server.requests) == 1


def test_a_server_that_sheds_load_says_how_long_to_wait(server: FakeApiServer) -> None:
    server.expect(apiserver.answer(429, b"Too many requests", Retry_After="7"))

    with pytest.raises(errors.TooManyRequests) as caught:
        run(server)

    assert caught.value.retry_after == 7


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

    def __init__(self, server: FakeApiServer, seconds: float) -> None:
        self.clock, self.stop = FakeClock(), Stop()
        self._pool = ThreadPoolExecutor(1)
        deadline = Deadline.after(self.clock, seconds, stop=self.stop)
        executor = Executor(server.transport(clock=self.clock))
        self._result = self._pool.submit(
            executor.run, "ns", "pod-a", "kopia", ["sleep"], deadline=deadline
        )
        server.wait_for_requests(1)
        self.clock.block_until_waiters(1)

    def result(self) -> ExecResult:
        try:
            return self._result.result(STUCK_AFTER)
        finally:
            self._pool.shutdown()


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


class TestPieces:
    """Input that is made while the command runs."""

    @pytest.mark.parametrize("tls", [pytest.param(False, id="plain"), pytest.param(True, id="TLS")])
    def test_much_goes_both_ways_at_once(self, tmp_path: Path, *, tls: bool) -> None:
        """Whoever sends all before he reads waits for ever: the pipes between are full."""
        piece = bytes(range(256)) * 128
        count = 200

        def echo(stream: ExecStream) -> None:
            while (message := stream.receive()) != bytes([255, 0]):
                stream.send(1, message[1:])
            succeed(stream)

        certificate = self_signed(tmp_path) if tls else None
        with FakeApiServer(exec_session(echo), tls=certificate) as server:
            back: list[bytes] = []
            result = run(server, stdin=(piece for _ in range(count)), on_stdout=back.append)

        assert result.exit_code == 0
        assert b"".join(back) == piece * count

    def test_what_their_source_raises_is_raised(self, server: FakeApiServer) -> None:
        def pieces() -> Iterator[bytes]:
            yield b"first"
            raise ZeroDivisionError

        server.expect(exec_session(ExecStream.hang))

        with pytest.raises(ZeroDivisionError):
            run(server, stdin=pieces())

    def test_a_command_may_end_before_it_has_read_all(self, server: FakeApiServer) -> None:
        def pieces() -> Iterator[bytes]:
            while True:
                yield b"more"

        def script(stream: ExecStream) -> None:
            succeed(stream)
            stream.receive_all()

        server.expect(exec_session(script))

        assert run(server, stdin=pieces()).exit_code == 0


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


def test_commands_run_side_by_side(server: FakeApiServer) -> None:
    all_there = threading.Barrier(4)

    def script(stream: ExecStream) -> None:
        all_there.wait(STUCK_AFTER)
        stream.send(1, b"done")
        succeed(stream)

    server.expect(*[exec_session(script)] * 4)
    executor = make_executor(server)
    results: list[ExecResult] = []

    def work() -> None:
        deadline = Deadline.after(SystemClock(), STUCK_AFTER)
        results.append(executor.run("ns", "pod-a", "kopia", ["true"], deadline=deadline))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [ExecResult(0, b"done", b"")] * 4


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
