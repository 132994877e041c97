"""Commands in a running container, over the exec subresource of its pod.

Speaks the channel protocol of client-go tools/remotecommand over one WebSocket a command, which
takes the way of all requests: the same proxy, TLS and credentials, one deadline, and the stop. The
official client's `stream` is left out: it swaps a method of the ApiClient during the call, which
must not happen while other threads use it, and cannot be given a deadline.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit, urlunsplit

import urllib3
import websocket
from attrs import frozen

from controller.clock import Deadline
from controller.errors import TransportError, from_status
from controller.jsonvalue import decoded
from controller.resource import Object, Resource
from controller.rest.cutoff import Cause, Guard, shut_down
from controller.rest.duplex import Duplex
from controller.rest.transport import OPEN_SECONDS, Transport, retry_after_seconds, unfenced

_PODS: Final = Resource("", "v1", "pods", "Pod")

#: The newer one can close the command's stdin; servers before 1.30 know only the older.
V5: Final = "v5.channel.k8s.io"
V4: Final = "v4.channel.k8s.io"

#: The first byte of each message says what it belongs to.
STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
STATUS: Final = 3
CLOSE: Final = 255

#: Bytes a message: well below what a kubelet or a proxy accepts in one frame.
_CHUNK: Final = 32 * 1024

#: Bytes of output kept unless the caller says otherwise. Output is JSON as a rule, which takes 28
#: times as much memory once it is parsed; a command that prints more is broken.
MAX_OUTPUT: Final = 1024 * 1024

REASON_NON_ZERO_EXIT: Final = "NonZeroExitCode"
CAUSE_EXIT_CODE: Final = "ExitCode"


@frozen
class ExecResult:
    """What became of a command that ran to its end.

    Attributes:
        exit_code: The command's; 0 is success.
        stdout: What it wrote to standard output.
        stderr: What it wrote to standard error.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes


