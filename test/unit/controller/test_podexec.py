"""Commands in containers: what is sent, and what becomes of every way in which one can end."""

import queue
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, urlsplit

import kubernetes.client
import pytest
from prometheus_client import CollectorRegistry

from controller import errors
from controller.clock import Deadline, DeadlineExceeded, SystemClock
from controller.metrics import Metrics
from controller.rest import podexec
from controller.rest.podexec import ExecResult, Executor
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.podexec import ExecStream, exec_session


def make_executor(
    server: FakeApiServer,
    registry: CollectorRegistry | None = None,
    fence: Callable[[], None] = lambda: None,
) -> Executor:
    return Executor(
        server.api_client(),
        clock=SystemClock(),
        metrics=Metrics(registry or CollectorRegistry()),
        fence=fence,
    )


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


def run(
    server: FakeApiServer,
    *,
    stdin: bytes = b"",
    seconds: float = STUCK_AFTER,
    fence: Callable[[], None] = lambda: None,
) -> ExecResult:
    return make_executor(server, fence=fence).run(
        "ns",
        "pod-a",
        "kopia",
        ["kopia", "server", "user list", "--json"],
        stdin=stdin,
        deadline=Deadline.after(SystemClock(), seconds),
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


def test_a_flood_of_output_is_given_up(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(stream: ExecStream) -> None:
        stream.send(1, b"xxxx")
        stream.hang()

    server.expect(exec_session(script))
    monkeypatch.setattr(podexec, "MAX_OUTPUT", 3)

    with pytest.raises(errors.TransportError, match="more than 3 bytes"):
        run(server)


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

    def run(self, host: str) -> ExecResult:
        configuration = kubernetes.client.Configuration(host=host)
        executor = Executor(
            kubernetes.client.ApiClient(configuration),
            clock=SystemClock(),
            metrics=Metrics(CollectorRegistry()),
        )
        deadline = Deadline.after(SystemClock(), STUCK_AFTER)
        return executor.run("ns", "pod-a", "kopia", ["true"], deadline=deadline)

    @pytest.mark.parametrize(
        ("login", "told"),
        [
            pytest.param("", "", id="open to everybody"),
            pytest.param("me:p%40ss@", "Basic bWU6cEBzcw==", id="with a login"),
        ],
    )
    def test_a_proxy_takes_it_to_a_server_that_only_the_proxy_knows(
        self, server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, login: str, told: str
    ) -> None:
        monkeypatch.setenv("http_proxy", server.url.replace("//", f"//{login}"))
        monkeypatch.setenv("no_proxy", "")
        server.expect(exec_session(succeed))

        assert self.run("http://api.invalid:6443").exit_code == 0
        assert server.logins == [told]

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


def test_a_command_may_be_silent_for_longer_than_connecting_may_take(
    server: FakeApiServer,
) -> None:
    def script(stream: ExecStream) -> None:
        threading.Event().wait(1.2)
        succeed(stream)

    server.expect(exec_session(script))
    executor = Executor(
        server.api_client(),
        clock=SystemClock(),
        metrics=Metrics(CollectorRegistry()),
        connect_timeout=1.0,
    )
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
    executor = Executor(api_client, clock=SystemClock(), metrics=Metrics(registry))
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
