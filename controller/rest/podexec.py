"""Commands in a running container, over the exec subresource of its pod.

Speaks the channel protocol of client-go tools/remotecommand over one WebSocket a command. The
official client's `stream` is left out: it swaps a method of the ApiClient during the call, which
must not happen while other threads use it, and cannot be given a deadline.
"""

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import kubernetes.client
import urllib3
import websocket
from attrs import field, frozen

from controller.clock import Clock, Deadline, DeadlineExceeded
from controller.errors import TransportError, from_status
from controller.leaderelection.fence import always_open
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.transport import (
    NO_ANSWER,
    host_label,
    request_headers,
    retry_after_seconds,
    transport_error,
)

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

#: Bytes of output kept. A command that prints more is broken, and so much would not fit the memory
#: limit of a controller with several workers.
MAX_OUTPUT: Final = 16 * 1024 * 1024

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
    """

    def __init__(
        self,
        api_client: kubernetes.client.ApiClient,
        *,
        clock: Clock,
        metrics: Metrics,
        fence: Callable[[], None] = always_open,
        connect_timeout: float = 10.0,
    ) -> None:
        """Make an executor.

        Args:
            api_client: Where to connect and how to authenticate; it is only read.
            clock: Measures requests.
            metrics: Where requests are counted.
            fence: Called before connecting, right before a command is started, and before each
                piece of what it reads. What it raises is raised. See `Fence`.
            connect_timeout: Seconds for each step of connecting; the last one goes up to the
                kubelet and the container runtime.
        """
        self._api_client = api_client
        self._clock = clock
        self._metrics = metrics
        self._fence = fence
        self._connect_timeout = connect_timeout
        self._host = host_label(api_client.configuration.host)

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> ExecResult:
        """Run a command to its end.

        Args:
            namespace: The pod's.
            pod: Its name.
            container: Which of its containers.
            command: Program and arguments. They stand in the request's URL, and so in the server's
                audit log: a secret goes over stdin.
            stdin: What the command reads. Its end may not be visible to the command (see `V4`), so
                it must read up to a mark of its own.
            deadline: For everything. A command that is still running then is left to itself.

        Returns:
            The result, whatever the exit code.

        Raises:
            ApiError: The server refuses, the pod or container is not there or not running, or the
                program cannot be started.
            TransportError: The connection failed; the command may have run.
            DeadlineExceeded: The deadline has passed; the command may go on.
            NotLeading: The fence is closed; the command has read nothing, or half.
        """
        description = f"EXEC {namespace}/{pod}/{container}"
        try:
            connection = self._connect(
                self._url(namespace, pod, _query(container, command, stdin=bool(stdin))), deadline
            )
            try:
                self._send_stdin(connection, stdin, deadline)
                return _receive(connection, description, deadline)
            finally:
                connection.shutdown()  # type: ignore[no-untyped-call]
        except websocket.WebSocketBadStatusException as error:
            retry_after = retry_after_seconds((error.resp_headers or {}).get("retry-after", ""))
            raise from_status(
                error.status_code, error.resp_body or b"", retry_after=retry_after
            ) from error
        except (DeadlineExceeded, websocket.WebSocketException, OSError) as error:
            if deadline.expired:
                raise DeadlineExceeded(f"{description}: the deadline has passed") from error
            raise transport_error(description, error) from error

    def _connect(self, url: str, deadline: Deadline) -> websocket.WebSocket:
        timeout = min(self._connect_timeout, deadline.left())
        self._fence()
        started = self._clock.monotonic()
        code = NO_ANSWER
        try:
            connection = websocket.create_connection(url, **self._connection_options(timeout))
            code = str(HTTPStatus.SWITCHING_PROTOCOLS.value)
        except websocket.WebSocketBadStatusException as error:
            code = str(error.status_code)
            raise
        finally:
            self._metrics.rest_requests_total.labels(code=code, method="GET", host=self._host).inc()
            self._metrics.rest_request_duration_seconds.labels(verb="GET", host=self._host).observe(
                self._clock.monotonic() - started
            )
        return connection

    def _send_stdin(
        self, connection: websocket.WebSocket, stdin: bytes, deadline: Deadline
    ) -> None:
        if not stdin:
            return
        for start in range(0, len(stdin), _CHUNK):
            _set_timeout(connection, deadline)
            self._fence()
            connection.send_binary(bytes([STDIN]) + stdin[start : start + _CHUNK])
        if connection.getsubprotocol() == V5:
            connection.send_binary(bytes([CLOSE, STDIN]))

    def _url(self, namespace: str, pod: str, query: str) -> str:
        host = urlsplit(self._api_client.configuration.host)
        scheme = "wss" if host.scheme == "https" else "ws"
        path = host.path.rstrip("/") + _PODS.path(namespace, pod, "exec")
        return str(urlunsplit((scheme, host.netloc, path, query, "")))

    def _connection_options(self, timeout: float) -> dict[str, Any]:
        headers = request_headers(self._api_client)
        return {
            "timeout": timeout,
            "header": _FencedHeaders(headers, self._fence),
            "subprotocols": [V5, V4],
            # Whoever redirects would be sent the credentials.
            "redirect_limit": 0,
            "suppress_origin": True,
            "skip_utf8_validation": True,
            "sslopt": _tls_options(self._api_client.configuration),
            **_proxy_options(self._api_client.rest_client.pool_manager),
        }


@frozen
class _FencedHeaders:
    """The headers of an exec, once it is certain that it may be sent.

    The WebSocket library reads them when the connection stands, which may have taken seconds.
    """

    #: The credentials are among them.
    headers: Mapping[str, str] = field(repr=False)
    fence: Callable[[], None]

    def __contains__(self, name: object) -> bool:
        return name in self.headers

    def __iter__(self) -> Iterator[str]:
        self.fence()
        return (f"{name}: {value}" for name, value in self.headers.items())


def _query(container: str, command: Sequence[str], *, stdin: bool) -> str:
    parameters = {
        "container": container,
        "stdin": "true" if stdin else "false",
        "stdout": "true",
        "stderr": "true",
        "command": command,
    }
    return urlencode(parameters, doseq=True)


def _tls_options(configuration: kubernetes.client.Configuration) -> dict[str, Any]:
    """Return the TLS settings of the official client in the words of the WebSocket one."""
    options = {
        "cert_reqs": ssl.CERT_REQUIRED if configuration.verify_ssl else ssl.CERT_NONE,
        "check_hostname": configuration.verify_ssl and configuration.assert_hostname is not False,
        "ca_certs": configuration.ssl_ca_cert,
        "certfile": configuration.cert_file,
        "keyfile": configuration.key_file,
        "server_hostname": configuration.tls_server_name,
    }
    return {name: value for name, value in options.items() if value is not None}


def _proxy_options(manager: urllib3.PoolManager) -> dict[str, Any]:
    """Return the settings that take a command through a proxy if all other requests take it.

    Of a host alone the WebSocket library asks the environment, and reads NO_PROXY in its own way.
    """
    if manager.proxy is None:
        return {"http_proxy_host": "unused", "http_proxy_port": 1, "http_no_proxy": ["*"]}
    user, _, password = (manager.proxy.auth or "").partition(":")
    return {
        "http_proxy_host": manager.proxy.host,
        "http_proxy_port": manager.proxy.port,
        "http_proxy_auth": (unquote(user), unquote(password)) if user else None,
        # No host has this name; without any the environment would be asked.
        "http_no_proxy": [""],
    }


def _receive(connection: websocket.WebSocket, description: str, deadline: Deadline) -> ExecResult:
    """Collect the output until the server closes the connection.

    The status may overtake the output on its way through the API server, so it ends nothing.
    """
    channels = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
    while True:
        _set_timeout(connection, deadline)
        opcode, data = connection.recv_data()
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            break
        if data and data[0] in channels:
            channels[data[0]] += data[1:]
        if sum(map(len, channels.values())) > MAX_OUTPUT:
            raise TransportError(f"{description}: the command printed more than {MAX_OUTPUT} bytes")
    return ExecResult(
        _exit_code(bytes(channels[STATUS]), description),
        bytes(channels[STDOUT]),
        bytes(channels[STDERR]),
    )


def _set_timeout(connection: websocket.WebSocket, deadline: Deadline) -> None:
    connection.settimeout(deadline.left())


def _exit_code(content: bytes, description: str) -> int:
    """Read the command's exit code from the Status that the kubelet sends at its end."""
    if not content:
        raise TransportError(f"{description}: the connection ended before the command did")
    try:
        status: Object = json.loads(content)
    except ValueError as error:
        raise TransportError(f"{description}: broken status: {error}") from error
    if status.get("status") == "Success":
        return 0
    if status.get("reason") == REASON_NON_ZERO_EXIT:
        details = status.get("details") or {}
        for cause in details.get("causes") or ():
            if cause.get("reason") == CAUSE_EXIT_CODE:
                return int(cause["message"])
    raise from_status(status.get("code") or HTTPStatus.INTERNAL_SERVER_ERROR, status)
