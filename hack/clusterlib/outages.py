"""Takes components of a running cluster away, and brings them back: for tests of what follows."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterlib import controlplane, etcd, namespace, node, processes, waiting
from clusterlib.api import Api
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

    from clusterlib.components import Components
    from clusterlib.processes import Command
    from clusterlib.state import Record, State

READY_SECONDS = 120.0

NO_CLUSTER = "there is no cluster {name}; `hack/cluster up --name {name}` makes one"
NOT_RUNNING = "{component} of cluster {name} does not run"
CUTTING_OFF = "dropping the packets of a pod"
NOT_TO_BE_STARTED = "{component} cannot be started again; these can: {known}"


class Outages:
    """The components of one cluster, as things that can fail.

    Args:
        state: the cluster's files.
        components: where the programs are.

    Raises:
        ClusterError: there is no such cluster.
    """

    def __init__(self, state: State, components: Components) -> None:
        record = state.read_record()
        if record is None:
            raise ClusterError(NO_CLUSTER.format(name=state.name))
        self._state = state
        self._record: Record = record
        self._components = components

    @property
    def kubeconfig(self) -> Path:
        """Its administrator's kubeconfig."""
        return self._state.kubeconfig

    def pause(self, component: str) -> None:
        """Let a component do nothing more, with its connections left open.

        Raises:
            ClusterError: it does not run.
        """
        self._send(component, signal.SIGSTOP)

    def resume(self, component: str) -> None:
        """Let a paused component go on.

        Raises:
            ClusterError: it does not run.
        """
        self._send(component, signal.SIGCONT)

    def kill(self, component: str) -> None:
        """Kill a component, and return when it has ended.

        Raises:
            ClusterError: it does not run, or does not end.
        """
        if not processes.kill_component(self._state.directory, component):
            raise ClusterError(NOT_RUNNING.format(component=component, name=self._state.name))

    def start(self, component: str, *flags: str) -> None:
        """Start a component that was killed, as it was started before.

        Args:
            component: its name.
            flags: further arguments for it.

        Raises:
            ClusterError: it is none of those that can be.
        """
        commands = {command.name: command for command in self._commands()}
        if component not in commands:
            known = ", ".join(commands)
            raise ClusterError(NOT_TO_BE_STARTED.format(component=component, known=known))
        command = commands[component]
        processes.start(
            replace(command, arguments=[*command.arguments, *flags]),
            cluster=self._state.directory,
            logs=self._state.logs,
            prefix=namespace.enter(self._state) if self._record.node else (),
        )

    def wait_for_api(self) -> None:
        """Wait until the API server is ready.

        Raises:
            ClusterError: it is not in time, or does not run.
        """
        waiting.until(
            Api(self._state, self._record).is_ready,
            what="kube-apiserver to be ready",
            timeout_seconds=READY_SECONDS,
            log=self._state.logs / "kube-apiserver.log",
            alive=lambda: "kube-apiserver" in processes.running_components(self._state.directory),
        )

    def cut_off(self, address: str) -> None:
        """Drop all packets between a pod and the API server; what was connected is half-open.

        Args:
            address: the pod's.

        Raises:
            ClusterError: there is no node.
        """
        self._filter("--insert", address)

    def reconnect(self, address: str) -> None:
        """Let the packets of a pod that was cut off through again.

        Raises:
            ClusterError: it was not cut off.
        """
        self._filter("--delete", address)

    def _filter(self, change: str, address: str) -> None:
        # Not in the table `filter`: kube-router reads that and writes it back, and a rule that was
        # made in between is lost.
        iptables = ["iptables", "--wait", "--table", "mangle", change]
        command = [*namespace.enter(self._state), *iptables]
        port = str(self._record.layout.api_port)
        for rule in (
            ["INPUT", "--source", address, "--protocol", "tcp", "--dport", port],
            ["OUTPUT", "--destination", address, "--protocol", "tcp", "--sport", port],
        ):
            processes.run([*command, *rule, "--jump", "DROP"], what=CUTTING_OFF)

    def compact_etcd(self) -> int:
        """Have etcd forget all versions before its newest, and return that.

        Raises:
            ClusterError: it does not answer, or refuses.
        """
        return etcd.compact(self._state, self._record)

    def _send(self, component: str, number: signal.Signals) -> None:
        if not processes.signal_component(self._state.directory, component, number):
            raise ClusterError(NOT_RUNNING.format(component=component, name=self._state.name))

    def _commands(self) -> list[Command]:
        addresses = self._record.layout
        storage_and_api = [
            controlplane.etcd(self._state, addresses, self._components),
            controlplane.kube_apiserver(self._state, self._record, self._components),
        ]
        if not self._record.node:
            return storage_and_api
        return [
            *storage_and_api,
            controlplane.kube_controller_manager(self._state, addresses, self._components),
            controlplane.kube_scheduler(self._state, self._components),
            *node.agents(self._state, addresses, self._components),
        ]
