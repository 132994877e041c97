"""Reads metrics in Prometheus' text format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    """One line.

    Attributes:
        name: the metric's.
        labels: their values by name.
        value: the number.
    """

    name: str
    labels: Mapping[str, str]
    value: float


class Metrics:
    """What a process showed at one moment.

    Args:
        text: the whole page.
    """

    def __init__(self, text: str) -> None:
        self._samples = [
            Sample(
                match["name"], dict(_LABEL.findall(match["labels"] or "")), float(match["value"])
            )
            for match in map(_SAMPLE.fullmatch, text.splitlines())
            if match is not None
        ]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all series that have these labels; 0 without any."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def by_labels(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the sums of a metric by the values of some labels."""
        sums: dict[tuple[str, ...], float] = {}
        for sample in self._samples:
            if sample.name == name:
                key = tuple(sample.labels.get(label, "") for label in labels)
                sums[key] = sums.get(key, 0.0) + sample.value
        return sums
