"""Logs of pods without threads and without pods: a test says what each opening shows."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from controller.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.clock import Deadline

    #: What an opening shows: bytes, something to do meanwhile, or how it fails.
    Piece = bytes | Exception | Callable[[], object]


def stamped(*lines: str, first: int = 0) -> bytes:
    """Return lines as a kubelet sends them, a second apart."""
    return b"".join(
        b"2026-01-01T00:00:%02d.000000000Z %s\n" % (first + number, line.encode())
        for number, line in enumerate(lines)
    )


@frozen
class Opened:
    """How a log was opened."""

    namespace: str
    pod: str
    container: str
    follow: bool


@define
class FakeLogs:
    """As `controller.rest.podlogs.PodLogs`.

    Attributes:
        script: What the openings show, in their order. Beyond it they show nothing.
        opened: How logs were opened.
    """

    script: deque[tuple[Piece, ...]] = field(factory=deque)
    opened: list[Opened] = field(factory=list)
    deadlines: list[Deadline] = field(factory=list)

    def expect(self, *pieces: Piece) -> None:
        """Say what the next opening shows."""
        self.script.append(pieces)

    @contextmanager
    def open(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        deadline: Deadline,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Iterator[Iterator[bytes]]:
        assert timestamps
        self.opened.append(Opened(namespace, pod, container, follow))
        self.deadlines.append(deadline)
        yield self._pieces(deadline, self.script.popleft() if self.script else ())

    def _pieces(self, deadline: Deadline, pieces: tuple[Piece, ...]) -> Iterator[bytes]:
        for piece in pieces:
            if deadline.stop is not None and deadline.stop.is_set():
                raise Stopped("cut")
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, bytes):
                yield piece
            else:
                piece()
        if deadline.stop is not None and deadline.stop.is_set():
            raise Stopped("cut")
