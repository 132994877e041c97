"""The stream of events of one watch."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

import urllib3

from controller.errors import TransportError
from controller.jsonvalue import decoded
from controller.resource import Object
from controller.rest.transport import transport_error

_READ_SIZE: Final = 64 * 1024


class WatchStream:
    """The events of one watch, as `{"type": ..., "object": ...}`.

    A context manager: leaving it gives the connection up. Iterating ends when the server ends the
    watch in good order, or when another thread calls `close`.
    """

    def __init__(
        self,
        response: urllib3.BaseHTTPResponse,
        description: str,
        on_silence: Callable[[], None],
    ) -> None:
        self._response = response
        self._description = description
        self._on_silence = on_silence
        self._closed = threading.Event()
        self._lines = self._split_lines()

    def __enter__(self) -> Self:
        """Take the stream over."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the connection up."""
        self._response.close()

    def __iter__(self) -> Iterator[Object]:
        """Return the stream itself: a loop may be left and another one goes on from there."""
        return self

    def __next__(self) -> Object:
        """Wait for the next event.

        Raises:
            StopIteration: The server ended the watch in good order, or `close` was called.
            TransportError: The connection broke, was silent for longer than the read timeout, or
                carried broken JSON.
        """
        line = next(self._lines)
        try:
            event: Object = decoded(line)
        except ValueError as error:
            raise TransportError(f"{self._description}: broken JSON: {error}") from error
        return event

    def close(self) -> None:
        """End the iteration at once, from any thread; a stream that has ended stays so."""
        self._closed.set()
        # Only the reader's own `close` may free the connection; this wakes it from its read.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._response.shutdown()

    def _split_lines(self) -> Iterator[bytes]:
        """Split the stream at newlines; an event may span many reads and a read many events."""
        partial: list[bytes] = []
        while chunk := self._read():
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                partial.append(line)
                if complete := b"".join(partial):
                    yield complete
                partial.clear()
            partial.append(rest)
        if any(partial) and not self._closed.is_set():
            raise TransportError(f"{self._description}: the stream ended inside an event")

    def _read(self) -> bytes:
        """Return what has arrived, b"" at the end."""
        if self._closed.is_set():
            return b""
        try:
            return self._response.read1(_READ_SIZE)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self._closed.is_set():
                return b""
            if isinstance(error, urllib3.exceptions.ReadTimeoutError):
                self._on_silence()
            raise transport_error(self._description, error) from error
        except (AttributeError, ValueError):
            # A TLS socket that another thread shuts down loses its state between two bytecodes of
            # the reader, which the ssl module answers with one of these.
            if self._closed.is_set():
                return b""
            raise
