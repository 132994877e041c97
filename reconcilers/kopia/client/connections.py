"""What a process has to do with others, as Linux shows it: its connection, and what it reads.

When its server has gone, Kopia reads all that it was told to back up to the end before it says so,
for hours maybe: its writes fail one by one, and are looked at last (repo/grpc_repository_client.go,
writeContentAsyncAndVerify). Its connection is closed at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")

_ESTABLISHED: Final = "01"
# Columns of /proc/PID/net/tcp (Linux Documentation/networking/proc_net_tcp.rst).
_REMOTE, _STATE, _INODE = 2, 3, 9


def is_connected(pid: int, port: int, proc: Path = PROC) -> bool | None:
    """Return whether a process has an open connection to a port of whatever host.

    Args:
        pid: The process.
        port: The other end's.
        proc: Where Linux shows its processes.

    Returns:
        None if that cannot be seen: the process is another user's, has ended, or there is no such
        folder.
    """
    try:
        links = list((proc / str(pid) / "fd").iterdir())
    except OSError:
        return None
    names = {_target(link) for link in links}
    tables = [_read(proc / str(pid) / "net" / table) for table in ("tcp", "tcp6")]
    if not any(tables):
        return None
    remote = f":{port:04X}"
    rows = [row.split() for table in tables for row in table.splitlines()[1:]]
    return any(
        row[_REMOTE].endswith(remote)
        and row[_STATE] == _ESTABLISHED
        and f"socket:[{row[_INODE]}]" in names
        for row in rows
        if len(row) > _INODE
    )


def transferred(pid: int, proc: Path = PROC) -> int | None:
    """Return how many bytes a process has read and written, in files and connections.

    Args:
        pid: The process.
        proc: Where Linux shows its processes.

    Returns:
        None if that cannot be seen.
    """
    try:
        lines = (proc / str(pid) / "io").read_text().splitlines()
        counts = {name: int(count) for name, _, count in (line.partition(": ") for line in lines)}
        return counts["rchar"] + counts["wchar"]
    except (OSError, ValueError, KeyError):
        return None


def _target(link: Path) -> str:
    """Return what a descriptor is; empty if it was closed meanwhile."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _read(table: Path) -> str:
    """Return a table of connections; empty if there is none, of IPv6 for example."""
    try:
        return table.read_text()
    except OSError:
        return ""
