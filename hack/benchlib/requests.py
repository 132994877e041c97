"""Asks a cluster's API over HTTP, on whatever connection there is to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
from typing import TYPE_CHECKING

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from demolib.objects import Object

REQUEST_TIMEOUT_SECONDS = 30.0

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

NO_ANSWER = "{method} {path}: {error}"
REFUSED = "{method} {path}: {status}: {message}"


class Requests:
    """Requests to one API. May be used from several threads.

    Args:
        connect: returns a connection that gives up after so many seconds of silence.
    """

    def __init__(self, connect: Callable[[float], http.client.HTTPConnection]) -> None:
        self._connect = connect
        # Connections that are open and in nobody's use. Single operations only, which are atomic.
        self._idle: list[http.client.HTTPConnection] = []

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

    def merge(self, path: str, patch: Object) -> Object:
        """Patch an object, and return it as it is now.

        Raises:
            ClusterError: the API server refuses.
        """
        return self._object("PATCH", path, patch, MERGE_PATCH)

    def delete(self, path: str) -> None:
        """Delete an object, or all of a collection.

        Raises:
            ClusterError: the API server refuses.
        """
        self._object("DELETE", path)

    @contextlib.contextmanager
    def stream(self, path: str, timeout_seconds: float) -> Iterator[Stream]:
        """Open a watch.

        Args:
            path: with the watch's parameters.
            timeout_seconds: how long to wait for an event.

        Yields:
            The lines of the answer, each an event.

        Raises:
            ClusterError: the API server refuses.
        """
        connection = self._connect(timeout_seconds)
        try:
            yield Stream(connection, _open(connection, "GET", path))
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _object(
        self, method: str, path: str, body: Object | None = None, content_type: str = JSON
    ) -> Object:
        answer: Object = json.loads(self._request(method, path, body, content_type))
        return answer

    def _request(
        self, method: str, path: str, body: Object | None = None, content_type: str = JSON
    ) -> bytes:
        connection = self._idle_connection() or self._connect(REQUEST_TIMEOUT_SECONDS)
        try:
            answer = _open(connection, method, path, body, content_type).read()
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def _idle_connection(self) -> http.client.HTTPConnection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:
                break
            # Nobody was asked: what can be read is the other side's farewell.
            if connection.sock is not None and not select.select([connection.sock], [], [], 0)[0]:
                return connection
            connection.close()
        return None


class Stream:
    """An answer that goes on until one of the two sides ends it.

    Args:
        connection: on which it comes.
        response: the answer, unread.
    """

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._connection = connection
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        """Return its lines, until it ends.

        Raises:
            TimeoutError: there was none for too long.
        """
        with contextlib.suppress(http.client.HTTPException, ConnectionError):
            yield from self._response

    def end(self) -> None:
        """End it; to be called by another thread than the one that reads it."""
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)


def _open(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Object | None = None,
    content_type: str = JSON,
) -> http.client.HTTPResponse:
    """Send a request and return the successful answer, unread."""
    content = None if body is None else json.dumps(body)
    try:
        connection.request(method, path, content, {"Content-Type": content_type})
        response = connection.getresponse()
        if response.status < http.HTTPStatus.BAD_REQUEST:
            return response
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise ClusterError(NO_ANSWER.format(method=method, path=path, error=error)) from error
    refused = REFUSED.format(method=method, path=path, status=response.status, message=text[:400])
    raise ClusterError(refused)
