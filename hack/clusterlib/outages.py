"""Takes components of a running cluster away, and brings them back: for tests of what follows."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from clusterlib import controlplane, namespace, node, processes, waiting
from clusterlib.api import Api
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from clusterlib.components import Components
    from clusterlib.processes import Command
    from clusterlib.state import Record, State

END_SECONDS = 10.0
READY_SECONDS = 60.0

NO_NODE = "cluster {name} has no node; `hack/cluster up --name {name}` makes one that has"
NOT_RUNNING = "{component} of cluster {name} does not run"
NOT_TO_BE_STARTED = "{component} cannot be started again; these can: {known}"


class Outages:
    """The components of one cluster with a node, as things that can fail.

    Args:
        state: the cluster's files.
        components: where the programs are.

    Raises:
        ClusterError: there is no such cluster, or it has no node.
    """

    def __init__(self, state: State, components: Components) -> None:
        record = state.read_record()
        if record is None or not record.node:
            raise ClusterError(NO_NODE.format(name=state.name))
        self._state = state
        self._record: Record = record
        self._components = components

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
            ClusterError: it does not run.
        """
        self._send(component, signal.SIGKILL)
        directory = self._state.directory
        waiting.until(
            lambda: component not in processes.running_components(directory),
            what=f"{component} to end",
            timeout_seconds=END_SECONDS,
        )

    def start(self, component: str) -> None:
        """Start a component that was killed, as it was started before.

        Raises:
            ClusterError: it is none of those that can be.
        """
        commands = {command.name: command for command in self._commands()}
        if component not in commands:
            known = ", ".join(commands)
            raise ClusterError(NOT_TO_BE_STARTED.format(component=component, known=known))
        processes.start(
            commands[component],
            cluster=self._state.directory,
            logs=self._state.logs,
            prefix=namespace.enter(self._state),
        )

    def wait_for_api(self) -> None:
        """Wait until the API server is ready.

        Raises:
            ClusterError: it is not in time.
        """
        waiting.until(
            Api(self._state, self._record).is_ready,
            what="kube-apiserver to be ready",
            timeout_seconds=READY_SECONDS,
            log=self._state.logs / "kube-apiserver.log",
        )

    def _send(self, component: str, number: signal.Signals) -> None:
        if not processes.signal_component(self._state.directory, component, number):
            raise ClusterError(NOT_RUNNING.format(component=component, name=self._state.name))

    def _commands(self) -> list[Command]:
        addresses = self._record.layout
        return [
            controlplane.etcd(self._state, addresses, self._components),
            controlplane.kube_apiserver(self._state, self._record, self._components),
            controlplane.kube_controller_manager(self._state, addresses, self._components),
            controlplane.kube_scheduler(self._state, self._components),
            *node.agents(self._state, addresses, self._components),
        ]
