"""An answer that is read while it arrives, for hours perhaps: that of a watch or of a log."""

from types import TracebackType
from typing import Final, Self

import urllib3

from controller.rest.cutoff import Cause
from controller.rest.transport import Call, Transport
from controller.stop import Stop

_READ_SIZE: Final = 64 * 1024


class Stream:
    """What all streams have in common. A context manager: leaving it gives the connection up.

    Args:
        transport: Where it is opened, within the seconds and the deadline of `call`.
        call: The request.
        description: What an error message calls it.
        stop: Cuts it at once, while it is opened and later; None if nothing does.

    Raises:
        ApiError: The server refuses.
        TransportError: No answer came in time.
        DeadlineExceeded: The deadline of the call has passed.
        Stopped: The stop was set before it was open.
    """

    def __init__(
        self, transport: Transport, call: Call, *, description: str, stop: Stop | None
    ) -> None:
        self._transport = transport
        self._description = description
        self._response, self._guard = transport.open(call, stop=stop)

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

    def __iter__(self) -> Self:
        """Return the stream itself: a loop may be left and another one goes on from there."""
        return self

    def _read(self, seconds: float, cause: Cause) -> bytes:
        """Wait for what comes next, and return it: b"" if the server ended it in good order.

        Args:
            seconds: How long to wait.
            cause: What it means if they pass.

        Raises:
            TransportError: The connection broke, or was silent for too long.
            DeadlineExceeded: The seconds were those up to a deadline.
            Stopped: The stop was set.
        """
        self._guard.renew(seconds, cause)
        try:
            content = self._response.read1(_READ_SIZE)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._transport.failure(self._description, self._guard, error) from error
        if self._guard.cause is not None:
            # A body that ends with its connection looks whole when that is cut.
            raise self._transport.failure(self._description, self._guard, None)
        return content
