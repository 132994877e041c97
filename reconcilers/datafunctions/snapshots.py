"""Which snapshot is meant, by its id or its tag, and what it is of."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from reconcilers.datafunctions import tags
from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import SNAPSHOT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.kopia.client.model import Snapshot
    from reconcilers.kopia.client.session import KopiaClient

RESTIC: Final = (
    "argument {argument}: {id} is the id of a snapshot that restic has made, which is in no Kopia "
    "repository; run Kanister's own function for it (no preferredVersion, v0.0.0)"
)
OBJECT: Final = (
    "argument {argument}: {id} is the id of an object, not of a snapshot; give the backupID that "
    "the backup has put out"
)
NOT_AN_ID: Final = (
    "argument {argument}: {id!r} is not the id of a snapshot, 32 digits of 0 to 9 and a to f; give "
    "the backupID that the backup has put out"
)
NO_TAG: Final = (
    "there is no snapshot with the tag {tag} among those of this user; correct argument backupTag, "
    "or connect as the user who made the backup"
)
NONE_OF: Final = (
    "there is no snapshot with the tags {tags} among those of this user; the command `snapshots` "
    "lists what there is"
)
ONE_OF: Final = "give exactly one of the arguments {one} and {other}"

# restic internal/restic/id.go: in full, or its first eight digits.
_RESTIC: Final = re.compile(r"[0-9a-f]{8}|[0-9a-f]{64}")
# Kopia repo/content/index/id.go: contents have a letter from g to z before the hash; indirect
# objects begin with I.
_OBJECT: Final = re.compile(r"I*[g-z][0-9a-f]{32}|I+[0-9a-f]{32}")


def check_id(argument: str, text: str) -> str:
    """Return the id of a snapshot.

    Args:
        argument: Name of the argument, for the message.
        text: What was given.

    Raises:
        Refused: It is of something else, of a backup by restic for example.
    """
    if SNAPSHOT_ID.fullmatch(text):
        return text
    if _RESTIC.fullmatch(text):
        raise Refused(RESTIC.format(argument=argument, id=text))
    if _OBJECT.fullmatch(text):
        raise Refused(OBJECT.format(argument=argument, id=text))
    raise Refused(NOT_AN_ID.format(argument=argument, id=text))


def check_one_of(**arguments: object) -> None:
    """Refuse two arguments that are both given, or both not.

    Args:
        arguments: Their values by the names that users write.

    Raises:
        Refused: It is not exactly one.
    """
    if sum(map(bool, arguments.values())) != 1:
        one, other = arguments
        raise Refused(ONE_OF.format(one=one, other=other))


def find(client: KopiaClient, argument: str, *, snapshot: str, tag: str) -> Snapshot:
    """Return the snapshot of an id, or else the last one with a tag.

    Args:
        client: Of the repository server.
        argument: Name of the argument with the id.
        snapshot: The id; empty if a tag is given.
        tag: The argument `backupTag`.

    Raises:
        Refused: It is no id of a snapshot.
        ClientFailed: There is no such snapshot, or the server could not be asked.
    """
    if snapshot:
        return client.snapshot(check_id(argument, snapshot))
    found = client.snapshots(tags={tags.BACKUP_TAG: tag})
    if not found:
        raise ClientFailed(Kind.NO_SUCH_SNAPSHOT, NO_TAG.format(tag=tag))
    return found[-1]


def last_of(client: KopiaClient, wanted: Mapping[str, str]) -> Snapshot:
    """Return the last snapshot with tags.

    Args:
        client: Of the repository server.
        wanted: The tags.

    Raises:
        ClientFailed: There is none, or the server could not be asked.
    """
    found = client.snapshots(tags=wanted)
    if not found:
        words = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise ClientFailed(Kind.NO_SUCH_SNAPSHOT, NONE_OF.format(tags=words))
    return found[-1]


def path_of(snapshot: Snapshot) -> str:
    """Return the path that a snapshot was made of.

    It is a tag of what these functions have made. Of any other, by the removed functions for
    example, it is in the source, `USER@HOST:PATH`.
    """
    return snapshot.tags.get(tags.PATH) or snapshot.source.partition(":")[2]
