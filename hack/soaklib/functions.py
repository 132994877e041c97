"""Many backups by the data functions into one server, with deletes between: is any of them lost?

A Kopia server of this machine and the program in this process, some runs of it at the same time.
Every source has files of the same names, so that a snapshot with another source's would be found.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen

from clusterlib.progress import Progress
from controller.stop import Stop
from e2e.waiting import CLOCK
from integration import kopiaserver
from reconcilers.datafunctions.outputs import MARKER
from reconcilers.datafunctions.program.main import Program, Streams

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from integration.kopiaserver import KopiaServer

SOURCES: Final = 20
AT_ONCE: Final = 4
#: So many of all backups are deleted while others are made.
DELETED_SHARE: Final = 0.3
#: So many of those that are left are restored in the end.
SAMPLE: Final = 40

NAMESPACE: Final = "soak"
PATH: Final = "/data"
FILES: Final = {"first": 1_000, "sub/second": 100_000, "sub/third": 300_000}

FAILED: Final = "{command} has ended with code {code}: {said}"


@frozen
class Backup:
    """A backup that was reported done.

    Attributes:
        snapshot: Its id.
        pod: Whose it is.
        checksums: Of its files.
    """

    snapshot: str
    pod: str
    checksums: Mapping[str, str]


@define
class Soak:
    """The run.

    Attributes:
        server: A Kopia server.
        folder: Of the pods' files.
        chance: Decides what is changed and deleted.
        kept: The backups that should be there, by id.
        deleted: The ids of those that should not.
    """

    server: KopiaServer
    folder: Path
    chance: random.Random
    kept: dict[str, Backup] = field(factory=dict)
    deleted: set[str] = field(factory=set)
    _lock: threading.Lock = field(factory=threading.Lock)
    _of_pod: dict[str, threading.Lock] = field(factory=dict)

    def prepare(self) -> None:
        """Write the files of each pod."""
        for number in range(SOURCES):
            pod = f"db-{number}"
            self._of_pod[pod] = threading.Lock()
            for name in FILES:
                self._write(pod, name)

    def back_up(self, number: int) -> None:
        """Change a file of a pod and back the pod up, and perhaps delete an earlier backup."""
        pod = f"db-{number % SOURCES}"
        with self._of_pod[pod]:
            self._write(pod, self.chance.choice(sorted(FILES)))
            outputs = self.program(
                *("run", "BackupData", f"--root={self.folder / pod}"),
                *(f"--arg=namespace={NAMESPACE}", f"--arg=pod={pod}", f"--arg=includePath={PATH}"),
            )
            made = Backup(outputs["backupID"], pod, checksums(self.folder / pod / "data"))
        with self._lock:
            self.kept[made.snapshot] = made
            if self.chance.random() >= DELETED_SHARE:
                return
            gone = self.kept.pop(self.chance.choice(sorted(self.kept)))
        self.program("run", "DeleteData", f"--arg=backupID={gone.snapshot}")
        with self._lock:
            self.deleted.add(gone.snapshot)

    def listed(self) -> set[str]:
        """Return the ids that the server has."""
        printed = self._run("snapshots", f"--of=namespace={NAMESPACE}")
        return {line.split()[0] for line in printed.splitlines()}

    def restores_as_it_was(self, backup: Backup) -> bool:
        """Return whether a backup restores to what was backed up."""
        with tempfile.TemporaryDirectory(dir=self.folder) as target:
            self.program(
                *("run", "RestoreData", f"--root={target}"),
                f"--arg=backupIdentifier={backup.snapshot}",
            )
            return checksums(Path(target) / "data") == backup.checksums

    def program(self, *arguments: str) -> dict[str, str]:
        """Run the program, and return its outputs.

        Raises:
            AssertionError: It has failed.
        """
        lines = self._run(*arguments).splitlines()
        pairs = [json.loads(line.removeprefix(MARKER)) for line in lines]
        return {pair["key"]: pair["value"] for pair in pairs}

    def _run(self, *arguments: str) -> str:
        stdout, stderr = io.BytesIO(), io.StringIO()
        program = Program(Streams(io.BytesIO(), stdout, stderr), Stop())
        code = program.run(arguments, self._variables())
        words = {"command": " ".join(arguments[:2]), "code": code, "said": stderr.getvalue()}
        assert code == 0, FAILED.format(**words)  # noqa: S101 - as the tests that it is made of
        return stdout.getvalue().decode()

    def _variables(self) -> dict[str, str]:
        connection = self.server.connection()
        return {
            "RSF_URL": connection.url,
            "RSF_FINGERPRINT": connection.fingerprint,
            "RSF_USERNAME": connection.username,
            "RSF_HOSTNAME": connection.hostname,
            "KOPIA_PASSWORD": connection.password,
            "RSF_KOPIA": str(self.server.executable),
        }

    def _write(self, pod: str, name: str) -> None:
        file = self.folder / pod / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.chance.randbytes(FILES[name]))


def checksums(folder: Path) -> dict[str, str]:
    """Return the checksum of each file below a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def judged(soak: Soak, listed: set[str], different: Sequence[Backup]) -> list[str]:
    """Return what is wrong in the end, in sentences; nothing if nothing is.

    Args:
        soak: What should be there.
        listed: The ids that are.
        different: Backups that did not restore to what was backed up.
    """
    lost, back = soak.kept.keys() - listed, soak.deleted & listed
    unknown = listed - soak.kept.keys() - soak.deleted
    return [
        f"{len(found)} {words}: {', '.join(sorted(found))}"
        for found, words in (
            (lost, "backups that were reported done are not there"),
            (back, "backups that were deleted twice are there"),
            (unknown, "snapshots are there that nobody has reported"),
            ({one.snapshot for one in different}, "backups restore to something else"),
        )
        if found
    ]


