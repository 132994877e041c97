"""The file with the checksums of a release."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FILE: Final = "SHA256SUMS"


def of(folder: Path) -> str:
    """Return the checksums of all files of a folder but their own, as `sha256sum` writes them."""
    files = sorted(path for path in folder.iterdir() if path.name != FILE)
    return "".join(f"{digest(path)}  {path.name}\n" for path in files)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
