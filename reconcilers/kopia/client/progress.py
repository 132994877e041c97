"""What Kopia prints of its progress, and what it says beside it.

Progress and log come on standard error. A line of progress overwrites the one before by a carriage
return (Kopia cli/cli_progress.go, cli/restore_progress.go, snapshotfs/snapshot_verifier.go).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from attrs import define, field

from reconcilers.kopia.client.model import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

# Longer numbers are none of Kopia's, and Python's have limits of their own.
_COUNT: Final = r"\d{1,18}"
_SIZE: Final = rf"{_COUNT}(?:\.\d{{1,9}})? [KMGTPE]?B"

# ` | 1 hashing, 2 hashed (1.2 MB), 0 cached (0 B), uploaded 1 MB, estimated 5 MB (12.3%) 2s left`
_UPLOAD: Final = re.compile(
    rf" (?P<mark>[|/\\*-]) (?P<hashing>{_COUNT}) hashing, "
    rf"(?P<hashed>{_COUNT}) hashed \((?P<read>{_SIZE})\), "
    rf"(?P<cached>{_COUNT}) cached \((?P<kept>{_SIZE})\), uploaded (?P<uploaded>{_SIZE})"
    r"(?: \(\d+ fatal errors\))?(?: \(\d+ errors ignored\))?"
    rf"(?:, estimated (?P<total>{_SIZE}) \([^)]*\) \S+ left|, estimating\.\.\.)"
)
# `Processed 5 (1.2 MB) of 10 (5 MB) 3.1 MB/s (23.4%) remaining 1s.`
_RESTORE: Final = re.compile(
    rf"Processed (?P<files>{_COUNT}) \((?P<size>{_SIZE})\) of (?P<total_files>{_COUNT}) "
    rf"\((?P<total>{_SIZE})\)(?:, skipped \d+ \({_SIZE}\))?(?:, ignored \d+ errors)?"
    rf"(?: {_SIZE}/s \([^)]*\) remaining (?:-?\d+[hms])+)?\."
)
_UNITS: Final[dict[str, int]] = {
    unit: 1000**power for power, unit in enumerate(("B", "KB", "MB", "GB", "TB", "PB", "EB"))
}

#: Bytes of one line that are kept: what Kopia says of itself is shorter, but a path may be longer.
_LINE_BYTES: Final = 8192


def size(text: str) -> int:
    """Return the bytes that a size of Kopia's stands for, `1.2 MB` for example.

    It is base 10 with one digit after the point (Kopia internal/units/units.go).
    """
    number, _, unit = text.partition(" ")
    return round(float(number) * _UNITS[unit])


def parsed(line: str) -> tuple[Progress | None, str]:
    """Return the progress that a line shows, None if it shows none, and the rest of the line.

    Progress has no line end: what Kopia logs next begins in the same line.
    """
    if upload := _UPLOAD.match(line):
        total = upload["total"]
        read, kept = size(upload["read"]), size(upload["kept"])
        progress = Progress(
            files=int(upload["hashed"]) + int(upload["cached"]),
            size=read + kept,
            hashed=read,
            uploaded=size(upload["uploaded"]),
            total_size=size(total) if total else None,
        )
        return progress, line[upload.end() :].strip()
    if restore := _RESTORE.match(line):
        progress = Progress(
            files=int(restore["files"]),
            size=size(restore["size"]),
            total_files=int(restore["total_files"]),
            total_size=size(restore["total"]),
        )
        return progress, line[restore.end() :].strip()
    verified = _verified(line) if line.startswith('{"processedObjectCount":') else None
    return verified, "" if verified else line


def _verified(line: str) -> Progress | None:
    try:
        counts = json.loads(line)
        return Progress(
            files=int(counts["processedObjectCount"]),
            size=int(counts["processedBytes"]),
            total_files=int(counts["expectedTotalObjectCount"]),
            total_size=int(counts["expectedTotalBytes"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


@define
class Lines:
    """Cuts what comes of standard error into lines, at line ends and carriage returns."""

    _rest: bytes = field(default=b"", init=False)

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Return the lines that are complete with more of the output, without their ends.

        Args:
            chunk: What has come; empty at the end, for the last line.
        """
        *complete, self._rest = re.split(rb"[\r\n]", self._rest + chunk)
        self._rest = self._rest[-_LINE_BYTES:]
        if not chunk:
            complete, self._rest = [*complete, self._rest], b""
        for line in complete:
            if line.strip():
                yield line[:_LINE_BYTES].decode(errors="replace")