def run(backups: int, seed: int, say: Callable[[str], object]) -> int:
    """Run it.

    Args:
        backups: How many are made.
        seed: For the same changes and deletes.
        say: Prints a line.

    Returns:
        The exit code: 1 if anything is wrong.
    """
    progress = Progress(3)
    with tempfile.TemporaryDirectory(prefix="soak-functions-") as scratch:
        files, place = Path(scratch) / "files", Path(scratch) / "server"
        files.mkdir()
        place.mkdir()
        with kopiaserver.KopiaServer(place, kopiaserver.kopia()) as server:
            # What is changed is not secret.
            soak = Soak(server, files, random.Random(seed))  # noqa: S311 - see above
            soak.prepare()
            began = CLOCK.monotonic()
            made = f"{backups} backups of {SOURCES} sources, {AT_ONCE} at a time"
            with progress.step(made), ThreadPoolExecutor(AT_ONCE) as executor:
                list(executor.map(soak.back_up, range(backups)))
            seconds = CLOCK.monotonic() - began
            with progress.step("listing what there is"):
                listed = soak.listed()
                # Kopia compacts its list of snapshots while others write: one whose delete meets
                # that can come back, and goes with the next delete (docs/functions.md).
                came_back = soak.deleted & listed
                for snapshot in came_back:
                    soak.program("run", "DeleteData", f"--arg=backupID={snapshot}")
                listed = soak.listed()
            there = [one for snapshot, one in soak.kept.items() if snapshot in listed]
            sample = soak.chance.sample(there, min(SAMPLE, len(there)))
            with progress.step(f"restoring {len(sample)} of them"):
                different = [one for one in sample if not soak.restores_as_it_was(one)]
    wrong = judged(soak, listed, different)
    for sentence in wrong:
        say(sentence)
    figures = {
        "backups": backups,
        "deleted": len(soak.deleted),
        "came_back": len(came_back),
        "there": len(listed),
        "restored": len(sample),
        "seconds": round(seconds, 1),
        "seed": seed,
        "wrong": len(wrong),
    }
    say(json.dumps(figures))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), int(sys.argv[2]), print))
