"""Where in a storage a repository is."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from reconcilers.errors import InvalidInput
from reconcilers.secrets.data import trimmed

if TYPE_CHECKING:
    from reconcilers.secrets.data import SecretData

REASON_PATH: Final = "RepositoryPathInvalid"
ROOT_LEAVES: Final = (
    "spec.repository.rootPath {root_path!r} leaves the prefix of the storage location; remove the "
    "`..`"
)
PREFIX_LEAVES: Final = (
    "key prefix of Secret {ref}, named by {field}, leaves the storage; remove the `..`"
)


def repository_path(location: SecretData, root_path: str) -> str:
    """Return the path of the repository in its storage, as the removed controller composed it.

    With a prefix: prefix and root path joined and cleaned, with a slash at the end. Without one:
    the root path as it was written. Existing repositories are found only so. In an object store the
    path is what the names of all objects begin with, so that a slash is a character like any other.
    White space around either is an accident of `echo` or of a YAML block, and no part of the path.

    Args:
        location: The location Secret, whose key `prefix` (`path` in the design document) counts.
        root_path: Path of the repository below the prefix.

    Raises:
        InvalidInput: The root path climbs out of the prefix, or the prefix out of the storage.
    """
    prefix, root_path = location.optional("prefix", "path"), trimmed(root_path)
    if _climbs(prefix):
        raise location.refused(REASON_PATH, PREFIX_LEAVES)
    if _climbs(root_path):
        raise InvalidInput(REASON_PATH, ROOT_LEAVES.format(root_path=root_path))
    if not prefix:
        return root_path
    return _clean(f"{prefix}/{root_path}") + "/"


def _climbs(path: str) -> bool:
    return _clean(path.lstrip("/")).split("/")[0] == ".."


def _clean(path: str) -> str:
    # As Go's path.Clean; Python keeps two leading slashes, which POSIX lets mean something else.
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned
