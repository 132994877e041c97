"""The program runs each data function through a real Kopia server."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from attrs import define, field

from controller.stop import Stop
from integration import kopiaserver
from integration.kopiaserver import KopiaServer
from reconcilers.datafunctions.outputs import MARKER
from reconcilers.datafunctions.program.main import Program, Streams
from reconcilers.kopia.client.errors import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Runs the program as its console script does.
SCRIPT: Final = "from reconcilers.datafunctions.program.main import main; main()"
STREAM: Final = b"a dump\x00" * 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KopiaServer]:
    with KopiaServer(tmp_path_factory.mktemp("server"), kopiaserver.kopia()) as running:
        yield running


@define
class Console:
    """Runs the program in a workload's pod, whose files are below a folder."""

    server: KopiaServer
    root: Path
    stdin: bytes = b""
    stdout: bytes = b""
    said: str = ""
    code: int = field(default=-1)

    def run(self, *arguments: str) -> dict[str, str]:
        """Run it, and return the outputs of a run that has succeeded."""
        assert self.attempt(*arguments) == 0, self.said
        lines = self.stdout.decode().splitlines()
        pairs = [json.loads(line.removeprefix(MARKER)) for line in lines]
        return {pair["key"]: pair["value"] for pair in pairs}

    def attempt(self, *arguments: str) -> int:
        stdout, stderr = io.BytesIO(), io.StringIO()
        program = Program(Streams(io.BytesIO(self.stdin), stdout, stderr), Stop())
        self.code = program.run(arguments, self.variables)
        self.stdout, self.said = stdout.getvalue(), stderr.getvalue()
        return self.code

    @property
    def variables(self) -> dict[str, str]:
        connection = self.server.connection()
        return {
            "RSF_URL": connection.url,
            "RSF_FINGERPRINT": connection.fingerprint,
            "RSF_USERNAME": connection.username,
            "RSF_HOSTNAME": connection.hostname,
            "KOPIA_PASSWORD": connection.password,
            "RSF_KOPIA": str(self.server.executable),
            "RSF_ROOT": str(self.root),
        }


@pytest.fixture
def console(server: KopiaServer, tmp_path: Path) -> Console:
    root = tmp_path / "root"
    root.mkdir()
    return Console(server, root)


def write(folder: Path, *, content: str = "precious") -> dict[str, tuple[int, bytes]]:
    """Write a few files, and return what a restore must bring back."""
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text(content)
    (folder / "sub/script").write_text(content * 1000)
    (folder / "sub/script").chmod(0o751)
    # The same in each pod, as an image has them.
    for file in ("file", "sub/script"):
        os.utime(folder / file, (1_000_000, 1_000_000))
    return contents(folder)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_mode, file.read_bytes())
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def empty(folder: Path) -> None:
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def test_a_pod_s_folder_is_lost_and_restored(console: Console) -> None:
    data = console.root / "data"
    written = write(data)
    arguments = ["--arg=namespace=shop", "--arg=pod=db-0"]

    backup = console.run("run", "BackupData", *arguments, "--arg=includePath=/data")
    empty(data)
    console.run("run", "RestoreData", f"--arg=backupTag={backup['backupTag']}")

    assert contents(data) == written
    assert backup["fileCount"] == "2"
    stats = console.run("run", "BackupDataStats", f"--arg=backupID={backup['backupID']}")
    assert (stats["size"], stats["fileCount"]) == (backup["size"], "2")
    assert console.run("verify", f"--arg=backupID={backup['backupID']}")["readFileCount"] == "2"

    for _ in range(2):
        console.run("run", "DeleteData", f"--arg=backupID={backup['backupID']}")
    gone = console.attempt("run", "RestoreData", f"--arg=backupIdentifier={backup['backupID']}")
    assert gone == Kind.NO_SUCH_SNAPSHOT.exit_code


def test_a_volume_goes_into_another_folder(console: Console) -> None:
    written = write(console.root / "mnt/vol_data/data")
    arguments = ["--arg=namespace=shop", "--arg=volume=data", "--arg=dataArtifactPrefix=x"]

    backup = console.run("run", "CopyVolumeData", *arguments)
    console.run(
        "run",
        "RestoreData",
        "--of=volume=data",
        f"--arg=backupPath={backup['backupRoot']}",
        "--arg=restorePath=/elsewhere",
    )

    assert contents(console.root / "elsewhere") == written