class Executor:
    """Runs commands in containers. Safe to share between threads: each command has its own socket.

    Needs the verbs get and create on pods/exec: servers ask for either, by their version.

    Args:
        transport: The connections.
        fence: Called before connecting, right before a command is started, and before each piece of
            what it reads. What it raises is raised. See `controller.leaderelection.fence`.
    """

    def __init__(self, transport: Transport, *, fence: Callable[[], None] = unfenced) -> None:
        self._transport = transport
        self._fence = fence

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        max_output: int = MAX_OUTPUT,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command to its end.

        Args:
            namespace: The pod's.
            pod: Its name.
            container: Which of its containers.
            command: Program and arguments. They stand in the request's URL, and so in the server's
                audit log: a secret goes over stdin.
            stdin: What the command reads. Bytes are sent before anything is read. Pieces are sent
                by a thread of their own while the command's output is read; what gives them out
                should end once this has returned. Their end may not be visible to the command (see
                `V4`), so it must read up to a mark of its own.
            deadline: For everything; its stop cuts a command that is still running a second later.
                A command that is cut is left to itself. It has started within OPEN_SECONDS.
            max_output: Bytes of output that are kept.
            on_stdout: Gets each piece of standard output, of which nothing is kept or counted then.
                Of standard error the last `max_output` bytes are kept then: such a command may run
                for hours. Called on this thread; what it raises is raised, and the command is cut.

        Returns:
            The result, whatever the exit code.

        Raises:
            ApiError: The server refuses, the pod or container is not there or not running, or the
                program cannot be started.
            TransportError: The connection failed, or the output is too long; the command may have
                run.
            DeadlineExceeded: The deadline has passed; the command may go on.
            Stopped: The deadline's stop was set; the command may go on.
            NotLeading: The fence is closed; the command has read nothing, or half.
        """
        description = f"EXEC {namespace}/{pod}/{container}"
        query = _query(container, command, stdin=stdin != b"")
        url = self._url(namespace, pod, query)
        guard = self._transport.begin(description, OPEN_SECONDS, deadline)
        try:
            with _Session(*self._connect(url, guard), fence=self._fence, guard=guard) as session:
                guard.renew(deadline.remaining(), Cause.DEADLINE)
                session.send(stdin)
                output = session.receive(description, max_output, on_stdout)
        except websocket.WebSocketBadStatusException as error:
            retry_after = retry_after_seconds((error.resp_headers or {}).get("retry-after", ""))
            raise from_status(
                error.status_code, error.resp_body or b"", retry_after=retry_after
            ) from error
        except (websocket.WebSocketException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._transport.failure(description, guard, error) from error
        finally:
            guard.end()
        return output

    def _connect(self, url: str, guard: Guard) -> tuple[websocket.WebSocket, Any]:
        """Return the open WebSocket, and the socket below it.

        A server that refuses the credentials has started nothing: it is asked once more with those
        of now.
        """
        version = self._transport.credentials_version
        try:
            return self._connect_once(url, guard)
        except websocket.WebSocketBadStatusException as error:
            unauthorized = error.status_code == HTTPStatus.UNAUTHORIZED
            if not (unauthorized and self._transport.renew(version)):
                raise
        return self._connect_once(url, guard)

    def _connect_once(self, url: str, guard: Guard) -> tuple[websocket.WebSocket, Any]:
        self._fence()
        with self._transport.measured("GET") as measured:
            sock, headers = self._transport.connect(guard)
            try:
                # To connect may have taken seconds.
                self._fence()
                connection = websocket.create_connection(
                    url,
                    socket=sock,
                    header=[f"{name}: {value}" for name, value in headers.items()],
                    subprotocols=[V5, V4],
                    # Whoever redirects would be sent the credentials.
                    redirect_limit=0,
                    suppress_origin=True,
                    skip_utf8_validation=True,
                )
            except BaseException as error:
                sock.close()
                if isinstance(error, websocket.WebSocketBadStatusException):
                    measured.code = str(error.status_code)
                raise
            measured.code = str(HTTPStatus.SWITCHING_PROTOCOLS.value)
        return connection, sock

    def _url(self, namespace: str, pod: str, query: str) -> str:
        host = urlsplit(self._transport.url)
        scheme = "wss" if host.scheme == "https" else "ws"
        path = host.path.rstrip("/") + _PODS.path(namespace, pod, "exec")
        return str(urlunsplit((scheme, host.netloc.rpartition("@")[2], path, query, "")))


class _Session:
    """One command that was started. A context manager: leaving it closes the connection.

    Args:
        connection: The open WebSocket.
        sock: The socket below it.
        fence: As in `Executor`.
        guard: The request's.
    """

    def __init__(
        self,
        connection: websocket.WebSocket,
        sock: Any,  # noqa: ANN401 - a socket, or what urllib3 has in its place
        *,
        fence: Callable[[], None],
        guard: Guard,
    ) -> None:
        self._connection = connection
        self._sock = sock
        self._fence = fence
        self._guard = guard
        # Why the pieces of the input could not be sent; written by the thread that sends them.
        self._input_failure: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Wakes the thread that sends.
        shut_down(self._sock)
        self._sock.close()

    def send(self, stdin: bytes | Iterable[bytes]) -> None:
        """Send what the command reads: bytes at once, pieces beside what follows."""
        if isinstance(stdin, bytes):
            if stdin:
                self._send_pieces([stdin])
            return
        self._connection.sock = Duplex(self._sock)  # type: ignore[assignment]  # has what is used
        threading.Thread(
            target=self._send_beside, args=(stdin,), name="stdin of a command", daemon=True
        ).start()

    def receive(
        self, description: str, max_output: int, on_stdout: Callable[[bytes], None] | None
    ) -> ExecResult:
        """Collect the output until the server closes the connection.

        The status may overtake the output on its way through the API server, so it ends nothing.
        """
        kept = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
        try:
            while True:
                opcode, data = self._connection.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    break
                if data and data[0] == STDOUT and on_stdout is not None:
                    on_stdout(data[1:])
                elif data and data[0] in kept:
                    kept[data[0]] += data[1:]
                if on_stdout is not None:
                    del kept[STDERR][:-max_output]
                limited = kept.values() if on_stdout is None else [kept[STATUS]]
                if sum(map(len, limited)) > max_output:
                    raise TransportError(
                        f"{description}: the command printed more than {max_output} bytes"
                    )
        except (websocket.WebSocketException, OSError):
            if self._input_failure is not None:
                raise self._input_failure from None
            raise
        return ExecResult(
            _exit_code(bytes(kept[STATUS]), description), bytes(kept[STDOUT]), bytes(kept[STDERR])
        )

    def _send_pieces(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            for start in range(0, len(piece), _CHUNK):
                self._fence()
                self._connection.send_binary(bytes([STDIN]) + piece[start : start + _CHUNK])
        if self._connection.getsubprotocol() == V5:
            self._connection.send_binary(bytes([CLOSE, STDIN]))

    def _send_beside(self, pieces: Iterable[bytes]) -> None:
        try:
            self._send_pieces(pieces)
        except (websocket.WebSocketException, OSError):
            # The connection is gone, as the reader finds out; or the command has ended and was
            # left, which is no failure.
            pass
        except BaseException as error:  # noqa: BLE001 - raised on the thread that reads
            self._input_failure = error
            self._guard.cut(Cause.CLOSED)


def _query(container: str, command: Sequence[str], *, stdin: bool) -> str:
    parameters = {
        "container": container,
        "stdin": "true" if stdin else "false",
        "stdout": "true",
        "stderr": "true",
        "command": command,
    }
    return urlencode(parameters, doseq=True)


def _exit_code(content: bytes, description: str) -> int:
    """Read the command's exit code from the Status that the kubelet sends at its end."""
    if not content:
        raise TransportError(f"{description}: the connection ended before the command did")
    try:
        status: Object = decoded(content)
    except ValueError as error:
        raise TransportError(f"{description}: broken status: {error}") from error
    if not isinstance(status, dict):
        raise TransportError(f"{description}: broken status: it is no JSON object")
    if status.get("status") == "Success":
        return 0
    if status.get("reason") == REASON_NON_ZERO_EXIT:
        try:
            for cause in _causes(status):
                if cause.get("reason") == CAUSE_EXIT_CODE:
                    return int(cause["message"])
        except (ValueError, TypeError, KeyError) as error:
            message = f"{description}: broken status: its exit code is no number"
            raise TransportError(message) from error
    raise from_status(status.get("code") or HTTPStatus.INTERNAL_SERVER_ERROR, status)


def _causes(status: Object) -> list[Object]:
    """Return the causes in a Status that are such."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [one for one in causes if isinstance(one, dict)] if isinstance(causes, list) else []
