"""The functions that back up: what the snapshot has, and what is put out."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from fakes.kopiaclient import FakeClient, FakeRepository
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.errors import PartlyFailed, Refused
from reconcilers.datafunctions.function import Run
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALPHA = "v1.0.0-alpha"
KOPIA_SERVER = "BackupDataUsingKopiaServer"
#: 1.5 MiB.
DATA = b"x" * (3 << 19)


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


def run(
    repository: FakeRepository, function: str, arguments: Mapping[str, object], **more: Any
) -> Mapping[str, str]:
    found = FUNCTIONS.find(function, ALPHA).function
    decoded = decode(found.arguments, arguments, function=function)
    return found.run(Run(FakeClient(repository), **more), decoded.arguments)


def write(folder: Path, content: bytes = DATA) -> Path:
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(content)
    # As an image or a restored volume has them: the same everywhere.
    os.utime(folder / "file", (1_000_000, 1_000_000))
    return folder


def last(repository: FakeRepository) -> Any:
    return list(repository.snapshots.values())[-1]


def test_a_pod_s_folder(repository: FakeRepository, tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    arguments = {"namespace": "shop", "pod": "db-0", "includePath": str(data)}

    outputs = run(repository, "BackupData", arguments | {"backupArtifactPrefix": "bucket/shop"})

    snapshot = last(repository)
    tag = outputs["backupTag"]
    assert outputs == {
        "backupID": snapshot.id,
        "backupTag": tag,
        "fileCount": "1",
        "size": "1.500 MiB",
        "phySize": "1000 B",
        "version": ALPHA,
    }
    assert re.fullmatch(r"[a-z0-9]{10}", tag)
    assert snapshot.tags == {
        "path": str(data),
        "backupTag": tag,
        "backupArtifactPrefix": "bucket/shop",
        "namespace": "shop",
        "pod": "db-0",
        "function": "BackupData",
    }
    assert snapshot.source == f"backup@client:/pod/shop/db-0{data}"


def test_a_volume_of_a_claim(repository: FakeRepository, tmp_path: Path) -> None:
    write(tmp_path / "mnt/vol_data/data-db-0")
    arguments = {"namespace": "shop", "volume": "data-db-0", "dataArtifactPrefix": "bucket/shop"}

    outputs = run(repository, "CopyVolumeData", arguments, root=tmp_path)

    snapshot = last(repository)
    assert outputs == {
        "backupID": snapshot.id,
        "backupRoot": "/mnt/vol_data/data-db-0",
        "backupArtifactLocation": "bucket/shop",
        "backupTag": snapshot.tags["backupTag"],
        "fileCount": "1",
        "size": "1.500 MiB",
        "phySize": "1000 B",
        "version": ALPHA,
    }
    assert snapshot.tags["path"] == "/mnt/vol_data/data-db-0"
    assert snapshot.source == "backup@client:/claim/shop/data-db-0"


def test_the_removed_function_keeps_its_formats_and_its_tags(
    repository: FakeRepository, tmp_path: Path
) -> None:
    data = write(tmp_path / "data")
    arguments = {"namespace": "shop", "pod": "db-0", "includePath": str(data)}

    outputs = run(repository, KOPIA_SERVER, arguments | {"snapshotTags": "app:db,tier:gold"})

    snapshot = last(repository)
    assert outputs == {"backupID": snapshot.id, "size": "1.6 MB", "phySize": "1.0 kB"}
    assert snapshot.tags == {
        "app": "db",
        "tier": "gold",
        "path": str(data),
        "namespace": "shop",
        "pod": "db-0",
        "function": KOPIA_SERVER,
    }


@pytest.mark.parametrize("function", ["BackupData", KOPIA_SERVER])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("db-0", "db-1", id="pods of a StatefulSet have a source each"),
        pytest.param(
            "web-7d4b9cf5d6-x2k5z",
            "web-7d4b9cf5d6-b8fwm",
            id="pods of a Deployment share one, and are read in full",
        ),
    ],
)
def test_no_file_of_another_pod_gets_into_a_snapshot(
    repository: FakeRepository, tmp_path: Path, function: str, one: str, other: str
) -> None:
    """Name, size and time of the files are the same, so that Kopia takes them for the same."""
    for pod, content in ((one, b"ONE"), (other, b"TWO")):
        write(tmp_path / pod / "data", content)
        arguments = {"namespace": "shop", "pod": pod, "includePath": "/data"}
        run(repository, function, arguments, root=tmp_path / pod)

    assert repository.contents[last(repository).id]["file"].data == b"TWO"


@pytest.mark.parametrize("function", ["BackupData", "BackupDataAll", KOPIA_SERVER])
@pytest.mark.parametrize("pod", ["db-0", "web-7d4b9cf5d6-x2k5z"])
def test_no_file_of_another_container_gets_into_a_snapshot(
    repository: FakeRepository, tmp_path: Path, function: str, pod: str
) -> None:
    """Two containers of a pod may have different volumes at the same path."""
    several = function == "BackupDataAll"
    for container, content in (("main", b"ONE"), ("tools", b"TWO")):
        root = tmp_path / container
        write(root / pod / "data" if several else root / "data", content)
        arguments = {"namespace": "shop", "container": container, "includePath": "/data"}
        run(repository, function, arguments | {"pods" if several else "pod": pod}, root=root)

    assert repository.contents[last(repository).id]["file"].data == b"TWO"
    assert len({one.source for one in repository.snapshots.values()}) == 2
    assert [one.tags["container"] for one in repository.snapshots.values()] == ["main", "tools"]


def test_the_path_is_as_the_workload_sees_it(repository: FakeRepository, tmp_path: Path) -> None:
    write(tmp_path / "var/lib/data")
    arguments = {"namespace": "shop", "pod": "db-0", "includePath": "/var/lib/data"}

    run(repository, "BackupData", arguments, root=tmp_path)

    assert last(repository).tags["path"] == "/var/lib/data"
    assert last(repository).source == "backup@client:/pod/shop/db-0/var/lib/data"


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        pytest.param(
            "BackupData",
            {"namespace": "shop", "pod": "db-0", "includePath": "/none"},
            r"includePath: there is no .*/none in this pod; mount the volume there",
            id="a folder that is not mounted",
        ),
        pytest.param(
            "CopyVolumeData",
            {"namespace": "shop", "volume": "data"},
            r"mountPath: there is no .*/mnt/vol_data/data in this pod",
            id="a volume that is not mounted",
        ),
        pytest.param(
            "BackupData", {"includePath": "/data"}, "nothing says whose data", id="nobody's data"
        ),
        pytest.param(
            "BackupDataAll",
            {"namespace": "shop", "includePath": "/data"},
            "argument pods is missing",
            id="no pods",
        ),
        pytest.param(
            KOPIA_SERVER,
            {"namespace": "shop", "pod": "db-0", "includePath": "/data", "snapshotTags": "x"},
            "snapshotTags: 'x' is no tag",
            id="a tag that is none",
        ),
    ],
)
def test_what_cannot_be_backed_up_is_refused_before_anything_is_done(
    repository: FakeRepository,
    tmp_path: Path,
    function: str,
    arguments: dict[str, str],
    message: str,
) -> None:
    write(tmp_path / "data")

    with pytest.raises(Refused, match=message):
        run(repository, function, arguments, root=tmp_path)

    assert repository.calls == []


def test_what_a_policy_leaves_out_is_said(repository: FakeRepository, tmp_path: Path) -> None:
    data = write(tmp_path / "data")
    repository.changes = {"excluded_files": 2, "excluded_directories": 1}
    said: list[str] = []

    run(repository, "BackupData", {"includePath": str(data)}, source="db", warn=said.append)

    assert len(said) == 1
    assert said[0].startswith(f"2 files and 1 folders of {data} are not in the snapshot")


class TestSeveralPods:
    ARGUMENTS: Final = {
        "namespace": "shop",
        "pods": "db-0 db-1 db-2",
        "includePath": "/data",
        "backupArtifactPrefix": "bucket/shop",
    }

    @pytest.fixture(autouse=True)
    def pods(self, tmp_path: Path) -> None:
        for pod in ("db-0", "db-1", "db-2"):
            write(tmp_path / pod / "data", pod.encode())

    def test_each_has_a_snapshot(self, repository: FakeRepository, tmp_path: Path) -> None:
        outputs = run(repository, "BackupDataAll", self.ARGUMENTS, root=tmp_path)

        assert outputs["version"] == ALPHA
        info = json.loads(outputs["BackupAllInfo"])
        assert list(info) == ["db-0", "db-1", "db-2"]
        for pod, backup in info.items():
            snapshot = repository.snapshots[backup["BackupID"]]
            assert backup["PodName"] == pod
            assert repository.contents[snapshot.id]["file"].data == pod.encode()
            assert snapshot.source == f"backup@client:/pod/shop/{pod}/data"
            assert snapshot.tags == {
                "path": "/data",
                "backupTag": backup["BackupTag"],
                "backupArtifactPrefix": f"bucket/shop/{pod}",
                "namespace": "shop",
                "pod": pod,
                "function": "BackupDataAll",
            }

    def test_what_succeeds_is_put_out_although_another_fails(
        self, repository: FakeRepository, tmp_path: Path
    ) -> None:
        repository.failures["back_up"] = [ClientFailed(Kind.SOURCE_UNREADABLE, "no right to x")]

        with pytest.raises(PartlyFailed) as failed:
            run(repository, "BackupDataAll", self.ARGUMENTS, root=tmp_path, parallel=1)

        assert str(failed.value) == ("failed for db-0 (db-0: no right to x); done for db-1, db-2")
        assert list(json.loads(failed.value.outputs["BackupAllInfo"])) == ["db-1", "db-2"]

    def test_a_folder_that_is_missing_fails_one(
        self, repository: FakeRepository, tmp_path: Path
    ) -> None:
        arguments = self.ARGUMENTS | {"pods": "db-0 db-7"}

        with pytest.raises(PartlyFailed, match=r"failed for db-7 .*done for db-0"):
            run(repository, "BackupDataAll", arguments, root=tmp_path)

    def test_a_source_that_is_asked_for_is_one_for_each(
        self, repository: FakeRepository, tmp_path: Path
    ) -> None:
        run(repository, "BackupDataAll", self.ARGUMENTS, root=tmp_path, source="db")

        assert {one.source for one in repository.snapshots.values()} == {
            f"backup@client:/source/db.{pod}/data" for pod in ("db-0", "db-1", "db-2")
        }
