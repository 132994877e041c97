"""Text for a terminal: colours, columns, ages. Pure functions.

What comes from the cluster is made plain first: whoever may write a message or an event must not be
able to send the reader's terminal control sequences.
"""

from __future__ import annotations

import textwrap
from enum import Enum
from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.conditions import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

WIDTH: Final = 100
INDENT: Final = "  "
UNKNOWN_AGE: Final = "-"

_RESET: Final = "\x1b[0m"
_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


class Tone(Enum):
    """What a word is about, and its colour on a terminal."""

    #: As it should be.
    GOOD = "\x1b[32m"
    #: Under way, or a warning.
    UNDER_WAY = "\x1b[33m"
    #: A fault.
    BAD = "\x1b[31m"
    #: A heading.
    STRONG = "\x1b[1m"
    #: Of little weight.
    FAINT = "\x1b[2m"


@frozen
class Paint:
    """Colours, or none.

    Args:
        colours: Whether there are any.
    """

    colours: bool

    def __call__(self, text: str, tone: Tone | None) -> str:
        """Return a text in the colour of a tone."""
        return f"{tone.value}{text}{_RESET}" if self.colours and tone and text else text


@frozen
class Cell:
    """A word in a table.

    Args:
        text: The word.
        tone: Its tone; None for none.
    """

    text: str
    tone: Tone | None = None


def wants_colours(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Return whether to use colours: on a terminal, unless NO_COLOR says otherwise (no-color.org).

    Args:
        environment: The variables.
        terminal: Whether standard output is one.
    """
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def plain(text: str) -> str:
    """Return a text on one line and without characters that a terminal obeys."""
    shown = (char if char.isprintable() else " " if char.isspace() else "?" for char in text)
    return " ".join("".join(shown).split())


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], paint: Paint) -> list[str]:
    """Return rows in columns below their heads, one line each.

    Args:
        heads: Of the columns.
        rows: Cells, as many as heads.
        paint: Colours.
    """
    held = [[Cell(head) for head in heads], *(list(row) for row in rows)]
    widths = [max(len(row[column].text) for row in held) for column in range(len(heads))]
    lines = []
    for row in held:
        padded = [
            paint(cell.text, cell.tone) + " " * (width - len(cell.text))
            for cell, width in zip(row, widths, strict=True)
        ]
        lines.append("   ".join(padded).rstrip())
    return lines


def wrapped(text: str, indent: str = INDENT) -> list[str]:
    """Return a text in lines that fit the screen, words whole.

    Args:
        text: What is written.
        indent: What each line begins with.
    """
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def duration(seconds: float) -> str:
    """Return seconds in the largest unit that leaves two digits, as kubectl shows ages."""
    whole = max(0, int(seconds))
    for unit, letter, least in ((_DAY, "d", 2 * _DAY), (_HOUR, "h", 2 * _HOUR)):
        if whole >= least:
            return f"{whole // unit}{letter}"
    return f"{whole // _MINUTE}m" if whole >= 2 * _MINUTE else f"{whole}s"


def age(written: str, now: datetime) -> str:
    """Return how long ago a time was, or `UNKNOWN_AGE`.

    Args:
        written: As Kubernetes writes times; empty if it is not known.
        now: The time.
    """
    when = time_of(written)
    return UNKNOWN_AGE if when is None else duration((now - when).total_seconds())


def time_of(written: str) -> datetime | None:
    """Return a time as Kubernetes writes it; None if there is none or it is something else."""
    try:
        return parse_time(written)
    except ValueError:
        return None
