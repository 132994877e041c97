"""Trees of files as a backup must keep them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

if TYPE_CHECKING:
    from pathlib import Path

HOLE_BYTES: Final = 64 * 1024 * 1024


@frozen
class Entry:
    """What a restore must bring back of a file, a folder or a link."""

    kind: str
    mode: int
    owner: tuple[int, int]
    modified: int
    content: bytes


def entries(root: Path) -> dict[bytes, Entry]:
    """Return all that is below a folder, by its path, and the folder itself."""
    top = os.fsencode(root)
    paths = [top]
    for folder, directories, files in os.walk(top):
        paths += [os.path.join(folder, name) for name in (*directories, *files)]  # noqa: PTH118 - bytes
    return {os.path.relpath(path, top): entry(path) for path in paths}


def entry(path: bytes) -> Entry:
    found = os.lstat(path)
    content = b""
    if stat.S_ISLNK(found.st_mode):
        content = os.readlink(path)  # noqa: PTH115 - bytes
    elif stat.S_ISREG(found.st_mode):
        with open(path, "rb") as file:  # noqa: PTH123 - bytes
            content = file.read()
    return Entry(
        stat.filemode(found.st_mode)[0],
        stat.S_IMODE(found.st_mode),
        (found.st_uid, found.st_gid),
        found.st_mtime_ns,
        content,
    )


def as_kept(found: dict[bytes, Entry]) -> dict[bytes, Entry]:
    """Return what is below a folder as a restore brings it back.

    A folder that is not empty gets the newest time of what is below it (Kopia
    snapshot/snapshotfs/repofs.go), but for the root; a link's time is whole microseconds.
    """
    kept = dict(found)
    for path, one in found.items():
        below = [other.modified for name, other in found.items() if name.startswith(path + b"/")]
        if one.kind == "l":
            kept[path] = evolve(one, modified=-(-one.modified // 1000) * 1000)
        elif below:
            kept[path] = evolve(one, modified=max(below))
    return kept


def write_tree(root: Path) -> None:
    """Write many small files, and all that a file system may have besides."""
    root.mkdir()
    for number in range(300):
        folder = root / "many" / str(number % 10)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_bytes(f"content {number}\n".encode() * number)
    odd = root / "odd names"
    odd.mkdir()
    for name in (
        "new\nline",
        "carriage\rreturn",
        "quo\"tes'",
        " space before, and behind ",
        "-dash",
        "--pin=x",
        "back\\slash",
        "*?[a]",
        "%41",
        "composed \u00fc, decomposed u\u0308",
        "\U0001f600",
        "control \x01",
        "x" * 255,
        ".hidden",
        "user@host:path",
    ):
        (odd / name).write_text(name)
    links = root / "links"
    links.mkdir()
    for name, to in {
        "to a file": "../many/0/0",
        "to a folder": "../many",
        "to nothing": "nowhere",
        "out of it": "/etc/hostname",
        "of bytes": os.fsdecode(b"\xff\xfe"),
    }.items():
        (links / name).symlink_to(to)
    (root / "one name").write_text("two names")
    (root / "another name").hardlink_to(root / "one name")
    (root / "empty folder").mkdir()
    (root / "empty file").touch()
    with (root / "with a hole").open("wb") as file:
        file.write(b"begin")
        file.seek(HOLE_BYTES)
        file.write(b"end")
    modes = root / "modes"
    modes.mkdir()
    for mode in (0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1755):
        (modes / oct(mode)).write_text(oct(mode))
        (modes / oct(mode)).chmod(mode)
    (root / "sticky").mkdir()
    (root / "sticky").chmod(0o1777)
    os.utime(modes / "0o644", ns=(1, 1234567890_123456789))
    os.utime(links / "to nothing", ns=(1, 1000000000_000000001), follow_symlinks=False)
    os.utime(root / "empty folder", ns=(1, 999999999_000000001))


def take_over(root: Path) -> None:
    """Have some files belong to others, as only root can."""
    for number, name in enumerate(("many/1", "many/1/1", "odd names/-dash", "links/to a file")):
        os.chown(root / name, 1000 + number, 2000 + number, follow_symlinks=False)
    # A change of the owner takes these bits off.
    (root / "modes" / oct(0o4755)).chmod(0o4755)
