"""A stream that can be read again from its beginning, as long as little of it was taken.

Kopia may fail before it has read anything of a stream: another backup has just replaced a policy.
By then the pipe to it is full, and what fills it has left the producer.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconcilers.kopia.client.model import Source


@define(eq=False)
class Replay:
    """Keeps what is taken of a stream, up to a limit, for another reader.

    Readers come one after the other. A thread of a former one may still wait for the producer: what
    it gets is kept for the next reader, whatever the limit.

    Args:
        content: The stream.
        limit: Bytes that are kept. Once more were taken, the stream cannot be read again.
    """

    _content: Source
    _limit: int
    #: None once more was taken.
    _kept: bytearray | None = field(factory=bytearray, init=False)
    _ended: bool = field(default=False, init=False)
    _failure: Exception | None = field(default=None, init=False)
    #: Held while the producer is waited for.
    _taking: threading.Lock = field(factory=threading.Lock, init=False)
    #: Guards what is kept, and whether a reader is the one of now.
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @property
    def is_whole(self) -> bool:
        """Whether all that was taken is kept. Between two readers that does not change."""
        with self._lock:
            return self._kept is not None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Source]:
        """Return the stream from its beginning, for as long as the context lasts.

        It must be whole.
        """
        reader = _Reader(self)
        try:
            yield reader
        finally:
            with self._lock:
                reader.is_former = True

    def read(self, reader: _Reader, size: int) -> bytes:
        """Return the next bytes for a reader.

        Args:
            reader: Whose turn it is, or was.
            size: How many bytes at most.
        """
        if piece := self._again(reader, size):
            return piece
        with self._taking:
            # A former reader may have waited for it.
            return self._again(reader, size) or self._take(reader, size)

    def _again(self, reader: _Reader, size: int) -> bytes:
        with self._lock:
            if self._kept is None:
                return b""
            piece = bytes(self._kept[reader.at : reader.at + size])
            reader.at += len(piece)
            return piece

    def _take(self, reader: _Reader, size: int) -> bytes:
        if self._failure is not None:
            raise self._failure
        if self._ended or reader.is_former:
            return b""
        try:
            piece = getattr(self._content, "read1", self._content.read)(size)
        except Exception as error:
            self._failure = error
            raise
        self._ended = not piece
        with self._lock:
            reader.at += len(piece)
            if self._kept is not None:
                self._kept += piece
                if len(self._kept) > self._limit and not reader.is_former:
                    self._kept = None
        return piece


@define(eq=False)
class _Reader:
    """Reads a stream from its beginning.

    Args:
        of: The stream.
        at: Bytes that it has read.
        is_former: Whether it is not to read any more.
    """

    of: Replay
    at: int = 0
    is_former: bool = False

    def read(self, size: int, /) -> bytes:
        return self.of.read(self, size)
