"""The input of a command in a container: the command, then signs of life until it is to end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from controller.errors import Stopped
from reconcilers.actionset.functions import shellscript

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.clock import Clock

#: Seconds between two signs of life. Load balancers cut connections that are silent for minutes.
INTERVAL_SECONDS: Final = 60.0

ENDED_BEFORE: Final = "the command was ended before it had begun"


class Lifeline:
    """The input, as pieces that are made while the command runs.

    Its end ends the command: it is cut with the connection, however that ends.

    Args:
        head: What is sent first. It may hold a secret.
        clock: The time.
    """

    def __init__(self, head: bytes, *, clock: Clock) -> None:
        self._head = head
        self._clock = clock
        self._ended = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces until `end`.

        Raises:
            Stopped: `end` was called before the first piece. The command does not run.
        """
        if self._ended.is_set():
            raise Stopped(ENDED_BEFORE)
        head, self._head = self._head, b""
        yield head
        while not self._clock.wait_event(self._ended, INTERVAL_SECONDS):
            yield shellscript.ALIVE
        # Before Kubernetes 1.30 the end of the input does not reach the container.
        yield shellscript.END

    def end(self) -> None:
        """End the command, if it runs, and the thread that sends."""
        self._ended.set()
