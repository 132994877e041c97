"""A proxy on loopback that opens tunnels, spoken to in plain or by TLS."""

import contextlib
import select
import socket
import ssl
import threading
from pathlib import Path
from typing import Self

from fakes.clock import STUCK_AFTER


class TunnelProxy:
    """Leads each tunnel to one server, whatever name it is asked for. A context manager.

    Args:
        port: The server's.
        tls: A PEM file with certificate and key, None for a proxy that is spoken to in plain.
    """

    def __init__(self, port: int, *, tls: Path | None = None) -> None:
        self._target = port
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls)
        #: The first lines of the requests for tunnels.
        self.asked: list[str] = []
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            with client, socket.create_connection(("127.0.0.1", self._target)) as server:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(1)
                self.asked.append(head.partition(b"\r\n")[0].decode())
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                self._pass_on(client, server)

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        client.settimeout(STUCK_AFTER)
        while not self._over.is_set():
            pending = isinstance(client, ssl.SSLSocket) and client.pending()
            ready = [client] if pending else select.select(list(other), [], [], 0.1)[0]
            for source in ready:
                if not (content := source.recv(65536)):
                    return
                other[source].sendall(content)
