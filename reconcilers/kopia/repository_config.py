"""Kopia's repository configuration, generated from the storage and the resource.

With it in place Kopia needs no `repository connect`, and no credential reaches an argument list.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Storage
    from reconcilers.repositoryserver.api import RepositoryServer

CACHE_DIRECTORY = "/cache"


def repository_config(server: RepositoryServer, storage: Storage) -> str:
    """Return the repository configuration file as JSON, the same text for the same input."""
    config = {
        "storage": storage.section,
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
        **({"readonly": True} if server.read_only else {}),
    }
    return json.dumps(config, indent=1, sort_keys=True)


def _cache_limits(soft: str, hard: str, megabytes: int) -> dict[str, int]:
    # Both keys: Kopia sweeps down to the first and never grows past the second. Sizes are decimal,
    # as those of `--content-cache-size-limit-mb`. Never 0: with a cache directory and a cache of no
    # size Kopia 0.23.1 dies of a nil pointer at the first read (internal/cache/content_cache.go).
    # With a limit of one byte it holds what it read last.
    limit = max(megabytes * 1000 * 1000, 1)
    return {soft: limit, hard: limit}
