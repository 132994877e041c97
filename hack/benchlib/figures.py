"""Figures of several rounds, and what is said about them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Spread:
    """How long it took for several objects, in seconds.

    Attributes:
        first: the quickest.
        median: half of them were quicker.
        last: the slowest.
    """

    first: float
    median: float
    last: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Spread:
        """Return the spread of some times, at least one."""
        ordered = sorted(seconds)
        return cls(ordered[0], statistics.median(ordered), ordered[-1])

    @classmethod
    def typical(cls, spreads: Sequence[Spread]) -> Spread:
        """Return the medians of the figures of several rounds."""
        return cls(
            *(
                statistics.median(getattr(spread, name) for spread in spreads)
                for name in ("first", "median", "last")
            )
        )

    def __str__(self) -> str:
        """Return a line of a table."""
        return f"{self.first:8.2f} {self.median:8.2f} {self.last:8.2f}"

    def rounded(self) -> dict[str, float]:
        """Return the figures for JSON."""
        return {
            "first": round(self.first, 2),
            "median": round(self.median, 2),
            "last": round(self.last, 2),
        }


def table(rows: Mapping[str, Spread]) -> str:
    """Return spreads as a table with a line each."""
    width = max(map(len, rows))
    head = f"{'':{width}}  {'first':>8} {'median':>8} {'last':>8}"
    return "\n".join([head, *(f"{name:{width}}  {spread}" for name, spread in rows.items())])


def columns(titles: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Return a table with a column for each title and a line for each named row."""
    lines = [("", titles), *rows]
    first = max(len(name) for name, _ in lines)
    widths = [max(map(len, column)) for column in zip(*(cells for _, cells in lines), strict=True)]
    return "\n".join(
        "  ".join([f"{name:{first}}", *map(str.rjust, cells, widths)]).rstrip()
        for name, cells in lines
    )
