"""Durations as users write them: `90s`, `5m`, `1h30m`."""

from __future__ import annotations

import re
from typing import Final

# Those of Go's time.ParseDuration, and days, which it lacks.
_SECONDS: Final = {
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
}
_PART: Final = re.compile(r"(\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})(ms|us|µs|ns|d|h|m|s)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern}){{1,8}}", re.ASCII)

#: The longest one, in seconds: a later time could not be added to a date.
LONGEST: Final = 100 * 365 * 86400.0


def parse(text: str) -> float:
    """Return the seconds of a duration, as Go's time.ParseDuration reads one; `d` is a day.

    Raises:
        ValueError: It is none, or is longer than 100 years.
    """
    stripped = text.strip().removeprefix("+")
    if stripped == "0":
        return 0.0
    if not _WHOLE.fullmatch(stripped):
        raise ValueError("not a duration")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(stripped))
    if seconds > LONGEST:
        raise ValueError("longer than 100 years")
    return seconds
