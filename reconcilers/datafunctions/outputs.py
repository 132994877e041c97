"""Outputs of a function, as Kanister reads them from a pod's log and as a file."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Kanister pkg/output/output.go, PhaseOpString.
MARKER: Final = "###Phase-output###:"
#: Ours: begins a line that says how far a phase is. The rest is a JSON object with `PERCENT`, and
#: with sizes in bytes by the names of Kanister's status, where they are known.
PROGRESS_MARKER: Final = "###Phase-progress###:"
PERCENT: Final = "percent"
SECONDS_LEFT: Final = "secondsLeft"

KEY_INVALID: Final = "{key!r} is no name of an output: it may have letters, digits and `_`"

# Kanister pkg/output/output.go, ValidateKey: others cannot be used in a template.
_KEY: Final = re.compile(r"[A-Za-z0-9_]+")


def lines(outputs: Mapping[str, str]) -> str:
    """Return one line for each output; an end of line in a value is escaped as JSON has it.

    Raises:
        ValueError: A key cannot be used in a template.
    """
    return "".join(f"{MARKER} {_pair(key, value)}\n" for key, value in outputs.items())


def progress_line(values: Mapping[str, int]) -> str:
    """Return the line that says how far a phase is.

    Args:
        values: `PERCENT`, and `SECONDS_LEFT` and sizes, where they are known.
    """
    return f"{PROGRESS_MARKER} {json.dumps(dict(values))}\n"


def write(file: Path, outputs: Mapping[str, str]) -> None:
    """Write the outputs into a file as one JSON object; whoever looks sees all of it or nothing.

    Raises:
        OSError: It cannot be written.
    """
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        unfinished.write_text(json.dumps(dict(outputs), indent=1) + "\n")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def check_key(key: str) -> None:
    """Refuse the name of an output that no template can use.

    Raises:
        ValueError: It cannot be used.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(KEY_INVALID.format(key=key))


def _pair(key: str, value: str) -> str:
    check_key(key)
    return json.dumps({"key": key, "value": value})
