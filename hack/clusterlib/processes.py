"""Starts the cluster's processes, finds them again and ends them, and never anybody else's.

Processes are found by a mark in their environment, not by recorded process ids: after a crash or
a reboot a recorded id can belong to a stranger, while the mark is only on what was started here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import waiting
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CLUSTER_MARK = "REPOSITORY_SERVER_CLUSTER"
COMPONENT_MARK = "REPOSITORY_SERVER_CLUSTER_COMPONENT"
PROC = Path("/proc")
# As where an init system starts them. What a container's user may read must not depend on ours.
UMASK = 0o022
KILL_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Command:
    """One component to run.

    Attributes:
        name: the component: "kube-apiserver". Names the log file too.
        arguments: the program, absolute, and its arguments.
        environment: further variables, such as what must not be seen among the arguments.
        nice: how far it stands back where CPUs are busy, with all that it starts; as nice(1).
    """

    name: str
    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    nice: int = 0


def start(
    command: Command, *, cluster: Path, logs: Path, prefix: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a component in the background, in a session of its own, with its output in a file.

    Args:
        command: what to run.
        cluster: the cluster's state directory: the mark by which the process is found again.
        logs: the directory for `NAME.log`.
        prefix: a command that runs the component, such as nsenter with its options.

    Returns:
        The process, for asking whether it still runs; it outlives this one.
    """
    marks = {CLUSTER_MARK: str(cluster), COMPONENT_MARK: command.name}
    # The components only talk to each other.
    environment = {**without_proxies(os.environ), **command.environment, **marks}
    with (logs / f"{command.name}.log").open("ab") as log:
        process = subprocess.Popen(
            [*prefix, *command.arguments],
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=UMASK,
        )
    if command.nice:
        _stand_back(process.pid, command.nice)
    return process


