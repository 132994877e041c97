"""What is said of a backup's cost, and how it is measured, in small."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchlib import backup, procfs
from benchlib.backup import KOPIA, MIB, OURS, Measured
from clusterlib.errors import ClusterError
from reconcilers.kopia import htpasswd

if TYPE_CHECKING:
    from pathlib import Path

STEPS = ("backup", "changed", "restore")


def round_(*seconds: float, megabytes: int) -> dict[str, Measured]:
    return {step: Measured(one, megabytes * MIB) for step, one in zip(STEPS, seconds, strict=True)}


FOUND = {
    OURS: [round_(10.2, 1.4, 5.1, megabytes=150), round_(10.4, 1.5, 5.2, megabytes=160)],
    KOPIA: [round_(10.0, 1.0, 5.0, megabytes=100), round_(10.0, 1.2, 5.0, megabytes=110)],
}


def test_the_figures_are_medians_beside_each_other() -> None:
    assert backup.figures(FOUND) == {
        "backup_ratio": 1.03,
        "restore_ratio": 1.03,
        "changed_more_seconds": 0.35,
        "more_megabytes": 50.0,
    }


def test_each_round_has_a_column() -> None:
    assert backup.table(FOUND).splitlines()[1].split()[-4:] == ["10.20", "10.40", "10.00", "10.00"]


@pytest.mark.parametrize(
    ("change", "too_slow"),
    [
        pytest.param({}, False, id="within all limits"),
        pytest.param({"backup_ratio": 1.06}, True, id="a backup that takes too long"),
        pytest.param({"restore_ratio": 1.06}, True, id="a restore that takes too long"),
        pytest.param({"changed_more_seconds": 0.51}, True, id="a start that takes too long"),
        pytest.param({"more_megabytes": 61.0}, True, id="too much memory"),
    ],
)
def test_what_is_too_much(change: dict[str, Any], too_slow: bool) -> None:
    assert backup.too_slow(backup.figures(FOUND) | change) is too_slow


def test_the_files_are_of_one_size_and_few_change(tmp_path: Path) -> None:
    backup.write_files(tmp_path, files=200, megabytes=1)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.bin")}

    backup.change_files(tmp_path)

    changed = [file for file, content in before.items() if file.read_bytes() != content]
    assert (len(before), len(changed)) == (200, 2)
    assert {len(content) for content in before.values()} == {MIB // 200}


def test_the_server_has_its_user_in_a_file_as_those_of_the_controller() -> None:
    ((user, hash_),) = htpasswd.entries(backup.users_file()).items()

    assert user == f"{backup.USER}@{backup.HOST}"
    assert htpasswd.verify(backup.PASSWORD, hash_)


def test_the_memory_of_what_a_program_starts_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, look = tmp_path / "seen", procfs.used
    # What has grown ends once somebody has seen that.
    wait = f"while not os.path.exists({str(seen)!r}): time.sleep(0.01)\ntime.sleep(0.3)"
    grown = f"import os, time\nx = b'1' * (60 << 20)\n{wait}"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grown!r}])"

    def used(pid: int) -> procfs.Used:
        found = look(pid)
        if found.peak_bytes > 60 * MIB:
            seen.touch()
        return found

    monkeypatch.setattr(procfs, "used", used)

    measured = backup.run([sys.executable, "-c", script], {})

    assert measured.peak_bytes > 60 * MIB
    assert measured.seconds > 0.3


def test_a_command_that_fails_ends_the_measurement_with_what_it_said() -> None:
    with pytest.raises(ClusterError, match="no space"):
        backup.run(["sh", "-c", "echo no space >&2; exit 1"], {"PATH": "/usr/bin:/bin"})
