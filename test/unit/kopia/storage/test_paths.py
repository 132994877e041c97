"""Where in its storage a repository is: as the removed controller put it."""

import pytest

from fakes import storage as fakes
from reconcilers.errors import InvalidInput
from reconcilers.kopia.storage.paths import repository_path


# Go's path.Join of prefix and root path and a slash, or the root path alone and as it is.
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
        pytest.param("", "files", "files", id="no prefix: no slash, objects are called filesp..."),
        pytest.param("", "/files/", "/files/", id="no prefix: slashes stay, the leading one too"),
        pytest.param("", "a//./b", "a//./b", id="no prefix: nothing is cleaned"),
        pytest.param("", "", "", id="neither"),
    ],
)
def test_the_path_is_composed_as_existing_repositories_were(
    prefix: str, root_path: str, path: str
) -> None:
    assert repository_path(fakes.location({"prefix": prefix}), root_path) == path


@pytest.mark.parametrize(
    ("values", "path"),
    [
        pytest.param({"prefix": "a"}, "a/files/", id="prefix, as it was read"),
        pytest.param({"path": "a"}, "a/files/", id="path, as the design document has it"),
        pytest.param({"prefix": "a", "path": "b"}, "a/files/", id="both: prefix counts"),
        pytest.param({}, "files", id="none"),
        pytest.param({"prefix": "a\n"}, "a/files/", id="without the line end of echo"),
    ],
)
def test_both_spellings_of_the_prefix(values: fakes.Values, path: str) -> None:
    assert repository_path(fakes.location(values), "files") == path


@pytest.mark.parametrize("prefix", ["backups", ""])
def test_the_line_end_of_a_yaml_block_is_no_part_of_the_path(prefix: str) -> None:
    location = fakes.location({"prefix": prefix})

    assert repository_path(location, "files\n") == repository_path(location, "files")


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
        repository_path(fakes.location({"prefix": prefix}), root_path)

    assert caught.value.reason == "RepositoryPathInvalid"
    assert caught.value.message == (
        f"spec.repository.rootPath {root_path!r} leaves the prefix of the storage location; "
        "remove the `..`"
    )


@pytest.mark.parametrize("prefix", ["..", "../x", "/../x", "x/../.."])
def test_a_prefix_may_not_leave_the_storage(prefix: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        repository_path(fakes.location({"prefix": prefix}), "files")

    assert caught.value.reason == "RepositoryPathInvalid"
    assert caught.value.message == (
        "key prefix of Secret backup/files-location, named by spec.storage.secretRef, leaves the "
        "storage; remove the `..`"
    )


@pytest.mark.parametrize("name", ["..files", "files..", "...", "a..b"])
def test_dots_inside_a_name_are_no_climbing(name: str) -> None:
    assert repository_path(fakes.location({"prefix": "backups"}), name) == f"backups/{name}/"
