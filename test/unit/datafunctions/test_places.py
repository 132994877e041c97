"""Where data is in this pod, and where a restore puts it."""

from pathlib import Path

import pytest

from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.places import Target, absolute, in_pod, target


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        pytest.param("/data", "/data", id="as it is"),
        pytest.param("/data/", "/data", id="a slash at the end"),
        pytest.param("//data///x", "/data/x", id="doubled slashes"),
        pytest.param("/data/./x", "/data/x", id="a dot"),
        pytest.param("/", "/", id="the root"),
        pytest.param("//", "/", id="the root twice"),
    ],
)
def test_a_path_has_one_form(path: str, cleaned: str) -> None:
    assert absolute("includePath", path) == cleaned


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param(
            "data",
            "argument includePath is not an absolute path; write it from its root",
            id="relative",
        ),
        pytest.param("/data/../etc", "leads upwards", id="upwards"),
    ],
)
def test_a_path_that_cannot_be_used(path: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        absolute("includePath", path)


def test_this_pod_may_see_the_workload_s_files_below_a_folder() -> None:
    assert in_pod(Path("/mnt/db-0"), "/var/lib/data") == Path("/mnt/db-0/var/lib/data")
    assert in_pod(Path("/"), "/var/lib/data") == Path("/var/lib/data")
    assert in_pod(Path("/mnt"), "/") == Path("/mnt")


@pytest.mark.parametrize(
    ("restore_path", "backup_path", "expected"),
    [
        pytest.param("/", "", Target("", "/mnt/data"), id="by default back to where it was"),
        pytest.param(
            "/restored", "", Target("", "/restored/mnt/data"), id="restorePath and the old path"
        ),
        pytest.param(
            "/restored", "/mnt/data", Target("", "/restored"), id="backupPath: its contents alone"
        ),
        pytest.param(
            "/restored", "/mnt/data/", Target("", "/restored"), id="with a slash at the end"
        ),
        pytest.param(
            "/restored", "/mnt/data/a/b", Target("a/b", "/restored"), id="a folder of the snapshot"
        ),
        pytest.param(
            "/restored",
            "/mnt",
            Target("", "/restored/data"),
            id="a folder above: the rest of the path stays",
        ),
        pytest.param("/restored", "/", Target("", "/restored/mnt/data"), id="the root above"),
    ],
)
def test_a_restore_goes_where_restic_puts_it(
    restore_path: str, backup_path: str, expected: Target
) -> None:
    assert target("/mnt/data", restore_path=restore_path, backup_path=backup_path) == expected


def test_a_folder_that_the_snapshot_does_not_have_is_refused() -> None:
    with pytest.raises(Refused, match=r"backupPath: '/mnt/other' is not in .* of '/mnt/data'"):
        target("/mnt/data", restore_path="/", backup_path="/mnt/other")


def test_a_name_that_begins_alike_is_another_folder() -> None:
    with pytest.raises(Refused, match="is not in the snapshot"):
        target("/mnt/data", restore_path="/", backup_path="/mnt/data2")
