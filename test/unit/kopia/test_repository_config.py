"""The configuration file that Kopia opens the repository by."""

import json

import pytest

from reconcilers.kopia.repository_config import repository_config
from reconcilers.kopia.storage.model import Storage

STORAGE = Storage(
    type_="filesystem", config={"path": "/mnt/data/backups/files/"}, label="on a claim"
)


def config(
    *,
    content: int = 100,
    metadata: int = 200,
    read_only: bool = False,
    username: str = "server",
    hostname: str = "localhost",
) -> str:
    return repository_config(
        STORAGE,
        username=username,
        hostname=hostname,
        content_cache_mb=content,
        metadata_cache_mb=metadata,
        read_only=read_only,
    )


def test_the_file_is_all_that_kopia_needs() -> None:
    assert json.loads(config()) == {
        "storage": {"type": "filesystem", "config": {"path": "/mnt/data/backups/files/"}},
        "caching": {
            "cacheDirectory": "/cache",
            "maxCacheSize": 100_000_000,
            "contentCacheSizeLimitBytes": 100_000_000,
            "maxMetadataCacheSize": 200_000_000,
            "metadataCacheSizeLimitBytes": 200_000_000,
            "maxListCacheDuration": 30,
        },
        "hostname": "localhost",
        "username": "server",
        "enableActions": False,
    }


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(config(content=0), id="contents"),
        pytest.param(config(metadata=0), id="metadata"),
    ],
)
def test_no_limit_is_ever_0_for_kopia_would_crash_at_the_first_read(text: str) -> None:
    limits = json.loads(text)["caching"]
    del limits["cacheDirectory"]

    assert len(limits) == 5
    assert all(limits.values())
    assert 1 in limits.values()


def test_the_same_input_gives_the_same_text() -> None:
    assert config() == config()


def test_a_repository_is_opened_for_reading_only_where_that_is_asked_for() -> None:
    assert json.loads(config(read_only=True))["readonly"] is True
