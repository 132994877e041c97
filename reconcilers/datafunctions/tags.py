"""The tags that a snapshot gets, by which it is found again and its content is placed."""

from __future__ import annotations

import re
import secrets
import string
from typing import Final

from reconcilers.datafunctions.errors import Refused

#: The real path of what was backed up: the source that Kopia records is a name of ours.
PATH: Final = "path"
#: The output of the same name, which a Blueprint hands on in place of the id.
BACKUP_TAG: Final = "backupTag"
#: The argument of the same name, `dataArtifactPrefix` of CopyVolumeData as well.
PREFIX: Final = "backupArtifactPrefix"
#: Where the data was, where it is known.
NAMESPACE: Final = "namespace"
POD: Final = "pod"
CONTAINER: Final = "container"
VOLUME: Final = "volume"
#: Who has made it.
FUNCTION: Final = "function"

RESERVED: Final = frozenset({PATH, BACKUP_TAG, PREFIX, NAMESPACE, POD, CONTAINER, VOLUME, FUNCTION})

NOT_A_TAG: Final = (
    "argument snapshotTags: {tag!r} is no tag; write name:value, and commas between tags"
)
TAG_TWICE: Final = "argument snapshotTags has the tag {name} twice; a snapshot has each name once"
TAG_RESERVED: Final = (
    "argument snapshotTags: the tag {name} is set by the function itself; choose another name"
)

# As Kanister's BackupData makes them (pkg/function/backup_data.go): letters and digits.
_TAG_LENGTH: Final = 10
_TAG_ALPHABET: Final = string.ascii_lowercase + string.digits
# Kopia: cli/command_snapshot_create.go, getTags.
_TAG: Final = re.compile(r"([^:]+):(.*)", re.DOTALL)


def new_backup_tag() -> str:
    """Return a tag that no other backup has: ten random letters and digits."""
    return "".join(secrets.choice(_TAG_ALPHABET) for _ in range(_TAG_LENGTH))


def of_backup(**known: str) -> dict[str, str]:
    """Return the tags of a backup; what is empty is left out.

    Args:
        known: Values by `path`, `backupTag`, `backupArtifactPrefix`, `namespace`, `pod`,
            `container`, `volume` and `function`.
    """
    return {name: value for name, value in known.items() if value}


def parse(snapshot_tags: str) -> dict[str, str]:
    """Return the tags of the argument `snapshotTags`.

    Args:
        snapshot_tags: `name:value`, several apart by commas; empty for none.

    Raises:
        Refused: It cannot be read, or one is a tag of ours.
    """
    tags: dict[str, str] = {}
    for part in filter(None, map(str.strip, snapshot_tags.split(","))):
        tag = _TAG.fullmatch(part)
        if tag is None:
            raise Refused(NOT_A_TAG.format(tag=part))
        name, value = tag.groups()
        if name in RESERVED:
            raise Refused(TAG_RESERVED.format(name=name))
        if name in tags:
            raise Refused(TAG_TWICE.format(name=name))
        tags[name] = value
    return tags
