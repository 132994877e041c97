"""The stream of events of one watch."""

from collections.abc import Iterator

from controller.errors import Stopped, TransportError
from controller.jsonvalue import decoded
from controller.resource import Object
from controller.rest.cutoff import Cause
from controller.rest.stream import Stream
from controller.rest.transport import Call, Transport
from controller.stop import Stop


class WatchStream(Stream):
    """The events of one watch, as `{"type": ..., "object": ...}`.

    Iterating ends when the server ends the watch in good order, or when the stop is set.

    Args:
        transport: See `Stream`.
        call: See `Stream`.
        read_timeout: Seconds of silence after which the connection counts as dead.
        stop: See `Stream`.

    Raises:
        ApiError: The server refuses.
        TransportError: No answer came in time.
        Stopped: The stop was set before the watch was open.
    """

    def __init__(
        self, transport: Transport, call: Call, *, read_timeout: float, stop: Stop | None
    ) -> None:
        super().__init__(transport, call, description=f"WATCH {call.path}", stop=stop)
        self._read_timeout = read_timeout
        self._lines = self._split_lines()

    def __next__(self) -> Object:
        """Wait for the next event.

        Raises:
            StopIteration: The server ended the watch in good order, or the stop was set.
            TransportError: The connection broke, was silent for longer than the read timeout, or
                carried broken JSON.
        """
        try:
            line = next(self._lines)
        except Stopped:
            raise StopIteration from None
        try:
            event: Object = decoded(line)
        except ValueError as error:
            raise TransportError(f"{self._description}: broken JSON: {error}") from error
        return event

    def _split_lines(self) -> Iterator[bytes]:
        """Split the stream at newlines; an event may span many reads and a read many events."""
        partial: list[bytes] = []
        while chunk := self._read(self._read_timeout, Cause.SILENCE):
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                partial.append(line)
                if complete := b"".join(partial):
                    yield complete
                partial.clear()
            partial.append(rest)
        if any(partial):
            raise TransportError(f"{self._description}: the stream ended inside an event")
