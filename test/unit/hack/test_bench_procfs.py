"""What the kernel says of a process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from benchlib import procfs

if TYPE_CHECKING:
    from pathlib import Path

# A process may call itself anything.
STAT = "12 (a) b) S 1 12 12 0 -1 4194304 9 0 0 0 {user} {system} 900 900 20 0 1 0 5 1 1\n"
STATUS = "Name:\ta) b\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"


def test_times_and_memory_are_read_from_their_fields(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    (tmp_path / "12").mkdir()
    (tmp_path / "12" / "stat").write_text(STAT.format(user=2 * ticks, system=ticks))
    (tmp_path / "12" / "status").write_text(STATUS)

    assert procfs.used(12, tmp_path) == procfs.Used(3.0, 1024 * 1024, 2048 * 1024)


def test_this_process_has_used_something() -> None:
    used = procfs.used(os.getpid())

    assert used.cpu_seconds > 0
    assert used.peak_bytes >= used.resident_bytes > 0


@pytest.mark.parametrize(
    ("processes", "found"),
    [
        pytest.param({"7": ("abc", "7\t1")}, 7, id="the first of its own namespace"),
        pytest.param(
            {"7": ("abc", "7\t9"), "8": ("abc", "8\t1")}, 8, id="not a command that a probe runs"
        ),
        pytest.param({"7": ("def", "7\t1")}, None, id="not that of another container"),
        pytest.param({"1": ("abc", "11")}, None, id="an id that only ends like the first"),
        pytest.param({"7": ("", "")}, None, id="not one that has ended meanwhile"),
        pytest.param({"self": ("abc", "7\t1")}, None, id="what is no process has no number"),
    ],
)
def test_the_process_that_a_container_was_started_with_is_found(
    tmp_path: Path, processes: dict[str, tuple[str, str]], found: int | None
) -> None:
    for name, (container, ids) in processes.items():
        (tmp_path / name).mkdir()
        if ids:
            (tmp_path / name / "cgroup").write_text(f"1:memory:/pods/pod-1/{container}\n")
            (tmp_path / name / "status").write_text(f"Name:\tkopia\nNSpid:\t{ids}\nNSsid:\t1\n")

    assert procfs.first_process_of("abc", tmp_path) == found
