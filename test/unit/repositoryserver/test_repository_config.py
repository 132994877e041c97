"""The configuration file that Kopia opens the repository by."""

import json

import pytest

from fakes import objects
from reconcilers.repositoryserver import api, secrets
from reconcilers.repositoryserver.errors import InvalidInput
from reconcilers.repositoryserver.repository_config import (
    repository_config,
    repository_path,
    storage_label,
)


def location(prefix: str) -> secrets.Location:
    ref = api.SecretRef("spec.storage.secretRef", objects.NAMESPACE, objects.LOCATION)
    return secrets.Location("filestore", ref, prefix, objects.CLAIM)


def server(**repository: object) -> api.RepositoryServer:
    return api.parse(objects.repository_server({"spec": {"repository": repository}}))


# Where the removed controller has put its users' repositories: Go's path.Join of prefix and root
# path and a slash, or the root path alone and as it is.
@pytest.mark.parametrize(
    ("prefix", "root_path", "path"),
    [
        pytest.param("backups", "files", "backups/files/", id="joined, a slash at the end"),
        pytest.param("backups/", "/files/", "backups/files/", id="slashes at the joint are one"),
        pytest.param("a//b", "./c", "a/b/c/", id="the joined path is cleaned"),
        pytest.param("backups", "a/../files", "backups/files/", id="`..` that stays inside"),
        pytest.param("backups", "", "backups/", id="no root path: the prefix itself"),
        pytest.param("backups", "/", "backups/", id="a root path of only a slash is none"),
        pytest.param("/backups", "files", "/backups/files/", id="a leading slash is kept"),
        pytest.param("//backups", "files", "/backups/files/", id="two of them become one"),
        pytest.param("/", "files", "/files/", id="a prefix of only a slash"),
        pytest.param("/", "", "//", id="only a slash and no root path: two, as it was"),
        pytest.param(".", "", "./", id="a prefix that is the folder itself"),
        pytest.param("", "files", "files", id="no prefix: no slash is added"),
        pytest.param("", "/files/", "/files/", id="no prefix: slashes stay"),
        pytest.param("", "a//./b", "a//./b", id="no prefix: nothing is cleaned"),
        pytest.param("", "", "", id="neither"),
    ],
)
def test_the_path_is_composed_as_existing_repositories_were(
    prefix: str, root_path: str, path: str
) -> None:
    assert repository_path(location(prefix), root_path) == path


@pytest.mark.parametrize(
    "root_path",
    [
        pytest.param("..", id="up"),
        pytest.param("../other", id="aside"),
        pytest.param("/../other", id="aside, absolute"),
        pytest.param("a/../../other", id="down, then up further"),
        pytest.param("//..", id="behind two slashes"),
    ],
)
@pytest.mark.parametrize("prefix", ["backups", ""])
def test_a_root_path_may_not_leave_its_prefix(prefix: str, root_path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        repository_path(location(prefix), root_path)

    assert caught.value.reason == "RepositoryPathInvalid"
    assert caught.value.message == (
        f"spec.repository.rootPath {root_path!r} leaves the prefix of the storage location; take "
        "the `..` out"
    )


@pytest.mark.parametrize("prefix", ["..", "../x", "/../x", "x/../.."])
def test_a_prefix_may_not_leave_the_storage(prefix: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        repository_path(location(prefix), "files")

    assert caught.value.reason == "RepositoryPathInvalid"
    assert caught.value.message == (
        "key prefix of Secret backup/files-location, named by spec.storage.secretRef, leaves the "
        "storage; take the `..` out"
    )


@pytest.mark.parametrize("name", ["..files", "files..", "...", "a..b"])
def test_dots_inside_a_name_are_no_climbing(name: str) -> None:
    assert repository_path(location("backups"), name) == f"backups/{name}/"


def test_the_file_is_all_that_kopia_needs() -> None:
    text = repository_config(
        server(
            rootPath="files",
            username="server",
            hostname="localhost",
            cacheSizeSettings={"content": 100, "metadata": 200},
        ),
        location("backups"),
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

    config = json.loads(repository_config(server(cacheSizeSettings=settings), location("")))

    limits = {key: value for key, value in config["caching"].items() if key != "cacheDirectory"}
    assert len(limits) == 5
    assert all(limits.values())
    assert 1 in limits.values()


def test_the_same_input_gives_the_same_text() -> None:
    first = repository_config(server(), location("backups"))
    second = repository_config(server(), location("backups"))

    assert first == second


def test_a_path_that_leaves_the_prefix_makes_no_file() -> None:
    with pytest.raises(InvalidInput):
        repository_config(server(rootPath=".."), location("backups"))


@pytest.mark.parametrize(
    ("prefix", "root_path", "label"),
    [
        pytest.param(
            "backups",
            "files",
            "backups/files/ on PersistentVolumeClaim backup/files-data",
            id="a path on a claim",
        ),
        pytest.param("", "", "/ on PersistentVolumeClaim backup/files-data", id="the whole claim"),
    ],
)
def test_messages_say_where_the_repository_is(prefix: str, root_path: str, label: str) -> None:
    assert storage_label(location(prefix), root_path) == label
