"""A proxy on loopback that breaks connections to a real server, as networks do."""

import contextlib
import socket
import threading
from typing import Self

from controller.clock import SystemClock
from fakes.ports import port_of, reserved


class TcpProxy:
    """Passes bytes on, until told to cut, freeze or slow what is connected. A context manager."""

    def __init__(self, host: str, port: int, *, listen: str = "127.0.0.1") -> None:
        """Begin to listen.

        Args:
            host: The server's address.
            port: The server's port.
            listen: The address to be reached at.
        """
        self._target = (host, port)
        self._address = listen
        self._delay = 0.0
        self._lock = threading.Lock()
        self._connections: list[tuple[socket.socket, threading.Event]] = []
        #: Set once something came that is not let through.
        self.held_back = threading.Event()
        self._reserved = reserved(listen)
        self.port = port_of(self._reserved)
        self.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()
        self._reserved.close()

    def accept(self) -> None:
        """Accept connections, again at the same port."""
        self._listener = socket.create_server((self._address, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections from now on; those that there are stay."""
        # Not while one is made, which would come to be after a cut that follows.
        with self._lock:
            _end(self._listener)

    def cut(self) -> None:
        """Close all connections."""
        with self._lock:
            for end, _ in self._connections:
                _end(end)
            self._connections.clear()

    def freeze(self) -> None:
        """Let nothing more through on the connections there are, which stay open: half-open."""
        with self._lock:
            for _, frozen in self._connections:
                frozen.set()

    def slow(self, seconds: float) -> None:
        """Hold back from now on what comes, either way, for a time; 0 for no longer."""
        self._delay = seconds

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self._lock:
                    if listener.fileno() < 0:
                        _end(client)
                    else:
                        self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target)
        except OSError:
            _end(client)
            return
        frozen = threading.Event()
        self._connections += [(client, frozen), (server, frozen)]
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink, frozen), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, frozen: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                if self._delay:
                    SystemClock().wait_event(threading.Event(), self._delay)
                if not frozen.is_set():
                    sink.sendall(content)
                else:
                    self.held_back.set()
        if not frozen.is_set():
            _end(sink)


def _end(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
