"""Commands in containers: what is sent, and what becomes of every way in which one can end."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from controller import errors
from controller.clock import Deadline, SystemClock
from controller.rest.podexec import ExecResult
from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.certificates import self_signed
from fakes.clock import STUCK_AFTER
from fakes.podexec import ExecStream, exec_session, make_executor, run, succeed


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as started:
        yield started


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


def send_no_status(stream: ExecStream) -> None:
    stream.send(3, b'["Success"]')
    stream.close()


def send_a_code_in_words(stream: ExecStream) -> None:
    details = {"causes": ["none", {"reason": "ExitCode", "message": "seven"}]}
    stream.send_status(status="Failure", reason="NonZeroExitCode", details=details)
    stream.close()


def send_no_causes(stream: ExecStream) -> None:
    details = {"causes": "none"}
    stream.send_status(status="Failure", reason="NonZeroExitCode", details=details, code="a")
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
        pytest.param(send_no_status, errors.TransportError, "broken status", id="another JSON"),
        pytest.param(
            send_a_code_in_words, errors.TransportError, "broken status", id="a code in words"
        ),
        pytest.param(send_no_causes, errors.ApiError, "unknown status", id="causes in words"),
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


def test_of_a_command_whose_output_is_passed_on_the_last_errors_are_kept(
    server: FakeApiServer,
) -> None:
    """It may run for hours, and is not to fail in the end since it has said much."""

    def script(stream: ExecStream) -> None:
        for number in range(100):
            stream.send(2, b"%09d\n" % number)
        succeed(stream)

    server.expect(exec_session(script))

    result = run(server, max_output=300, on_stdout=lambda _: None)

    assert result == ExecResult(0, b"", b"".join(b"%09d\n" % number for number in range(70, 100)))


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
