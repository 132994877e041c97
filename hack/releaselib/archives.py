"""Archives that are the same for the same files: in order, of one time, of nobody."""

from __future__ import annotations

import contextlib
import gzip
import stat
import tarfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

_PROGRAM: Final = 0o755
_FILE: Final = 0o644


def pack(folder: Path, target: Path, *, epoch: int) -> None:
    """Write what is in a folder to an archive, which depends on names, contents and x bits only.

    Args:
        folder: Where the files are. The archive has their names in it.
        target: The archive; compressed if its name ends with `gz`.
        epoch: The time of each file in it, in seconds since 1970.
    """
    with _opened(target) as output, tarfile.open(fileobj=output, mode="w") as archive:
        for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts):
            member = tarfile.TarInfo(str(path.relative_to(folder)))
            member.mtime = epoch
            member.mode = _mode(path)
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
                continue
            member.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(member, content)


def _mode(path: Path) -> int:
    runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
    return _PROGRAM if runs else _FILE


@contextlib.contextmanager
def _opened(target: Path) -> Iterator[BinaryIO]:
    with target.open("wb") as plain:
        if not target.name.endswith("gz"):
            yield plain
            return
        # Neither a name nor a time in its header.
        with gzip.GzipFile(filename="", fileobj=plain, mode="wb", mtime=0) as packed:
            yield packed  # type: ignore[misc]
