"""A TLS socket that one thread reads while another one writes."""

import select
import ssl
import threading
from typing import Any

from urllib3.util.ssltransport import SSLTransport


class Duplex:
    """What a WebSocket needs of a socket, for two threads: OpenSSL must not be in both at once.

    The socket does not block: whoever has to wait for it lets the other thread have it. Of TLS
    within the TLS of a proxy, which urllib3 drives, only the wait for what comes does so.

    Args:
        sock: A connected socket, or urllib3's SSLTransport; used by nobody else from now on.
    """

    def __init__(self, sock: Any) -> None:  # noqa: ANN401 - SSLTransport is no socket
        self._sock = sock
        self._blocks = isinstance(sock, SSLTransport)
        # Held while OpenSSL is at work on the connection.
        self._lock = threading.Lock()
        if not self._blocks:
            sock.settimeout(0.0)

    def recv(self, size: int) -> bytes:
        """Return what has arrived, b"" at the end."""
        if self._blocks and not (self._sock.sslobj.pending() or self._sock.incoming.pending):
            self._wait(select.POLLIN)
        while True:
            with self._lock:
                try:
                    return bytes(self._sock.recv(size))
                except (ssl.SSLWantReadError, BlockingIOError):
                    awaited = select.POLLIN
                except ssl.SSLWantWriteError:
                    awaited = select.POLLOUT
            self._wait(awaited)

    def send(self, data: bytes) -> int:
        """Send some of the data, and return how many bytes of it."""
        while True:
            with self._lock:
                try:
                    return int(self._sock.send(data))
                except (ssl.SSLWantWriteError, BlockingIOError):
                    awaited = select.POLLOUT
                except ssl.SSLWantReadError:
                    awaited = select.POLLIN
            self._wait(awaited)

    def gettimeout(self) -> None:
        """Return the timeout: none, since the guard of the request ends a wait."""

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _wait(self, event: int) -> None:
        number = self._sock.fileno()
        if number < 0:
            raise ConnectionAbortedError("the socket is closed")
        poll = select.poll()
        poll.register(number, event)
        poll.poll()
