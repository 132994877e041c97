"""Sizes as texts, in the two formats that the functions' outputs have always had."""

from __future__ import annotations

from typing import Final

_BINARY: Final = ("TiB", "GiB", "MiB", "KiB")
_BINARY_STEP: Final = 1024
_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_DECIMAL_STEP: Final = 1000
_SMALL: Final = 10


def binary(size: int) -> str:
    """Return a size as restic prints it: `1.234 MiB`, three decimals, steps of 1024.

    Kanister's BackupData, BackupDataAll, BackupDataStats and CopyVolumeData pass on what restic
    prints (restic internal/ui/format.go, FormatBytes).

    Args:
        size: Bytes.
    """
    for power, unit in zip(range(len(_BINARY), 0, -1), _BINARY, strict=True):
        if size >= _BINARY_STEP**power:
            return f"{size / _BINARY_STEP**power:.3f} {unit}"
    return f"{size} B"


def decimal(size: int) -> str:
    """Return a size as BackupDataUsingKopiaServer gave it: `83 MB`, `1.2 GB`, steps of 1000.

    One decimal below 10 of a unit, none above, and none for bytes (github.com/dustin/go-humanize,
    Bytes).

    Args:
        size: Bytes.
    """
    if size < _SMALL:
        return f"{size} B"
    power = next(
        power for power in range(len(_DECIMAL) - 1, -1, -1) if size >= _DECIMAL_STEP**power
    )
    # Half up, as there: Python's format rounds halves to the even digit.
    tenths = int(size / _DECIMAL_STEP**power * 10 + 0.5)
    number = f"{tenths / 10:.1f}" if tenths < _SMALL * 10 else f"{_whole(tenths)}"
    return f"{number} {_DECIMAL[power]}"


def _whole(tenths: int) -> int:
    # Of Go's `%.0f`, which rounds halves to the even digit.
    return round(tenths / 10)
