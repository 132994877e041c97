"""What a container has printed, from a log that was opened once or several times. Pure.

A log is opened again where its connection was cut or the process was restarted, always at its
beginning. That is where the node's newest file begins: a node rotates a log that has become long
(10 MiB unless its kubelet is told otherwise), and shows nothing of the files before. The time that
the node puts before each line says whether it is the same beginning.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.actionset.phases.outputs import TAIL_LINES, Collector, Printed
from reconcilers.datafunctions.outputs import MARKER

if TYPE_CHECKING:
    from reconcilers.actionset.function import Progress

# As a kubelet writes it before each line: RFC 3339, always with nine digits of the second, in the
# zone of the container runtime (kubernetes pkg/kubelet/types, RFC3339NanoFixed).
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_LONGEST_STAMP: Final = len("2006-01-02T15:04:05.999999999+00:00")
_NANOSECONDS: Final = 10**9
_MARKER: Final = MARKER.encode()
# Of a piece without outputs only the last lines count, for an error; some of them are empty.
_KEPT_LINES: Final = 8 * TAIL_LINES


def _is_stamp(stamp: bytes | bytearray) -> bool:
    """Return whether a word is a time; a program may print what only looks like one."""
    try:
        nanoseconds(bytes(stamp))
    except ValueError:
        return False
    return True


def nanoseconds(stamp: bytes) -> int:
    """Return the nanoseconds since 1970 of a time before a line.

    Raises:
        ValueError: It is none.
    """
    parts = _STAMP.fullmatch(stamp)
    if parts is None:
        raise ValueError(stamp)
    seconds, fraction, zone = parts.groups()
    when = datetime.fromisoformat((seconds + zone).decode())
    return int(when.timestamp()) * _NANOSECONDS + int((fraction or b"0").ljust(9, b"0"))


def _last_lines(text: bytes) -> bytes:
    """Return the end of a text: so many lines, and what follows the last of them."""
    at = len(text)
    for _ in range(_KEPT_LINES + 1):
        at = text.rfind(b"\n", 0, at)
        if at < 0:
            return text
    return text[at + 1 :]


class NoLog(Exception):
    """What the node sent is no log: a kubelet puts its own words where it cannot read one."""


@frozen
class Log:
    """A log that has ended.

    Args:
        printed: What it says.
        rotated: Whether some of it may be missing: the node has rotated it before that was read.
    """

    printed: Printed
    rotated: bool = False


class TimedLog:
    """Puts together what the openings of a log have shown.

    Args:
        first: The time of its first line, in nanoseconds, as another process has seen it. Default:
            None, nobody has.
    """

    def __init__(self, first: int | None = None) -> None:
        #: The time of the first line, in nanoseconds; None before it was seen.
        self.first = first
        #: Bytes of the present opening.
        self.size = 0
        self._collector = Collector()
        self._rotated = False
        # The time of the last line that has come to its end, in any opening; empty before.
        self._last = b""
        # Of the present opening: whether it has shown a line; and until which time its lines are
        # known from the openings before, None if they are not.
        self._begun = False
        self._known_until: int | None = None
        # Of the present line: its time, what there is of it; whether that is complete; and whether
        # the line is known already.
        self._stamp = bytearray()
        self._in_text = False
        self._known = False

    @property
    def progress(self) -> Progress | None:
        """How far the phase is, by the last line that says so."""
        return self._collector.progress

    def open(self) -> None:
        """Begin anew with the first byte of the log."""
        self._collector.drop_line()
        self.size = 0
        self._begun = False
        self._known_until = None
        self._begin_line()

    def feed(self, piece: bytes) -> None:
        """Take a piece, which may begin and end inside a line.

        Raises:
            NoLog: The first line has no time.
        """
        self.size += len(piece)
        end = piece.find(b"\n") + 1
        if end and self._begun and self._known_until is None and _MARKER not in piece:
            # To look at each line of a talkative program would cost the other threads.
            self._feed(piece[:end])
            self._feed(_last_lines(piece[end:]))
        else:
            self._feed(piece)

    def end(self) -> Log:
        """Return what the log says.

        Raises:
            NoLog: All that there is is a line without a time.
        """
        if self._stamp and not self._in_text:
            self._take_stamp()
        # An opening without a line, where there was one before, is a new file.
        rotated = self._rotated or (not self._begun and self.first is not None)
        return Log(self._collector.end(), rotated)

    def _feed(self, piece: bytes) -> None:
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._add(part)
            self._end_line()
        self._add(rest)

    def _add(self, part: bytes) -> None:
        if not self._in_text:
            stamp, space, part = part.partition(b" ")
            self._stamp += stamp
            if not space and len(self._stamp) <= _LONGEST_STAMP:
                return
            self._take_stamp()
        if not self._known:
            self._collector.feed(part)

    def _end_line(self) -> None:
        if self._stamp and not self._in_text:
            self._take_stamp()
        if not self._known:
            self._collector.feed(b"\n")
        if _is_stamp(self._stamp):
            self._last = bytes(self._stamp)
        self._begin_line()

    def _begin_line(self) -> None:
        self._stamp.clear()
        self._in_text = False
        self._known = False

    def _take_stamp(self) -> None:
        """Take the time of a line, now that it is complete."""
        self._in_text = True
        if not _is_stamp(self._stamp):
            if not self._begun:
                raise NoLog
            # Words of the kubelet at the end of a log.
            self._collector.feed(bytes(self._stamp) + b" ")
            return
        if not self._begun:
            self._begin_opening(nanoseconds(bytes(self._stamp)))
        if self._known_until is not None:
            self._known = nanoseconds(bytes(self._stamp)) <= self._known_until
            if not self._known:
                self._known_until = None

    def _begin_opening(self, first: int) -> None:
        """Compare the first line with that of the openings before."""
        self._begun = True
        if self.first is None or first <= self.first:
            # All of it, so what was there before comes again.
            self.first = first
            self._collector = Collector()
            return
        # A newer file. Nothing is missing if it overlaps with the lines before.
        last = nanoseconds(self._last) if self._last else None
        if last is None or first > last:
            self._rotated = True
        self._known_until = last
