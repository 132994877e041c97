"""What the program of the data functions costs beside Kopia's own commands, over the same server.

A Kopia server of this machine, as a process. For each side and round it has a new repository, so
that nobody finds what another one has written; and each side begins with an empty cache. Both make
a snapshot of the same files, another one with a hundredth of them changed, and a restore.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchlib import procfs
from benchlib.figures import columns
from clusterlib import builds, components, waiting
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

USER, HOST, PASSWORD = "backup", "client", "of the bench"
REPOSITORY_PASSWORD: Final = "of the repository"  # noqa: S105 - of a repository that is removed
PROGRAM: Final = "from reconcilers.datafunctions.program.main import main; main()"
START_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.02

MIB: Final = 1024 * 1024
#: One in so many files is changed.
CHANGED: Final = 100
# Of what a program may take more than Kopia's command.
RATIO_LIMIT: Final = 1.05
MEMORY_LIMIT_MB: Final = 60.0
CHANGED_LIMIT_SECONDS: Final = 0.5

OURS, KOPIA = "BackupData, RestoreData", "kopia snapshot"
STEPS: Final = {
    "backup": "all files backed up",
    "changed": "again, with 1 % changed",
    "restore": "all files restored",
}
# In the log of Kopia's server (cli/command_server_tls.go).
_FINGERPRINT: Final = re.compile(r"SERVER CERT SHA256: ([0-9a-f]{64})")

FAILED: Final = "{what} has failed:\n{output}"


@dataclass(frozen=True)
class Measured:
    """What one command took.

    Attributes:
        seconds: by the clock.
        peak_bytes: memory of the program and what it has started, at most, summed up.
    """

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Side:
    """One of the two that are measured.

    Attributes:
        title: for the table.
        back_up: returns the command that backs a folder up.
        restore: returns the command that restores the last backup of the folder to another one.
        environment: the variables of both.
    """

    title: str
    back_up: Callable[[Path], list[str]]
    restore: Callable[[Path, Path], list[str]]
    environment: Mapping[str, str]


def measure(*, rounds: int, files: int, megabytes: int) -> dict[str, Any]:
    """Measure, and print what was found.

    Args:
        rounds: how often each side is measured, in turns.
        files: how many files are backed up.
        megabytes: how large they are together, in MiB.

    Returns:
        The figures for JSON; `ratio` and the like are medians of ours beside Kopia's.

    Raises:
        ClusterError: something did not work.
    """
    environment = Environment()
    environment.make()
    known = components.load()
    builds.build_missing(known, ["kopia"], Progress(1))
    progress = Progress(1 + 2 * rounds)
    found: dict[str, list[dict[str, Measured]]] = {OURS: [], KOPIA: []}
    with tempfile.TemporaryDirectory(prefix="bench-backup-") as scratch:
        folder = Path(scratch)
        source = folder / "source"
        with progress.step(f"writing {files} files of {megabytes} MiB"):
            write_files(source, files=files, megabytes=megabytes)
        for number in range(rounds):
            # By turns, so that neither always finds the disk as the other has left it.
            for make in (_kopia, _ours)[:: 1 if number % 2 == 0 else -1]:
                with _server(folder / "server", known.program("kopia")) as server:
                    side = make(server, environment, folder / "client")
                    with progress.step(f"round {number + 1} of {rounds}: {side.title}"):
                        found[side.title].append(_measure(side, source, folder / "restored"))
                shutil.rmtree(folder / "client", ignore_errors=True)
    print(f"\n{table(found)}")
    return figures(found)


def figures(found: Mapping[str, Sequence[Mapping[str, Measured]]]) -> dict[str, Any]:
    """Return the figures for JSON."""

    def seconds(side: str, step: str) -> float:
        return statistics.median(one[step].seconds for one in found[side])

    def megabytes(side: str) -> float:
        peaks = [max(step.peak_bytes for step in one.values()) for one in found[side]]
        return statistics.median(peaks) / MIB

    return {
        "backup_ratio": round(seconds(OURS, "backup") / seconds(KOPIA, "backup"), 3),
        "restore_ratio": round(seconds(OURS, "restore") / seconds(KOPIA, "restore"), 3),
        "changed_more_seconds": round(seconds(OURS, "changed") - seconds(KOPIA, "changed"), 2),
        "more_megabytes": round(megabytes(OURS) - megabytes(KOPIA), 1),
    }


def too_slow(found: Mapping[str, Any]) -> bool:
    """Return whether the program costs more than it may."""
    return bool(
        max(found["backup_ratio"], found["restore_ratio"]) > RATIO_LIMIT
        or found["changed_more_seconds"] > CHANGED_LIMIT_SECONDS
        or found["more_megabytes"] > MEMORY_LIMIT_MB
    )


def table(found: Mapping[str, Sequence[Mapping[str, Measured]]]) -> str:
    """Return the figures of each round as a table."""
    titles = [f"{side} {number + 1}" for side in found for number in range(len(found[side]))]
    each = [one for side in found for one in found[side]]
    rows: list[tuple[str, Sequence[str]]] = []
    for step, title in STEPS.items():
        rows.append((f"{title}: seconds", [f"{one[step].seconds:.2f}" for one in each]))
        rows.append(("  MiB at most", [f"{one[step].peak_bytes / MIB:.0f}" for one in each]))
    return columns(titles, rows)


def write_files(folder: Path, *, files: int, megabytes: int) -> None:
    """Write files of random contents, all of one size, a hundred to a folder."""
    size = megabytes * MIB // files
    for number in range(files):
        file = _file(folder, number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))


def change_files(folder: Path) -> None:
    """Change one in a hundred of the files."""
    for file in sorted(folder.rglob("*.bin"))[::CHANGED]:
        file.write_bytes(os.urandom(file.stat().st_size))


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number // 100:04}" / f"{number:06}.bin"


def _measure(side: Side, source: Path, target: Path) -> dict[str, Measured]:
    measured = {"backup": run(side.back_up(source), side.environment)}
    change_files(source)
    measured["changed"] = run(side.back_up(source), side.environment)
    measured["restore"] = run(side.restore(source, target), side.environment)
    shutil.rmtree(target)
    return measured


def run(command: Sequence[str], environment: Mapping[str, str]) -> Measured:
    """Run a command, and return what it took.

    Raises:
        ClusterError: it has failed; the message has what it printed.
    """
    # What was written before is not to be paid for by this one.
    os.sync()
    with tempfile.TemporaryFile() as output:
        began = waiting.seconds()
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # The kernel shares the CPUs between sessions (sched_autogroup). The functions start
            # Kopia in one of its own, and without this the other side would share the server's.
            start_new_session=True,
        )
        try:
            peak = _peak(process)
        except BaseException:
            process.kill()
            raise
        seconds = waiting.seconds() - began
        if process.returncode != 0:
            output.seek(0)
            said = output.read().decode(errors="replace")
            raise ClusterError(FAILED.format(what=" ".join(command[:3]), output=said))
    return Measured(seconds, peak)


def _peak(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process ends, and return the most memory that it and its children had."""
    peaks: dict[int, int] = {}
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_SECONDS):
            for pid in (process.pid, *_children(process.pid)):
                # One that has just ended has no files any more.
                with contextlib.suppress(OSError, IndexError):
                    peaks[pid] = max(peaks.get(pid, 0), procfs.used(pid).peak_bytes)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        process.wait()
    finally:
        ended.set()
        watcher.join()
    own = peaks.pop(process.pid, 0)
    # Of what it has started, one after the other, the largest.
    return own + max(peaks.values(), default=0)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for file in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in file.read_text().split()]
    return found


