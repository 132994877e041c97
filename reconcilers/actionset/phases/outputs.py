"""The outputs of a phase, read from what its program prints. Pure.

The protocol is Kanister's (pkg/output/output.go and stream.go): somewhere in a line stands a
marker, and the rest of the line is a JSON object with a key and a value, both texts.

A line may be of any length: of one without an output only its beginning is kept.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.actionset.function import Progress
from reconcilers.actionset.status.document import SIZES
from reconcilers.datafunctions.outputs import MARKER, PERCENT, PROGRESS_MARKER, SECONDS_LEFT

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Bytes of keys and values that are kept of one phase. etcd takes 1.5 MiB for the whole ActionSet.
MAX_OUTPUTS: Final = 1024 * 1024
#: Lines that are kept for an error: Kanister's (pkg/kube/log_tail.go).
TAIL_LINES: Final = 10
#: Bytes of these lines.
TAIL_BYTES: Final = 4096

TOO_LARGE: Final = (
    "its outputs have more than {limit} bytes, and an ActionSet cannot hold more: store large "
    "results elsewhere and put out where they are"
)
BROKEN: Final = (
    'output {number} is no JSON object of the form {{"key": "...", "value": "..."}}, both of them '
    "texts, with nothing after it on its line"
)
CUT_SHORT: Final = "..."
#: Of what runs still.
MOST_PERCENT: Final = 99
#: The largest number that counts. The API server refuses a status with one that no integer holds.
LARGEST_NUMBER: Final = 2**53

_MARKER: Final = MARKER.encode()
# What a shell puts before each command that it traces, by `set -x`: the command has its values.
_TRACED: Final = re.compile(r"\++ ")


@frozen
class Printed:
    """What a program has printed.

    Args:
        outputs: Its outputs by key; of one key the last.
        tail: The last lines without output, for an error. Commands that a shell has traced are not
            among them.
        problem: Why the outputs cannot be used; empty if they can.
    """

    outputs: Mapping[str, str]
    tail: tuple[str, ...] = ()
    problem: str = ""


class Collector:
    """Collects the outputs and the last lines of what a program prints, piece by piece."""

    def __init__(self) -> None:
        self._outputs: dict[str, str] = {}
        # Bytes of their keys and values.
        self._size = 0
        self._problem = ""
        self._number = 0
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        #: How far the phase is, by the last line that says so; None before the first.
        self.progress: Progress | None = None
        # Of the present line: its text without an output, as far as it is kept; after that its last
        # bytes, with which a marker may begin; the output once there was a marker.
        self._text = bytearray()
        self._edge = b""
        self._output: bytearray | None = None

    def feed(self, piece: bytes) -> None:
        """Take a piece, which may begin and end inside a line."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._add(part)
            self._end_line()
        self._add(rest)

    def drop_line(self) -> None:
        """Forget the present line: it comes again, whole."""
        self._text.clear()
        self._edge = b""
        self._output = None

    def end(self) -> Printed:
        """Return what was printed; a last line without its end counts as a line."""
        self._end_line()
        return Printed(dict(self._outputs), self._last_lines(), self._problem)

    def _add(self, part: bytes) -> None:
        """Add a part of the present line."""
        if self._output is not None:
            self._output += part[: MAX_OUTPUTS + 1 - len(self._output)]
            return
        text, marker, output = (self._edge + part).partition(_MARKER)
        if marker:
            self._keep(text)
            self._edge = b""
            self._output = bytearray(output[: MAX_OUTPUTS + 1])
            return
        certain = max(0, len(text) - len(_MARKER) + 1)
        self._keep(text[:certain])
        self._edge = text[certain:]

    def _keep(self, text: bytes) -> None:
        self._text += text[: max(0, TAIL_BYTES - len(self._text))]

    def _end_line(self) -> None:
        self._keep(self._edge)
        text = self._text.decode(errors="replace").strip()
        if text.startswith(PROGRESS_MARKER):
            # One that cannot be read is no reason to fail.
            self.progress = _progress(text.removeprefix(PROGRESS_MARKER)) or self.progress
        elif text and not _TRACED.match(text):
            self._tail.append(text)
        if self._output is not None and self._output.strip() and not self._problem:
            self._take(bytes(self._output))
        self.drop_line()

    def _take(self, content: bytes) -> None:
        """Take an output; the first problem ends that."""
        self._number += 1
        if len(content) > MAX_OUTPUTS:
            self._problem = TOO_LARGE.format(limit=MAX_OUTPUTS)
            return
        try:
            key, value = _pair(content)
        except ValueError:
            self._problem = BROKEN.format(number=self._number)
            return
        before = self._outputs.get(key)
        self._size -= 0 if before is None else _size(key) + _size(before)
        self._size += _size(key) + _size(value)
        self._outputs[key] = value
        if self._size > MAX_OUTPUTS:
            self._problem = TOO_LARGE.format(limit=MAX_OUTPUTS)

    def _last_lines(self) -> tuple[str, ...]:
        """Return the last lines, as many as there is room for; the last one always."""
        lines: list[str] = []
        room = TAIL_BYTES
        for line in reversed(self._tail):
            size = _size(line) + 1
            if size > room:
                if not lines:
                    lines.append(line.encode()[: room - len(CUT_SHORT)].decode(errors="ignore"))
                    lines[0] += CUT_SHORT
                break
            room -= size
            lines.append(line)
        return tuple(reversed(lines))


def _progress(content: str) -> Progress | None:
    """Return how far a phase is; None for what does not say it."""
    try:
        parsed = json.loads(content)
        values = {name: int(value) for name, value in parsed.items() if value is not None}
        percent = values[PERCENT]
        if max(map(abs, values.values())) > LARGEST_NUMBER:
            return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None
    sizes = {name: max(0, values[name]) for name in SIZES if name in values}
    # 100 is what is over.
    return Progress(max(0, min(MOST_PERCENT, percent)), sizes, values.get(SECONDS_LEFT))


def _pair(content: bytes) -> tuple[str, str]:
    """Return key and value of an output, as encoding/json of Go reads them.

    Field names match in any case, unknown fields are left out, null stands for an empty text.

    Raises:
        ValueError: It is no such object.
    """
    try:
        parsed = json.loads(content.decode(errors="replace"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError from None
    if parsed is None:
        parsed = {}
    if not isinstance(parsed, dict):
        raise ValueError  # noqa: TRY004 - the caller's one error
    found = {"key": "", "value": ""}
    for name, value in parsed.items():
        if name.lower() in found and value is not None:
            if not isinstance(value, str):
                raise ValueError
            found[name.lower()] = _well_formed(value)
    return found["key"], found["value"]


def _refuse_constant(_name: str) -> Any:  # noqa: ANN401 - never returns
    """Refuse NaN and Infinity, which Python's decoder takes and JSON does not have."""
    raise ValueError


def _well_formed(text: str) -> str:
    """Return a text without halves of surrogate pairs, which UTF-8 does not have."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _size(text: str) -> int:
    return len(text.encode())
