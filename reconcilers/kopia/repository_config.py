"""Kopia's repository configuration, generated from values.

With it in place Kopia needs no `repository connect`, and no credential reaches an argument list.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconcilers.kopia.storage.model import Storage

CACHE_DIRECTORY: Final = "/cache"


def repository_config(
    storage: Storage,
    *,
    username: str,
    hostname: str,
    content_cache_mb: int,
    metadata_cache_mb: int,
    read_only: bool,
) -> str:
    """Return the repository configuration file as JSON, the same text for the same input.

    Args:
        storage: Where the repository is.
        username: User name that the session has in the repository.
        hostname: Host name that the session has in the repository.
        content_cache_mb: Limit of the content cache in MB; 0 switches it off.
        metadata_cache_mb: Limit of the metadata cache in MB; 0 switches it off.
        read_only: Whether the repository is opened without the right to write.
    """
    config = {
        "storage": storage.section,
        "caching": {
            "cacheDirectory": CACHE_DIRECTORY,
            **_cache_limits("maxCacheSize", "contentCacheSizeLimitBytes", content_cache_mb),
            **_cache_limits(
                "maxMetadataCacheSize", "metadataCacheSizeLimitBytes", metadata_cache_mb
            ),
            "maxListCacheDuration": 30,
        },
        "hostname": hostname,
        "username": username,
        "enableActions": False,
        **({"readonly": True} if read_only else {}),
    }
    return json.dumps(config, indent=1, sort_keys=True)


def _cache_limits(soft: str, hard: str, megabytes: int) -> dict[str, int]:
    # Both keys: Kopia sweeps down to the first and never grows past the second. Sizes are decimal,
    # as those of `--content-cache-size-limit-mb`. Never 0: with a cache directory and a cache of no
    # size Kopia 0.23.1 dies of a nil pointer at the first read (internal/cache/content_cache.go).
    # With a limit of one byte it holds what it read last.
    limit = max(megabytes * 1000 * 1000, 1)
    return {soft: limit, hard: limit}
