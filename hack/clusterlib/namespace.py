"""The namespaces and control groups that a node lives in, and its link to the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import processes, waiting
from clusterlib.errors import ClusterError
from clusterlib.processes import Command, run

if TYPE_CHECKING:
    from clusterlib.state import Record, State

INIT = "node"
NODE_DEVICE = "eth0"
CREATE_TIMEOUT_SECONDS = 60.0
REMOVE_TIMEOUT_SECONDS = 60.0

NOT_HANDED_DOWN = (
    "the controller {} of the control group {} cannot be used by groups below it: {}; "
    "a container needs a control group namespace whose root holds no process"
)
NOT_RUNNING = "cluster {name} has no running node; `hack/cluster up --name {name}` makes one"

_GROUPS = Path("/sys/fs/cgroup")
_PROJECT = "repository-server-controller"


def create(state: State, record: Record) -> list[str]:
    """Make the node's namespaces, control groups and link.

    Returns:
        The command that runs another one inside the node: `enter`.
    """
    (state.directory / "node").mkdir()
    _create_groups(state)
    command = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child"]
    command += ["--propagation", "slave", sys.executable]
    command += [str(Path(__file__).with_name("node_init.py")), str(state.directory)]
    init = processes.start(Command(INIT, command), cluster=state.directory, logs=state.logs)
    waiting.until(
        (state.directory / "node" / "ready").exists,
        what="the node's first process",
        timeout_seconds=CREATE_TIMEOUT_SECONDS,
        log=state.logs / f"{INIT}.log",
        alive=lambda: init.poll() is None,
    )
    _create_link(state, record)
    return enter(state)


def enter(state: State) -> list[str]:
    """Return the command that runs another one inside the node.

    Raises:
        ClusterError: the node does not run.
    """
    pid = _init_pid(state)
    if pid is None:
        raise ClusterError(NOT_RUNNING.format(name=state.name))
    # --root: the root that process 1 sees, should this machine itself be a directory of another.
    return ["nsenter", f"--target={pid}", "--mount", "--root", "--net", "--pid", "--uts", "--"]


def remove(state: State) -> None:
    """Remove what outlives the node's processes, once these are killed; nothing if none is left.

    Raises:
        ClusterError: a control group still has processes.
    """
    waiting.until(
        lambda: _remove_groups(state),
        what="the containers to end and the control groups to be free",
        timeout_seconds=REMOVE_TIMEOUT_SECONDS,
    )
    waiting.until(
        lambda: _remove_links(state),
        what="the node's network link to be removed",
        timeout_seconds=REMOVE_TIMEOUT_SECONDS,
    )


def host_device(record: Record) -> str:
    """Return the name of the machine's end of the link."""
    return f"reposerver{record.slot}"


def has_link(record: Record) -> bool:
    """Tell whether the machine has a link of the record's slot."""
    return (Path("/sys/class/net") / host_device(record)).exists()


def group_of(state: State) -> str:
    """Return the node's control group, as a path below each hierarchy."""
    return f"/{_PROJECT}/{state.name}"


def _create_link(state: State, record: Record) -> None:
    addresses, device, pid = record.layout, host_device(record), _init_pid(state)
    length = addresses.link_prefix
    inside = [*enter(state), "ip"]
    other_end = ["type", "veth", "peer", "name", NODE_DEVICE, "netns", str(pid)]
    for command in (
        ["ip", "link", "add", device, *other_end],
        ["ip", "link", "set", device, "alias", _alias(state)],
        ["ip", "address", "add", f"{addresses.host}/{length}", "dev", device],
        ["ip", "link", "set", device, "up"],
        [*inside, "address", "add", f"{addresses.node}/{length}", "dev", NODE_DEVICE],
        [*inside, "link", "set", NODE_DEVICE, "up"],
        [*inside, "route", "add", "default", "via", str(addresses.host)],
        # From the machine, pods and Services are reached as from inside.
        ["ip", "route", "add", str(addresses.pods), "via", str(addresses.node)],
        ["ip", "route", "add", str(addresses.services), "via", str(addresses.node)],
    ):
        run(command, what="making the node's network link")


def _alias(state: State) -> str:
    """Return the words by which the machine's end of the link is recognised as this cluster's."""
    return f"{_PROJECT} cluster {state.name}"


def _remove_links(state: State) -> bool:
    """Remove the cluster's links; tell whether there was none left.

    The kernel takes the link by itself, possibly right now, but only when the last connection in
    the node's network namespace has timed out.
    """
    found = False
    for device in Path("/sys/class/net").iterdir():
        try:
            alias = (device / "ifalias").read_text().strip()
        except OSError:
            continue  # gone meanwhile, or no device but a file
        if alias == _alias(state):
            found = True
            processes.succeeds(["ip", "link", "delete", device.name])
    return not found


def _init_pid(state: State) -> int | None:
    """Return the process id, seen from here, of the node's process 1."""
    for pid, component in processes.running(state.directory).items():
        if component == INIT and processes.id_in_own_namespace(pid) == 1:
            return pid
    return None


def _hierarchies() -> list[Path]:
    """Return the mounted hierarchies of control groups: one in version 2, several in version 1."""
    if (_GROUPS / "cgroup.controllers").exists():
        return [_GROUPS]
    mounted = {path.resolve() for path in _GROUPS.iterdir()}
    return sorted(path for path in mounted if (path / "cgroup.procs").exists())


def _create_groups(state: State) -> None:
    for hierarchy in _hierarchies():
        group = hierarchy
        for name in group_of(state).strip("/").split("/"):
            _hand_down(group)
            group = group / name
            group.mkdir(exist_ok=True)
            # In version 1, a new group of the cpuset hierarchy has neither CPUs nor memory.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (group / setting).exists() and hierarchy != _GROUPS:
                    (group / setting).write_text((group.parent / setting).read_text())


def _hand_down(group: Path) -> None:
    """In version 2, let the groups below use all controllers of this one."""
    available = group / "cgroup.controllers"
    if group.is_relative_to(_GROUPS / "unified") or not available.exists():
        return
    for controller in available.read_text().split():
        try:
            (group / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            raise ClusterError(NOT_HANDED_DOWN.format(controller, group, error)) from error


def _remove_groups(state: State) -> bool:
    """Remove the node's control groups, deepest first; tell whether all are gone."""
    for hierarchy in _hierarchies():
        project = hierarchy / _PROJECT
        group = project / state.name
        for directory, _, _ in os.walk(group, topdown=False):
            try:
                Path(directory).rmdir()
            except OSError:
                return False  # a process in it is still ending
        try:
            project.rmdir()
        except OSError:
            continue  # not there, or another cluster's groups are in it
    return True
