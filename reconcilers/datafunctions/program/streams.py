"""Streams in kando's shape: either can restore what the other has backed up."""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions import snapshots
from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from reconcilers.kopia.client.model import Snapshot

# Kanister pkg/kopia/snapshot/stream.go, defaultRootDir.
_DEFAULT_FOLDER: Final = "/kanister-backups"

NO_FILE: Final = "--path {path!r} names no file"
UPWARDS: Final = "--path {path!r} leads upwards; write the path without `..`"
NOT_A_SNAPSHOT: Final = (
    "--kopia-snapshot is neither an id nor what push or kando has put out: {reason}"
)


@frozen
class StreamPath:
    """Where a stream is in its snapshot.

    Args:
        directory: The folder that the snapshot is of.
        name: The file in it.
    """

    directory: str
    name: str


def path_of(text: str) -> StreamPath:
    """Return folder and file of a path, as kando takes them.

    Without a folder, or with `/` alone, it is `/kanister-backups` (Kanister
    pkg/kopia/snapshot/stream.go, Write).

    Args:
        text: The option `--path`.

    Raises:
        Refused: It names no file.
    """
    if ".." in text.split("/"):
        raise Refused(UPWARDS.format(path=text))
    folder, name = posixpath.split(text)
    if not name or name == ".":
        raise Refused(NO_FILE.format(path=text))
    cleaned = posixpath.normpath("/" + folder.strip("/"))
    return StreamPath(_DEFAULT_FOLDER if cleaned == "/" else cleaned, name)


def render(snapshot: Snapshot) -> str:
    """Return what kando puts out of a snapshot (Kanister's SnapshotInfo, as above)."""
    return json.dumps({"id": snapshot.id, "logicalSize": snapshot.size, "physicalSize": 0})


def snapshot_id(text: str) -> str:
    """Return the id of a snapshot that push or kando has put out.

    Args:
        text: The option `--kopia-snapshot`: their JSON, or the id alone.

    Raises:
        Refused: It is neither.
    """
    if not text.lstrip().startswith("{"):
        return _checked(text.strip())
    try:
        found = json.loads(text).get("id")
    except (ValueError, RecursionError):
        raise Refused(NOT_A_SNAPSHOT.format(reason="it is not JSON")) from None
    if not isinstance(found, str) or not found:
        raise Refused(NOT_A_SNAPSHOT.format(reason="it has no id"))
    return _checked(found)


def _checked(text: str) -> str:
    try:
        return snapshots.check_id("--kopia-snapshot", text)
    except Refused as refused:
        raise Refused(NOT_A_SNAPSHOT.format(reason=refused)) from None
