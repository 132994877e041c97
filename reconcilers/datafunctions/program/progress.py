"""How far a run is: a bar on a terminal, a line from time to time elsewhere."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, field

from reconcilers.datafunctions import outputs, units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from controller.clock import Clock
    from reconcilers.kopia.client.model import Progress

#: Seconds between two lines.
LINE_SECONDS: Final = 30.0
#: Seconds between two lines for the controller of ActionSets, which writes each into a status.
MARKED_SECONDS: Final = 10.0

#: How progress is said: `IN_WORDS` as a bar on a terminal.
IN_WORDS: Final = "words"
MARKED: Final = "marked"
WAYS: Final = (IN_WORDS, MARKED)

#: Of what is not over.
_MOST: Final = 99

_MINUTE: Final = 60
_HOUR: Final = 3600


class Reporter(Protocol):
    """Shows how far a run is."""

    def update(self, what: str, progress: Progress) -> None:
        """Show it. Called often, and for several pods on several threads.

        Args:
            what: Which piece of the work.
            progress: How far that is.
        """

    def clear(self) -> None:
        """Make room for a line that is printed next."""

    def close(self) -> None:
        """Show nothing more."""


@define
class Pieces:
    """The pieces of the work, and how far they are together.

    Args:
        progress: By piece.
    """

    progress: dict[str, Progress] = field(factory=dict)

    @property
    def files(self) -> int:
        """The number of files that are done."""
        return sum(one.files for one in self.progress.values())

    @property
    def size(self) -> int:
        """Their bytes."""
        return sum(one.size for one in self.progress.values())

    @property
    def total(self) -> int | None:
        """The bytes that there will be; None while one piece does not know."""
        totals = [one.total_size for one in self.progress.values()]
        known = [total for total in totals if total is not None]
        return sum(known) if len(known) == len(totals) else None

    @property
    def uploaded(self) -> int:
        """The bytes that were sent to the server."""
        return sum(one.uploaded for one in self.progress.values())

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return sum(one.rate for one in self.progress.values())


def line(progress: Mapping[str, Progress]) -> str:
    """Return how far the pieces are together, in words.

    Args:
        progress: By piece.
    """
    pieces = Pieces(dict(progress))
    done = f"{pieces.files} files, {units.decimal(pieces.size)}"
    rate = f"{units.decimal(int(pieces.rate))}/s"
    total = pieces.total
    if not total:
        return f"{done}, {rate}"
    percent = min(100, pieces.size * 100 // total)
    parts = [f"{done} of {units.decimal(total)} ({percent} %)", rate]
    if pieces.rate:
        parts.append(f"{_duration(max(0, total - pieces.size) / pieces.rate)} left")
    return ", ".join(parts)


def marked(progress: Mapping[str, Progress]) -> str:
    """Return how far the pieces are together, for the controller of ActionSets.

    Args:
        progress: By piece.
    """
    pieces = Pieces(dict(progress))
    total = pieces.total
    values = {outputs.PERCENT: min(_MOST, pieces.size * 100 // total) if total else 0}
    if pieces.uploaded:
        values["sizeUploadedB"] = pieces.uploaded
    if total and pieces.rate:
        values[outputs.SECONDS_LEFT] = round(max(0, total - pieces.size) / pieces.rate)
    return outputs.progress_line(values).rstrip()


class Lines:
    """Prints a line from time to time.

    Args:
        stream: Where to.
        clock: The time.
        line: Returns the line. Default: in words.
        seconds: Between two lines. Default: 30.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Clock,
        line: Callable[[Mapping[str, Progress]], str] = line,
        seconds: float = LINE_SECONDS,
    ) -> None:
        """Count the seconds from now."""
        self._stream = stream
        self._clock = clock
        self._line = line
        self._seconds = seconds
        self._lock = threading.Lock()
        self._progress: dict[str, Progress] = {}
        self._due = clock.monotonic() + seconds

    def update(self, what: str, progress: Progress) -> None:
        """Print a line if it is time."""
        with self._lock:
            self._progress[what] = progress
            if self._clock.monotonic() < self._due:
                return
            self._due = self._clock.monotonic() + self._seconds
            self._stream.write(f"{self._line(self._progress)}\n")
            self._stream.flush()

    def clear(self) -> None:
        """Do nothing: each line is whole."""

    def close(self) -> None:
        """Print nothing more."""


class Bar:
    """Draws a bar.

    Args:
        stream: A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        """Draw nothing before something is known."""
        # Not needed where the program runs as a rule, and as long to import as all of the rest.
        from tqdm import tqdm  # noqa: PLC0415 - see above

        # The thread with which it would redraw a bar that nobody moves.
        tqdm.monitor_interval = 0
        self._lock = threading.Lock()
        self._pieces = Pieces()
        self._bar = tqdm(file=stream, unit="B", unit_scale=True, dynamic_ncols=True, leave=False)

    def update(self, what: str, progress: Progress) -> None:
        """Move the bar."""
        with self._lock:
            self._pieces.progress[what] = progress
            self._bar.total = self._pieces.total
            self._bar.set_postfix_str(f"{self._pieces.files} files", refresh=False)
            # A retry begins anew.
            self._bar.update(self._pieces.size - self._bar.n)

    def refresh(self) -> None:
        """Draw it now, not when it is next due."""
        with self._lock:
            self._bar.refresh()

    def clear(self) -> None:
        """Take the bar away until it is moved again."""
        with self._lock:
            self._bar.clear()

    def close(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._bar.close()


def reporter(stream: TextIO, clock: Clock, way: str = IN_WORDS) -> Reporter:
    """Return what fits where the program writes to.

    Args:
        stream: Standard error.
        clock: The time.
        way: One of `WAYS`. Default: in words.
    """
    if way == MARKED:
        return Lines(stream, clock, marked, MARKED_SECONDS)
    return Bar(stream) if stream.isatty() else Lines(stream, clock)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