@dataclass(frozen=True)
class _Server:
    url: str
    fingerprint: str
    executable: Path


def _ours(server: _Server, environment: Environment, folder: Path) -> Side:
    folder.mkdir()
    outputs = folder / "outputs"
    program = [environment.program("python"), "-c", PROGRAM, "run"]

    def back_up(source: Path) -> list[str]:
        arguments = ["--source=bench", f"--arg=includePath={source}"]
        return [*program, "BackupData", *arguments, f"--output-file={outputs}"]

    def restore(source: Path, target: Path) -> list[str]:
        snapshot = json.loads(outputs.read_text())["backupID"]
        paths = [f"--arg=backupPath={source}", f"--arg=restorePath={target}"]
        return [*program, "RestoreData", f"--arg=backupIdentifier={snapshot}", *paths]

    given = {
        "RSF_URL": server.url,
        "RSF_FINGERPRINT": server.fingerprint,
        "RSF_USERNAME": USER,
        "RSF_HOSTNAME": HOST,
        "RSF_KOPIA": str(server.executable),
        "KOPIA_PASSWORD": PASSWORD,
    }
    told = variables(dict(os.environ), environment) | given
    # As in the image, which has the bytecode.
    told.pop("PYTHONDONTWRITEBYTECODE", None)
    # Both sides meet a server that has had a client, as `repository connect` is one for the other.
    run([*program[:-1], "snapshots"], told)
    return Side(OURS, back_up, restore, told)


