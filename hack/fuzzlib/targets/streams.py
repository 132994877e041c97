"""What the API server sends: answers, refusals, watches, and the frames of a command."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, Final

import websocket

from controller.cache.reflector import Reflector, WatchError
from controller.cache.trim import default_trim
from controller.errors import ClientError, from_status
from controller.jsonvalue import decoded, interned
from controller.resource import Resource
from controller.rest.podexec import _Session
from controller.rest.watch import WatchStream
from fuzzlib.target import Target
from fuzzlib.targets.shapes import NAMESPACE

_PODS: Final = Resource("", "v1", "pods", "Pod")
_MAX_OUTPUT: Final = 65536


class _Guard:
    cause = None

    def renew(self, *_: object) -> None:
        """Do nothing: no time passes."""

    def end(self) -> None:
        """Do nothing."""


class _Transport:
    """Answers a watch with an input."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, *_: object, **__: object) -> tuple[Any, Any]:
        """Return the input as a body that is read in pieces."""
        body = io.BytesIO(self._data)
        return SimpleNamespace(read1=lambda _: body.read1(61), close=body.close), _Guard()


class _Socket:
    """A socket from which an input comes."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def recv(self, size: int) -> bytes:
        """Return some bytes, none at the end."""
        return self._data.read(size)

    def send(self, data: bytes) -> int:
        """Take an answer to a ping or a close."""
        return len(data)

    def gettimeout(self) -> None:
        """Return that there is none."""

    def settimeout(self, _: object) -> None:
        """Set none."""

    def close(self) -> None:
        """Do nothing."""


def json_value(data: bytes) -> object:
    """Decode any answer, and share its strings."""
    return interned(decoded(data))


def refusal(data: bytes) -> object:
    """Read the body of a refusal."""
    error = from_status(422, data)
    return error, error.causes, error.retry_after


def watch(data: bytes) -> object:
    """Read the events of a watch, and keep their objects."""
    reader: Any = SimpleNamespace(_on_contact=lambda: None, _resource=_PODS)
    call: Any = SimpleNamespace(path="/api/v1/pods")
    transport: Any = _Transport(data)
    stream = WatchStream(transport, call, read_timeout=1.0, stop=None)
    with stream:
        return [
            (type_, interned(default_trim(obj)), version)
            for type_, obj, version in Reflector._events(reader, stream)  # noqa: SLF001 - as it reads
        ]


def exec_frames(data: bytes) -> object:
    """Read the frames of a command's connection, byte for byte."""
    connection = websocket.WebSocket(skip_utf8_validation=True)
    sock: Any = _Socket(data)
    connection.sock, connection.connected = sock, True
    guard: Any = _Guard()
    session = _Session(connection, sock, fence=lambda: None, guard=guard)
    return session.receive(f"EXEC {NAMESPACE}/some", _MAX_OUTPUT, None)


TARGETS: Final = (
    Target("json", json_value, (ValueError,), is_json=True),
    Target("refusal", refusal, is_json=True),
    Target("watch", watch, (ClientError, WatchError)),
    Target("exec", exec_frames, (ClientError, websocket.WebSocketException, OSError)),
)
