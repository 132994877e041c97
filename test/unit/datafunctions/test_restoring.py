"""The functions that restore, count and delete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from fakes.kopiaclient import Content, FakeClient, FakeRepository
from reconcilers.datafunctions import steps
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.backupinfo import PodBackup, render
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.errors import PartlyFailed, Refused
from reconcilers.datafunctions.function import Run
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALPHA = "v1.0.0-alpha"
KOPIA_SERVER = "RestoreDataUsingKopiaServer"
GONE = "f" * 32


@pytest.fixture
def repository() -> FakeRepository:
    """Return a repository with three snapshots, of which two are of one pod."""
    repository = FakeRepository()
    for number, pod in enumerate(("db-0", "db-1", "db-0")):
        files = {
            "file": Content(f"{pod} {number}".encode(), 0),
            "sub/file": Content(b"below", 0),
        }
        tags = {"path": "/var/lib/data", "backupTag": f"tag-of-{pod}", "pod": pod}
        repository.add(f"/pod/shop/{pod}/var/lib/data", tags, files)
    return repository


def run(
    repository: FakeRepository, function: str, arguments: Mapping[str, object], **more: Any
) -> Mapping[str, str]:
    found = FUNCTIONS.find(function, ALPHA).function
    decoded = decode(found.arguments, arguments, function=function)
    return found.run(Run(FakeClient(repository), **more), decoded.arguments)


def id_(number: int) -> str:
    return f"{number:032x}"


def files_below(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("arguments", "restored"),
    [
        pytest.param(
            {"backupIdentifier": id_(2)},
            {"var/lib/data/file": "db-1 1", "var/lib/data/sub/file": "below"},
            id="by default to where it was",
        ),
        pytest.param(
            {"backupIdentifier": id_(2), "restorePath": "/restored"},
            {
                "restored/var/lib/data/file": "db-1 1",
                "restored/var/lib/data/sub/file": "below",
            },
            id="below restorePath by the old path",
        ),
        pytest.param(
            {
                "backupIdentifier": id_(2),
                "backupPath": "/var/lib/data",
                "restorePath": "/restored",
            },
            {"restored/file": "db-1 1", "restored/sub/file": "below"},
            id="with backupPath its contents alone",
        ),
        pytest.param(
            {
                "backupIdentifier": id_(2),
                "backupPath": "/var/lib/data/sub",
                "restorePath": "/restored",
            },
            {"restored/file": "below"},
            id="a folder of it",
        ),
        pytest.param(
            {"backupTag": "tag-of-db-0"},
            {"var/lib/data/file": "db-0 2", "var/lib/data/sub/file": "below"},
            id="by its tag: the last one",
        ),
    ],
)
def test_restore_data_goes_where_restic_puts_it(
    repository: FakeRepository,
    tmp_path: Path,
    arguments: dict[str, str],
    restored: dict[str, str],
) -> None:
    assert run(repository, "RestoreData", arguments, root=tmp_path) == {}

    assert files_below(tmp_path) == restored


def test_the_removed_function_puts_the_content_into_the_folder_itself(
    repository: FakeRepository, tmp_path: Path
) -> None:
    arguments = {"backupIdentifier": id_(2), "restorePath": "/restored"}

    assert run(repository, KOPIA_SERVER, arguments, root=tmp_path) == {}

    assert files_below(tmp_path) == {"restored/file": "db-1 1", "restored/sub/file": "below"}


def test_a_snapshot_of_the_removed_function_is_of_its_source_s_path(
    repository: FakeRepository, tmp_path: Path
) -> None:
    old = repository.add("/data", {}, {"file": Content(b"old", 0)})

    run(repository, "RestoreData", {"backupIdentifier": old.id}, root=tmp_path)

    assert files_below(tmp_path) == {"data/file": "old"}


@pytest.mark.parametrize("function", ["RestoreData", KOPIA_SERVER])
def test_volumes_must_be_mounted_where_they_are_said_to_be(
    repository: FakeRepository, tmp_path: Path, function: str
) -> None:
    arguments = {
        "backupIdentifier": id_(1),
        "restorePath": "/data",
        "volumes": {"data": "/data"},
    }
    with pytest.raises(Refused, match=r"argument volumes: there is no .*/data in this pod"):
        run(repository, function, arguments, root=tmp_path)

    (tmp_path / "data").mkdir()
    run(repository, function, arguments, root=tmp_path)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        pytest.param(
            "RestoreData",
            {"backupIdentifier": id_(1), "backupTag": "x"},
            "give exactly one of the arguments backupIdentifier and backupTag",
            id="an id and a tag",
        ),
        pytest.param(
            "RestoreData",
            {},
            "give exactly one of the arguments backupIdentifier and backupTag",
            id="neither",
        ),
        pytest.param(
            "RestoreData",
            {"backupIdentifier": id_(1), "pod": "db-0", "volumes": {"data": "/"}},
            "give one of the arguments pod and volumes, not both",
            id="pod and volumes",
        ),
        pytest.param(
            KOPIA_SERVER,
            {
                "backupIdentifier": id_(1),
                "restorePath": "/x",
                "pod": "db-0",
                "volumes": {"data": "/"},
            },
            "give one of the arguments pod and volumes, not both",
            id="pod and volumes of the removed function",
        ),
        pytest.param(
            "RestoreData",
            {"backupIdentifier": "1a2b3c4d"},
            "backupIdentifier: 1a2b3c4d is the id of a snapshot that restic has made",
            id="restic's short id",
        ),
        pytest.param(
            KOPIA_SERVER,
            {"backupIdentifier": "a" * 64, "restorePath": "/x"},
            "backupIdentifier: a{64} is the id of a snapshot that restic has made",
            id="restic's long id",
        ),
        pytest.param(
            "RestoreData",
            {"backupIdentifier": f"k{id_(1)}"},
            "is the id of an object, not of a snapshot",
            id="a folder's object id",
        ),
        pytest.param(
            "DeleteData",
            {"backupID": f"{id_(1)} Ix{id_(1)}"},
            "is the id of an object, not of a snapshot",
            id="an indirect object's id among others",
        ),
        pytest.param(
            "DeleteData",
            {"backupID": f"{id_(1)} 1a2b3c4d"},
            "backupID: 1a2b3c4d is the id of a snapshot that restic",
            id="one of restic's among others",
        ),
        pytest.param(
            "DeleteData",
            {"backupID": id_(1), "backupTag": "x"},
            "give exactly one of the arguments backupID and backupTag",
            id="what to delete by id and tag",
        ),
        pytest.param(
            "DeleteDataUsingKopiaServer",
            {"backupID": "latest"},
            "backupID: 'latest' is not the id of a snapshot",
            id="a word",
        ),
        pytest.param(
            "BackupDataStats",
            {"backupID": id_(1), "statsMode": "raw-data"},
            "argument statsMode: 'raw-data' counts what only restic has",
            id="a mode of restic's",
        ),
        pytest.param(
            "RestoreDataAll",
            {
                "backupInfo": render([PodBackup("db-0", id_(1)), PodBackup("db-1", "x")]),
            },
            "backupInfo: 'x' is not the id of a snapshot",
            id="one of several that is none",
        ),
        pytest.param(
            "RestoreDataAll",
            {"backupInfo": render([PodBackup("db-0", id_(1))]), "pods": "db-0 db-7"},
            "backupInfo has no backup of db-7; it has those of db-0",
            id="a pod without a backup",
        ),
        pytest.param(
            "DeleteDataAll",
            {"backupInfo": "{}"},
            "backupInfo is not what BackupDataAll has put out",
            id="no backup at all",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    repository: FakeRepository,
    tmp_path: Path,
    function: str,
    arguments: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(Refused, match=message):
        run(repository, function, arguments, root=tmp_path)

    assert repository.calls == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/data", id="a volume that is mounted in the root"),
        pytest.param("/a/b/data", id="a folder whose way is not there yet"),
    ],
)
def test_what_kopia_writes_beside_must_not_be_read_only(
    repository: FakeRepository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    """Kopia removes PATH.kopia-entry when a folder is restored: on such a file system it cannot."""
    monkeypatch.setattr(steps, "is_read_only", tmp_path.__eq__)
    arguments = {"backupIdentifier": id_(1), "restorePath": path}

    with pytest.raises(Refused) as refused:
        run(repository, KOPIA_SERVER, arguments, root=tmp_path)

    assert str(refused.value) == (
        f"argument restorePath: {tmp_path} is on a read-only file system, and Kopia "
        "writes beside the folder that it restores to; mount the volume below an emptyDir, and "
        "give that as --root"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_the_snapshot_does_not_have_is_refused(
    repository: FakeRepository, tmp_path: Path
) -> None:
    arguments = {"backupIdentifier": id_(1), "backupPath": "/other", "restorePath": "/x"}

    with pytest.raises(Refused, match="backupPath: '/other' is not in the snapshot"):
        run(repository, "RestoreData", arguments, root=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        pytest.param("RestoreData", {"backupIdentifier": GONE}, id="by its id"),
        pytest.param("RestoreData", {"backupTag": "none"}, id="by its tag"),
        pytest.param("BackupDataStats", {"backupID": GONE}, id="to be counted"),
    ],
)
def test_a_snapshot_that_is_not_there(
    repository: FakeRepository, tmp_path: Path, function: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ClientFailed) as failed:
        run(repository, function, arguments, root=tmp_path)

    assert failed.value.kind is Kind.NO_SUCH_SNAPSHOT


def test_stats_count_what_a_restore_writes(repository: FakeRepository) -> None:
    assert run(repository, "BackupDataStats", {"backupID": id_(1)}) == {
        "mode": "restore-size",
        "fileCount": "2",
        "size": "11 B",
        "version": ALPHA,
    }


@pytest.mark.parametrize(
    ("function", "arguments", "left", "outputs"),
    [
        pytest.param(
            "DeleteData",
            {"backupID": f"{id_(1)} {id_(2)}"},
            {id_(3)},
            {"spaceFreed": "0 B"},
            id="by their ids",
        ),
        pytest.param(
            "DeleteData",
            {"backupTag": "tag-of-db-0"},
            {id_(2)},
            {"spaceFreed": "0 B"},
            id="by their tag",
        ),
        pytest.param(
            "DeleteData",
            {"backupTag": "none"},
            {id_(1), id_(2), id_(3)},
            {"spaceFreed": "0 B"},
            id="by a tag that is gone: it was deleted before",
        ),
        pytest.param(
            "DeleteData",
            {"backupID": GONE},
            {id_(1), id_(2), id_(3)},
            {"spaceFreed": "0 B"},
            id="by an id that is gone",
        ),
        pytest.param(
            "DeleteDataUsingKopiaServer", {"backupID": id_(1)}, {id_(2), id_(3)}, {}, id="removed"
        ),
        pytest.param(
            "DeleteDataAll",
            {"backupInfo": render([PodBackup("db-0", id_(1)), PodBackup("db-1", id_(2))])},
            {id_(3)},
            {"spaceFreed": "0 B"},
            id="of all pods",
        ),
    ],
)
def test_deleting(
    repository: FakeRepository,
    function: str,
    arguments: dict[str, str],
    left: set[str],
    outputs: dict[str, str],
) -> None:
    assert run(repository, function, arguments) == outputs

    assert set(repository.snapshots) == left


class TestSeveralPods:
    INFO = render([PodBackup("db-0", id_(3)), PodBackup("db-1", id_(2))])

    def test_each_gets_its_own(self, repository: FakeRepository, tmp_path: Path) -> None:
        assert run(repository, "RestoreDataAll", {"backupInfo": self.INFO}, root=tmp_path) == {}

        assert files_below(tmp_path) == {
            "db-0/var/lib/data/file": "db-0 2",
            "db-0/var/lib/data/sub/file": "below",
            "db-1/var/lib/data/file": "db-1 1",
            "db-1/var/lib/data/sub/file": "below",
        }

    def test_those_that_are_named_alone(self, repository: FakeRepository, tmp_path: Path) -> None:
        arguments = {"backupInfo": self.INFO, "pods": "db-1", "restorePath": "/restored"}

        run(repository, "RestoreDataAll", arguments, root=tmp_path)

        assert [path.name for path in tmp_path.iterdir()] == ["db-1"]
        assert (tmp_path / "db-1/restored/var/lib/data/file").read_text() == "db-1 1"

    def test_what_is_restored_is_said_although_another_fails(
        self, repository: FakeRepository, tmp_path: Path
    ) -> None:
        repository.failures["restore"] = [ClientFailed(Kind.DISK_FULL, "no space on /db-0")]

        with pytest.raises(PartlyFailed) as failed:
            run(
                repository,
                "RestoreDataAll",
                {"backupInfo": self.INFO},
                root=tmp_path,
                parallel=1,
            )

        assert str(failed.value) == "failed for db-0 (db-0: no space on /db-0); done for db-1"

    def test_what_is_deleted_is_said_although_another_fails(
        self, repository: FakeRepository
    ) -> None:
        repository.failures["delete"] = [ClientFailed(Kind.SERVER_GONE, "the server went")]

        with pytest.raises(PartlyFailed, match=r"failed for db-0 .*done for db-1"):
            run(repository, "DeleteDataAll", {"backupInfo": self.INFO}, parallel=1)

        assert set(repository.snapshots) == {id_(1), id_(3)}


def test_what_one_puts_out_the_next_takes(repository: FakeRepository, tmp_path: Path) -> None:
    data = tmp_path / "db-0/data"
    data.mkdir(parents=True)
    (data / "file").write_text("precious")
    arguments = {"namespace": "shop", "pods": "db-0", "includePath": "/data"}
    outputs = run(repository, "BackupDataAll", arguments, root=tmp_path)
    (data / "file").unlink()

    run(repository, "RestoreDataAll", {"backupInfo": outputs["BackupAllInfo"]}, root=tmp_path)

    assert (data / "file").read_text() == "precious"
    assert json.loads(outputs["BackupAllInfo"])["db-0"]["BackupID"] in repository.snapshots
