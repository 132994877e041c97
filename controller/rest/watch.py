"""The stream of events of one watch."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

import urllib3

from controller.errors import TransportError
from controller.jsonvalue import decoded
from controller.resource import Object
from controller.rest.cutoff import Cause
from controller.rest.transport import Call, Transport
from controller.stop import Stop

_READ_SIZE: Final = 64 * 1024


class WatchStream:
    """The events of one watch, as `{"type": ..., "object": ...}`.

    A context manager: leaving it gives the connection up. Iterating ends when the server ends the
    watch in good order, when the stop is set, or when another thread calls `close`.

    Args:
        transport: Where it is opened, within the seconds of `call`.
        call: The request.
        read_timeout: Seconds of silence after which the connection counts as dead.
        stop: Cuts it at once; None if nothing does.

    Raises:
        ApiError: The server refuses.
        TransportError: No answer came in time.
        Stopped: The stop was set before the watch was open.
    """

    def __init__(
        self, transport: Transport, call: Call, *, read_timeout: float, stop: Stop | None
    ) -> None:
        self._transport = transport
        self._description = f"WATCH {call.path}"
        self._read_timeout = read_timeout
        self._response, self._guard = transport.open(call, stop=stop)
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
        """Close the connection."""
        self._guard.end()
        self._response.close()

    def __iter__(self) -> Iterator[Object]:
        """Return the stream itself: a loop may be left and another one goes on from there."""
        return self

    def __next__(self) -> Object:
        """Wait for the next event.

        Raises:
            StopIteration: The server ended the watch in good order, the stop was set, or `close`
                was called.
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
        self._guard.cut(Cause.CLOSED)

    def _ended(self) -> bool:
        return self._guard.cause in (Cause.STOP, Cause.CLOSED)

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
        if any(partial) and not self._ended():
            raise TransportError(f"{self._description}: the stream ended inside an event")

    def _read(self) -> bytes:
        """Return what has arrived, b"" at the end."""
        if self._ended():
            return b""
        self._guard.renew(self._read_timeout, Cause.SILENCE)
        try:
            content = self._response.read1(_READ_SIZE)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if self._ended():
                return b""
            raise self._transport.failure(self._description, self._guard, error) from error
        if self._guard.cause is Cause.SILENCE:
            raise self._transport.failure(self._description, self._guard, None)
        return b"" if self._ended() else content