def _kopia(server: _Server, _environment: Environment, folder: Path) -> Side:
    folder.mkdir()
    given = _kopia_environment(folder, PASSWORD)
    kopia = [str(server.executable), "--log-level=error", "--no-auto-maintenance"]
    run(
        [
            *(*kopia, "repository", "connect", "server", f"--url={server.url}"),
            f"--server-cert-fingerprint={server.fingerprint}",
            *(f"--override-username={USER}", f"--override-hostname={HOST}"),
            f"--cache-directory={folder / 'cache'}",
        ],
        given,
    )

    def back_up(source: Path) -> list[str]:
        return [*kopia, "snapshot", "create", "--no-progress", str(source)]

    def restore(source: Path, target: Path) -> list[str]:
        # Nothing that the backup has left in the cache.
        shutil.rmtree(folder / "cache")
        return [*kopia, "snapshot", "restore", "--no-progress", str(source), str(target)]

    return Side(KOPIA, back_up, restore, given)


@contextlib.contextmanager
def _server(folder: Path, executable: Path) -> Iterator[_Server]:
    """Run a Kopia server with a new repository."""
    folder.mkdir()
    environment = _kopia_environment(folder, REPOSITORY_PASSWORD)
    kopia = [str(executable), "--disable-file-logging", "--no-auto-maintenance"]
    repository, cache = folder / "repository", folder / "cache"
    create = ["repository", "create", "filesystem", f"--path={repository}"]
    run([*kopia, *create, f"--cache-directory={cache}"], environment)
    # As a RepositoryServer has them: of a user in the repository each login takes 0.2 s of scrypt.
    users = folder / "users"
    users.write_text(users_file())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log_file = folder / "log"
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [
                *(*kopia, "server", "start", "--no-ui", f"--address=https://127.0.0.1:{port}"),
                *("--tls-generate-cert", f"--htpasswd-file={users}"),
            ],
            env=environment | {"KOPIA_SERVER_CONTROL_PASSWORD": PASSWORD},
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            waiting.until(
                lambda: _FINGERPRINT.search(log_file.read_text()) is not None and _answers(port),
                what="Kopia's server answers",
                timeout_seconds=START_SECONDS,
                log=log_file,
                alive=lambda: process.poll() is None,
            )
            (fingerprint,) = _FINGERPRINT.findall(log_file.read_text())
            yield _Server(f"https://127.0.0.1:{port}", fingerprint, executable)
        finally:
            process.terminate()
    shutil.rmtree(folder)


def users_file() -> str:
    """Return the user of the bench as Kopia's server reads it, see reconcilers/kopia/htpasswd."""
    salt = os.urandom(16)
    digest = hashlib.sha1(PASSWORD.encode() + salt, usedforsecurity=False).digest()
    return f"{USER}@{HOST}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n"


def _kopia_environment(folder: Path, password: str) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "PATH": os.environ["PATH"],
        "KOPIA_CONFIG_PATH": str(folder / "repository.config"),
        "KOPIA_LOG_DIR": str(folder / "logs"),
        "KOPIA_PASSWORD": password,
        "KOPIA_PERSIST_CREDENTIALS_ON_CONNECT": "false",
        "KOPIA_CHECK_FOR_UPDATES": "false",
    }


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False