def test_all_pods_and_each_has_its_own_files(console: Console) -> None:
    pods = ["db-0", "db-1", "db-2"]
    written = {pod: write(console.root / pod / "data", content=f"of {pod}") for pod in pods}
    arguments = ["--arg=namespace=shop", f"--arg=pods={' '.join(pods)}", "--arg=includePath=/data"]

    info = console.run("run", "BackupDataAll", *arguments)["BackupAllInfo"]
    for pod in pods:
        empty(console.root / pod)
    console.run("run", "RestoreDataAll", f"--arg=backupInfo={info}")

    assert {pod: contents(console.root / pod / "data") for pod in pods} == written
    console.run("run", "DeleteDataAll", f"--arg=backupInfo={info}")
    listed = console.attempt("snapshots", "--of=function=BackupDataAll")
    assert (listed, console.stdout) == (0, b"")


def test_one_of_several_pods_fails_and_the_others_are_kept(console: Console) -> None:
    write(console.root / "db-0/data")
    arguments = ["--arg=namespace=partly", "--arg=pods=db-0 db-1", "--arg=includePath=/data"]

    assert console.attempt("run", "BackupDataAll", *arguments) == 3

    assert b"db-0" in console.stdout
    assert console.attempt("snapshots", "--of=namespace=partly") == 0
    assert console.stdout.count(b"\n") == 1


def test_the_removed_functions(console: Console) -> None:
    data = console.root / "data"
    written = write(data)
    arguments = ["--arg=namespace=shop", "--arg=pod=web-7d4b9cf5d6-x2k5z"]

    backup = console.run(
        "run",
        "BackupDataUsingKopiaServer",
        *arguments,
        "--arg=includePath=/data",
        "--arg=snapshotTags=app:web",
    )
    console.run(
        "run",
        "RestoreDataUsingKopiaServer",
        "--of=app=web",
        "--arg=restorePath=/elsewhere",
    )
    assert contents(console.root / "elsewhere") == written

    console.run("run", "DeleteDataUsingKopiaServer", f"--arg=backupID={backup['backupID']}")
    assert console.attempt("snapshots", "--of=app=web") == 0
    assert console.stdout == b""


def test_a_stream(console: Console) -> None:
    console.stdin = STREAM
    (snapshot,) = console.run("push", "--path=shop/dump.gz").values()
    assert json.loads(snapshot)["logicalSize"] == len(STREAM)

    assert console.attempt("pull", "--path=shop/dump.gz", f"--kopia-snapshot={snapshot}") == 0
    assert console.stdout == STREAM

    assert console.attempt("delete", f"--kopia-snapshot={snapshot}") == 0
    gone = console.attempt("pull", "--path=shop/dump.gz", f"--kopia-snapshot={snapshot}")
    assert gone == Kind.NO_SUCH_SNAPSHOT.exit_code


def test_no_backup_is_left_of_a_command_that_fails(console: Console) -> None:
    command = ["sh", "-c", "head -c 1000000 /dev/urandom; exit 7"]

    code = console.attempt("push", "--path=failing/dump.gz", "--", *command)

    assert code == Kind.PRODUCER.exit_code
    assert "the command sh has failed with exit code 7" in console.said
    assert console.server.snapshots("/failing") == []


def test_all_but_the_last_are_pruned(console: Console) -> None:
    write(console.root / "data")
    arguments = ["--arg=namespace=prune", "--arg=volume=data", "--arg=mountPath=/data"]
    made = [console.run("run", "CopyVolumeData", *arguments)["backupID"] for _ in range(3)]

    console.run("prune", "--of=namespace=prune", "--keep=2")

    console.attempt("snapshots", "--of=namespace=prune")
    assert [line.split()[0].decode() for line in console.stdout.splitlines()] == made[1:]


def test_a_pod_that_is_drained_leaves_no_snapshot_and_no_process(console: Console) -> None:
    """The producer of the stream does not end; SIGTERM comes while Kopia reads it."""
    with subprocess.Popen(  # noqa: S603 - this program
        [sys.executable, "-c", SCRIPT, "push", "--path=drained/dump.gz"],
        env={**os.environ, **console.variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        # More than a pipe holds: it returns when Kopia reads.
        running.stdin.write(STREAM)
        running.stdin.flush()
        kopias = children_of(running.pid)
        assert kopias
        running.send_signal(signal.SIGTERM)
        said = running.stderr.read().decode()
        assert running.wait(60) == Kind.CANCELLED.exit_code, said

    assert said.startswith("repository-server-functions: ")
    assert [pid for pid in kopias if Path(f"/proc/{pid}").exists()] == []
    assert console.server.snapshots("/drained") == []


def children_of(pid: int) -> list[str]:
    """Return the processes that a process has started, on whichever thread."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [child for file in files for child in file.read_text().split()]
