"""Kopia's repository configuration, generated from the location and the resource.

With it in place Kopia needs no `repository connect`, and no credential reaches an argument list.
One function for each kind of storage returns the `storage` part; `STORAGE` lists them.
"""

from __future__ import annotations

import json
import posixpath
from typing import TYPE_CHECKING, Any

from reconcilers.repositoryserver.errors import InvalidInput
from reconcilers.repositoryserver.secrets import LOCATION_FILESTORE, Location

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.repositoryserver.api import RepositoryServer

DATA_DIRECTORY = "/mnt/data"
CACHE_DIRECTORY = "/cache"

REASON_PATH = "RepositoryPathInvalid"
ROOT_LEAVES = (
    "spec.repository.rootPath {root_path!r} leaves the prefix of the storage location; take the "
    "`..` out"
)
PREFIX_LEAVES = (
    "key prefix of Secret {ref}, named by {field}, leaves the storage; take the `..` out"
)


def repository_path(location: Location, root_path: str) -> str:
    """Return the path of the repository in its storage, as the removed controller composed it.

    With a prefix: prefix and root path joined and cleaned, with a slash at the end. Without one:
    the root path as it was written. Existing repositories are found only so.

    Raises:
        InvalidInput: The root path climbs out of the prefix, or the prefix out of the storage.
    """
    if _climbs(location.prefix):
        ref = location.secret
        raise InvalidInput(REASON_PATH, PREFIX_LEAVES.format(ref=ref, field=ref.field))
    if _climbs(root_path):
        raise InvalidInput(REASON_PATH, ROOT_LEAVES.format(root_path=root_path))
    if not location.prefix:
        return root_path
    return _clean(f"{location.prefix}/{root_path}") + "/"


def _climbs(path: str) -> bool:
    return _clean(path.lstrip("/")).split("/")[0] == ".."


def _clean(path: str) -> str:
    # As Go's path.Clean; Python keeps two leading slashes, which POSIX lets mean something else.
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _filesystem(location: Location, root_path: str) -> dict[str, Any]:
    path = f"{DATA_DIRECTORY}/{repository_path(location, root_path)}"
    return {"type": "filesystem", "config": {"path": path}}


STORAGE: dict[str, Callable[[Location, str], dict[str, Any]]] = {
    LOCATION_FILESTORE: _filesystem,
}


def repository_config(server: RepositoryServer, location: Location) -> str:
    """Return the repository configuration file as JSON, the same text for the same input.

    Raises:
        InvalidInput: As for `repository_path`.
    """
    config = {
        "storage": STORAGE[location.kind](location, server.root_path),
        "caching": {
            "cacheDirectory": CACHE_DIRECTORY,
            **_cache_limits("maxCacheSize", "contentCacheSizeLimitBytes", server.content_cache_mb),
            **_cache_limits(
                "maxMetadataCacheSize", "metadataCacheSizeLimitBytes", server.metadata_cache_mb
            ),
            "maxListCacheDuration": 30,
        },
        "hostname": server.hostname,
        "username": server.username,
        "enableActions": False,
    }
    return json.dumps(config, indent=1, sort_keys=True)


def storage_label(location: Location, root_path: str) -> str:
    """Return where the repository is, in words for a message."""
    path = repository_path(location, root_path).lstrip("/")
    return (
        f"{path or '/'} on PersistentVolumeClaim {location.secret.namespace}/{location.claim_name}"
    )


def _cache_limits(soft: str, hard: str, megabytes: int) -> dict[str, int]:
    # Both keys: Kopia sweeps down to the first and never grows past the second. Sizes are decimal,
    # as those of `--content-cache-size-limit-mb`. Never 0: with a cache directory and a cache of no
    # size Kopia 0.23.1 dies of a nil pointer at the first read (internal/cache/content_cache.go).
    # With a limit of one byte it holds what it read last.
    limit = max(megabytes * 1000 * 1000, 1)
    return {soft: limit, hard: limit}
