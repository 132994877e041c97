"""What a process has used, as the kernel counts it."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024
# Its ids in all process namespaces that it is in, the innermost last.
_FIRST = re.compile(r"^NSpid:.*\t1$", re.MULTILINE)
# Fields of /proc/PID/stat behind the name in parentheses, see proc(5): user and system time.
_USER, _SYSTEM = 11, 12


@dataclass(frozen=True)
class Used:
    """A process's use of the machine.

    Attributes:
        cpu_seconds: of all its threads so far.
        resident_bytes: memory that it has now.
        peak_bytes: the most that it ever had.
    """

    cpu_seconds: float
    resident_bytes: int
    peak_bytes: int


def used(pid: int, proc: Path = Path("/proc")) -> Used:
    """Return what a process has used."""
    fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    status = (proc / str(pid) / "status").read_text()
    return Used(
        cpu_seconds=(int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS,
        resident_bytes=_kib(status, "VmRSS") * _KIB,
        peak_bytes=_kib(status, "VmHWM") * _KIB,
    )


def first_process_of(container: str, proc: Path = Path("/proc")) -> int | None:
    """Return the process that a container was started with; None if there is none here.

    Args:
        container: its id, which its control group is named after.
        proc: where the kernel shows processes.
    """
    for process in proc.iterdir():
        if process.name.isdigit():
            # It may end while it is looked at.
            with contextlib.suppress(OSError):
                status = (process / "status").read_text()
                in_container = container in (process / "cgroup").read_text()
                if in_container and _FIRST.search(status):
                    return int(process.name)
    return None


def _kib(status: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0