def without_proxies(variables: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without its proxy settings, for who talks to this machine only."""
    return {name: value for name, value in variables.items() if not name.lower().endswith("_proxy")}


def _stand_back(session: int, nice: int) -> None:
    os.setpriority(os.PRIO_PGRP, session, nice)
    # Where the kernel shares its CPUs among sessions it asks a session for its own.
    group = PROC / str(session) / "autogroup"
    if group.exists():
        group.write_text(str(nice))


def running(cluster: Path) -> dict[int, str]:
    """Return the component's name for each process id that carries the cluster's mark."""
    found = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            component = _component_of(int(entry.name), cluster)
            if component is not None:
                found[int(entry.name)] = component
    return found


def running_components(cluster: Path) -> dict[str, int]:
    """Return the process id of each component that runs, by its name.

    A mark alone does not tell: containerd's children inherit its mark and survive it. What was
    started here leads a session.
    """
    return {name: pid for pid, name in running(cluster).items() if _leads_session(pid)}


def kill_all(cluster: Path) -> int:
    """Kill every process that carries the cluster's mark and wait until none is left.

    Returns:
        How many were killed.

    Raises:
        ClusterError: some did not end.
    """
    killed = 0
    # Once more for what the killed ones started meanwhile.
    while found := running(cluster):
        killed += _kill(cluster, found)
    return killed


def kill_component(cluster: Path, name: str) -> int:
    """Kill the processes of one component, its children among them, and wait for their end.

    Returns:
        How many there were.

    Raises:
        ClusterError: some did not end.
    """
    return _kill(cluster, _processes_of(cluster, name))


def signal_component(cluster: Path, name: str, number: signal.Signals) -> int:
    """Send a signal to the processes of one component, its children among them.

    Returns:
        How many there were.
    """
    sent = 0
    for pid in _processes_of(cluster, name):
        with _handle(pid, cluster) as handle:
            sent += handle is not None and _send(handle, number)
    return sent


def id_in_own_namespace(pid: int) -> int | None:
    """Return the id that a process has in its own process namespace, None if it has ended."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return None
    ids = next(line for line in status.splitlines() if line.startswith("NSpid:"))
    return int(ids.split()[-1])


def _leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _component_of(pid: int, cluster: Path) -> str | None:
    try:
        environment = _environment_of(PROC / str(pid)).split(b"\0")
    except OSError:
        return None  # ended meanwhile, or another user's
    if f"{CLUSTER_MARK}={cluster}".encode() not in environment:
        return None
    mark = f"{COMPONENT_MARK}=".encode()
    names = [entry[len(mark) :].decode() for entry in environment if entry.startswith(mark)]
    return names[0] if names else ""


def _environment_of(process: Path) -> bytes:
    """Return a process's environment; empty for a zombie, which has nothing left to kill.

    One that executes a program shows none until the program is loaded, and Popen returns before
    that: what was just started would not be found.
    """
    environment = process / "environ"
    if content := environment.read_bytes():
        return content
    while _executes(process):
        os.sched_yield()
    return environment.read_bytes()


def _executes(process: Path) -> bool:
    """Tell whether a process has memory, as no zombie has, but no place for its environment yet."""
    # Fields 23 and 51 of proc(5), behind the program's name, which may hold anything.
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    memory, environment_end = fields[20], fields[48]
    return memory != "0" and environment_end == "0"


def _processes_of(cluster: Path, name: str) -> list[int]:
    return [pid for pid, component in running(cluster).items() if component == name]


def _kill(cluster: Path, pids: Iterable[int]) -> int:
    """Kill processes and wait until they have ended; return how many there still were."""
    with contextlib.ExitStack() as stack:
        handles = [stack.enter_context(_handle(pid, cluster)) for pid in pids]
        killed = [handle for handle in handles if handle is not None and _send(handle)]
        waiting.until(
            lambda: all(map(_has_ended, killed)),
            what="the processes to end",
            timeout_seconds=KILL_TIMEOUT_SECONDS,
        )
        return len(killed)


@contextlib.contextmanager
def _handle(pid: int, cluster: Path) -> Iterator[int | None]:
    """Give a handle of the process, None if it no longer is the one that carried the mark."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        # The handle stays with this very process. If the mark is still seen now, then the handle
        # was opened on a marked process, and the id cannot have passed to a stranger in between.
        yield handle if _component_of(pid, cluster) is not None else None
    finally:
        os.close(handle)


def _send(handle: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal and tell whether the process was still there."""
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    return True


def _has_ended(handle: int) -> bool:
    """Tell whether all threads of the process have ended, and so have closed its sockets.

    The process's files under /proc are empty before that: as soon as its first thread has ended.
    """
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(0))


def run(
    arguments: Sequence[str],
    *,
    what: str,
    text: str | None = None,
    log: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end and return what it printed.

    Args:
        arguments: the program and its arguments.
        what: what it does, for the error: "making the CA".
        text: given to it on standard input.
        log: shown with the error.
        environment: its variables; ours for None.

    Raises:
        ClusterError: the command failed; the message has the end of what it printed.
    """
    result = subprocess.run(
        list(arguments), input=text, capture_output=True, text=True, check=False, env=environment
    )
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip()[-800:]
        raise ClusterError(f"{what}: `{arguments[0]}` failed: {said}", log)
    return result.stdout


def logged(
    arguments: Sequence[str],
    *,
    what: str,
    log: Path,
    text: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a command that may take long to its end, and add what it says to a log.

    Args:
        arguments: the program and its arguments.
        what: what it does, for the error.
        log: the file, shown with the error.
        text: given to it on standard input.
        environment: its variables; ours for None.
        folder: where it runs; ours for None.

    Raises:
        ClusterError: the command failed.
    """
    with log.open("a") as output:
        output.write(f"$ {' '.join(arguments)}\n")
        output.flush()
        result = subprocess.run(
            list(arguments),
            input=text,
            text=True,
            stdout=output,
            stderr=output,
            check=False,
            umask=UMASK,
            env=environment,
            cwd=folder,
        )
    if result.returncode != 0:
        raise ClusterError(f"{what} failed", log)


def succeeds(arguments: Sequence[str]) -> bool:
    """Run a command, hide what it prints, and tell whether it succeeded."""
    return subprocess.run(list(arguments), capture_output=True, check=False).returncode == 0
