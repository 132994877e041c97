"""Servers on loopback that keep a client waiting, each at another point of a request."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from fakes.clock import STUCK_AFTER

#: Real seconds between two bytes of a server that drips.
DRIP_SECONDS = 0.01

Behaviour = Callable[[socket.socket, threading.Event], None]


class Trap:
    """A server that does to each connection what a function says, until the test is over.

    Args:
        behaviour: Gets the connection, and what is set at the end.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._over = threading.Event()
        self._reached = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_until_reached(self) -> None:
        """Return once a client waits."""
        assert self._reached.wait(STUCK_AFTER)

    def close(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._reached.set()
            self._behaviour(connection, self._over)


def say_nothing(_connection: socket.socket, over: threading.Event) -> None:
    """Neither read nor write: no handshake, no answer, and no room for a large body."""
    over.wait(STUCK_AFTER)


def drip_headers(connection: socket.socket, over: threading.Event) -> None:
    """Send a header that never ends, byte by byte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    _drip(connection, over)


def drip_body(connection: socket.socket, over: threading.Event) -> None:
    """Send a body that never ends, byte by byte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    _drip(connection, over)


def drip_body_without_length(connection: socket.socket, over: threading.Event) -> None:
    """Send a body that only the end of the connection ends: a cut looks like that end."""
    connection.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"a": 1}')
    _drip(connection, over)


def _drip(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(DRIP_SECONDS):
        connection.sendall(b" ")


@contextlib.contextmanager
def trap(behaviour: Behaviour) -> Iterator[Trap]:
    """Serve for the time of a with statement."""
    serving = Trap(behaviour)
    try:
        yield serving
    finally:
        serving.close()


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Give a port at which a connection is neither made nor refused: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as filling:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = filling.enter_context(socket.socket())
            waiting.settimeout(0.0)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        yield listener.getsockname()[1]
