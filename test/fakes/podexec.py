"""The server's side of an exec: a WebSocket with channels, for `fakes.apiserver` scripts."""

import base64
import hashlib
import json
import struct
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from controller.clock import Deadline, SystemClock
from controller.metrics import Metrics
from controller.rest.podexec import ExecResult, Executor
from fakes.apiserver import Answer, FakeApiServer, Handler
from fakes.clock import STUCK_AFTER

#: From RFC 6455: proves to the client that the server speaks WebSocket.
HANDSHAKE_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

OPCODE_BINARY = 2
OPCODE_CLOSE = 8
OPCODE_PING = 9


class ExecStream:
    """What a script of an exec can do."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def send(self, channel: int, content: bytes) -> None:
        self._send_frame(OPCODE_BINARY, bytes([channel]) + content)

    def send_status(self, **fields: Any) -> None:
        self.send(3, json.dumps({"kind": "Status", "metadata": {}, **fields}).encode())

    def close(self) -> None:
        self._send_frame(OPCODE_CLOSE, struct.pack(">H", 1000))

    def ping(self) -> None:
        """Ask for a sign of life, which comes as a message of its own."""
        self._send_frame(OPCODE_PING, b"there?")

    def receive(self) -> bytes:
        """Return the client's next message."""
        return self._receive_frame()[1]

    def receive_all(self) -> list[bytes]:
        """Return the client's messages, each a channel's byte and content, until it closes."""
        messages: list[bytes] = []
        while True:
            opcode, content = self._receive_frame()
            if opcode == OPCODE_CLOSE:
                return messages
            messages.append(content)

    def hang(self) -> None:
        self._handler.hang()

    def _receive_frame(self) -> tuple[int, bytes]:
        read = self._handler.rfile.read
        head = read(2)
        if not head:
            # Cut off, without a word.
            return OPCODE_CLOSE, b""
        first, length = head
        length &= 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", read(8))
        mask = read(4)
        content = bytes(byte ^ mask[i % 4] for i, byte in enumerate(read(length)))
        return first & 0x0F, content

    def _send_frame(self, opcode: int, content: bytes) -> None:
        if len(content) < 126:
            length = struct.pack(">B", len(content))
        else:
            length = struct.pack(">BQ", 127, len(content))
        self._handler.wfile.write(bytes([0x80 | opcode]) + length + content)
        self._handler.wfile.flush()


def exec_session(
    script: Callable[[ExecStream], None], *, protocol: str = "v5.channel.k8s.io"
) -> Answer:
    """Answer an exec by a script; the connection is closed after it.

    Args:
        script: What the kubelet does.
        protocol: The one the server chooses.
    """

    def serve(handler: Handler) -> None:
        key = handler.headers["Sec-WebSocket-Key"].encode()
        # SHA-1 is the handshake's, and no secret depends on it.
        digest = hashlib.sha1(key + HANDSHAKE_SUFFIX, usedforsecurity=False).digest()
        handler.send_response(101)
        handler.send_header("Upgrade", "websocket")
        handler.send_header("Connection", "Upgrade")
        handler.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        handler.send_header("Sec-WebSocket-Protocol", protocol)
        handler.end_headers()
        script(ExecStream(handler))
        handler.tear()

    return serve


def make_executor(
    server: FakeApiServer,
    registry: CollectorRegistry | None = None,
    fence: Callable[[], None] = lambda: None,
) -> Executor:
    """Return an executor of commands on a server."""
    return Executor(server.transport(Metrics(registry or CollectorRegistry())), fence=fence)


def run(
    server: FakeApiServer,
    *,
    seconds: float = STUCK_AFTER,
    fence: Callable[[], None] = lambda: None,
    **options: Any,
) -> ExecResult:
    """Run a command in a pod of a server, to its end."""
    return make_executor(server, fence=fence).run(
        "ns",
        "pod-a",
        "kopia",
        ["kopia", "server", "user list", "--json"],
        deadline=Deadline.after(SystemClock(), seconds),
        **options,
    )


def succeed(stream: ExecStream) -> None:
    """End a command in good order."""
    stream.send_status(status="Success")
    stream.close()
