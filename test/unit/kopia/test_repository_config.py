"""The configuration file that Kopia opens the repository by."""

import json

import pytest

from fakes import objects
from reconcilers.kopia.repository_config import repository_config
from reconcilers.kopia.storage.model import Storage
from reconcilers.repositoryserver import api

STORAGE = Storage(
    type_="filesystem", config={"path": "/mnt/data/backups/files/"}, label="on a claim"
)


def server(**repository: object) -> api.RepositoryServer:
    return api.parse(objects.repository_server({"spec": {"repository": repository}}))


def test_the_file_is_all_that_kopia_needs() -> None:
    text = repository_config(
        server(
            rootPath="files",
            username="server",
            hostname="localhost",
            cacheSizeSettings={"content": 100, "metadata": 200},
        ),
        STORAGE,
    )

    assert json.loads(text) == {
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


@pytest.mark.parametrize("cache", ["content", "metadata"])
def test_no_limit_is_ever_0_for_kopia_would_crash_at_the_first_read(cache: str) -> None:
    settings = {"content": 100, "metadata": 200, cache: 0}

    config = json.loads(repository_config(server(cacheSizeSettings=settings), STORAGE))

    limits = {key: value for key, value in config["caching"].items() if key != "cacheDirectory"}
    assert len(limits) == 5
    assert all(limits.values())
    assert 1 in limits.values()


def test_the_same_input_gives_the_same_text() -> None:
    first = repository_config(server(), STORAGE)
    second = repository_config(server(), STORAGE)

    assert first == second


@pytest.mark.parametrize(
    "repository",
    [
        pytest.param({"readOnly": True}, id="on request"),
        pytest.param({"pointInTime": "2026-01-31T12:00:00Z"}, id="for what is past"),
    ],
)
def test_a_repository_is_opened_for_reading_only(repository: dict[str, object]) -> None:
    config = json.loads(repository_config(server(**repository), STORAGE))

    assert config["readonly"] is True
