"""Asks a cluster's API over HTTP, by way of `kubectl proxy`.

kubectl knows how to authenticate with any kubeconfig; one request through its proxy costs about a
millisecond, where a kubectl process costs a tenth of a second, too much between two measurements.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from clusterlib import waiting
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from demolib.kubectl import Kubectl
    from demolib.objects import Object

START_TIMEOUT_SECONDS = 10.0
REQUEST_TIMEOUT_SECONDS = 30.0

NO_ANSWER = "{method} {path}: {error}"
REFUSED = "{method} {path}: {status}: {message}"


class Proxy:
    """A running `kubectl proxy`. A context manager; may be used from several threads.

    Args:
        kubectl: names the cluster.
    """

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._running = contextlib.ExitStack()
        self._socket = Path()

    def __enter__(self) -> Self:
        """Start the proxy.

        Raises:
            ClusterError: it did not start.
        """
        with contextlib.ExitStack() as on_failure:
            folder = Path(on_failure.enter_context(tempfile.TemporaryDirectory()))
            self._socket = folder / "socket"
            command = [self._kubectl.program, *self._kubectl.options, "proxy"]
            # What it complains about is shown; where it serves is known.
            process = on_failure.enter_context(
                subprocess.Popen(
                    [*command, f"--unix-socket={self._socket}"], stdout=subprocess.DEVNULL
                )
            )
            on_failure.callback(process.terminate)
            waiting.until(
                self._socket.exists,
                what="kubectl proxy listens",
                timeout_seconds=START_TIMEOUT_SECONDS,
                alive=lambda: process.poll() is None,
            )
            self._running = on_failure.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the proxy."""
        self._running.close()

    def get(self, path: str) -> Object:
        """Return an object, or a list of them.

        Raises:
            ClusterError: the API server refuses.
        """
        return self._object("GET", path)

    def text(self, path: str) -> str:
        """Return what is at a path, as text.

        Raises:
            ClusterError: the API server refuses.
        """
        return self._request("GET", path).decode()

    def create(self, path: str, obj: Object) -> Object:
        """Create an object in the collection at a path, and return it as it is now.

        Raises:
            ClusterError: the API server refuses.
        """
        return self._object("POST", path, obj)

    def delete(self, path: str) -> None:
        """Delete an object, or all of a collection.

        Raises:
            ClusterError: the API server refuses.
        """
        self._object("DELETE", path)

    @contextlib.contextmanager
    def stream(self, path: str, timeout_seconds: float) -> Iterator[Iterator[bytes]]:
        """Open a watch.

        Args:
            path: with the watch's parameters.
            timeout_seconds: how long to wait for an event.

        Yields:
            The lines of the answer, each an event. The iterator raises TimeoutError.

        Raises:
            ClusterError: the API server refuses.
        """
        connection = _Connection(self._socket, timeout_seconds)
        try:
            yield iter(_open(connection, "GET", path))
        finally:
            connection.close()

    def _object(self, method: str, path: str, body: Object | None = None) -> Object:
        answer: Object = json.loads(self._request(method, path, body))
        return answer

    def _request(self, method: str, path: str, body: Object | None = None) -> bytes:
        connection = _Connection(self._socket, REQUEST_TIMEOUT_SECONDS)
        try:
            return _open(connection, method, path, body).read()
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _open(
    connection: _Connection, method: str, path: str, body: Object | None = None
) -> http.client.HTTPResponse:
    """Send a request and return the successful answer, unread."""
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status < http.HTTPStatus.BAD_REQUEST:
            return response
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise ClusterError(NO_ANSWER.format(method=method, path=path, error=error)) from error
    refused = REFUSED.format(method=method, path=path, status=response.status, message=text[:400])
    raise ClusterError(refused)
