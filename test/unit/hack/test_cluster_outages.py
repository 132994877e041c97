"""Components of a cluster that fail on request; nobody else's do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clusterlib import components, namespace, processes, waiting
from clusterlib.errors import ClusterError
from clusterlib.outages import Outages
from clusterlib.processes import Command
from clusterlib.state import Record, State

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("own_directories")

SLEEP = ["/bin/sleep", "60"]


@pytest.fixture
def state() -> Iterator[State]:
    """Give a cluster with a node, of which nothing runs."""
    made = State("one")
    made.write_record(Record(node=True, slot=3))
    yield made
    processes.kill_all(made.directory)


@pytest.fixture
def kubelet(state: State) -> subprocess.Popen[bytes]:
    return processes.start(Command("kubelet", SLEEP), cluster=state.directory, logs=state.logs)


def run_state(process: subprocess.Popen[bytes]) -> str:
    """Return the letter that the kernel has for what a process does, see proc(5)."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0]


def wait_for(process: subprocess.Popen[bytes], letter: str) -> None:
    waiting.until(lambda: run_state(process) == letter, what=f"state {letter}", timeout_seconds=30)


def test_a_paused_component_goes_on_when_it_is_told_to(
    state: State, kubelet: subprocess.Popen[bytes]
) -> None:
    outages = Outages(state, components.load())

    outages.pause("kubelet")
    wait_for(kubelet, "T")
    outages.resume("kubelet")
    wait_for(kubelet, "S")


def test_a_killed_component_has_ended(state: State, kubelet: subprocess.Popen[bytes]) -> None:
    Outages(state, components.load()).kill("kubelet")

    assert kubelet.wait(timeout=30) == -signal.SIGKILL


def test_what_does_not_run_cannot_be_paused(state: State) -> None:
    with pytest.raises(ClusterError, match="kubelet of cluster one does not run"):
        Outages(state, components.load()).pause("kubelet")


def test_only_a_cluster_that_is_there_has_components_that_fail() -> None:
    with pytest.raises(ClusterError, match="there is no cluster two"):
        Outages(State("two"), components.load())


def test_a_cluster_without_a_node_has_a_control_plane_that_can_be_started() -> None:
    State("two").write_record(Record(node=False, slot=3))

    with pytest.raises(ClusterError, match=r"these can: etcd, kube-apiserver$"):
        Outages(State("two"), components.load()).start("kubelet")


def test_a_pod_that_is_cut_off_is_let_through_again_by_the_same_rules(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], *, what: str) -> None:
        assert what
        ran.append(command)

    monkeypatch.setattr(namespace, "enter", lambda _state: ["enter"])
    monkeypatch.setattr(processes, "run", run)
    outages = Outages(state, components.load())

    outages.cut_off("198.18.96.4")
    outages.reconnect("198.18.96.4")

    port = str(Record(node=True, slot=3).layout.api_port)
    to = f"INPUT --source 198.18.96.4 --protocol tcp --dport {port} --jump DROP"
    back = f"OUTPUT --destination 198.18.96.4 --protocol tcp --sport {port} --jump DROP"
    assert [" ".join(command) for command in ran] == [
        f"enter iptables --wait --table mangle {change} {rule}"
        for change in ("--insert", "--delete")
        for rule in (to, back)
    ]
