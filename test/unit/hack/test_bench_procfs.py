"""What the kernel says of a process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
