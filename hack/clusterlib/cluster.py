"""Brings a cluster up and takes it down, step by step."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clusterlib import (
    addons,
    controlplane,
    images,
    layout,
    locks,
    namespace,
    node,
    paths,
    processes,
    waiting,
)
from clusterlib.api import Api
from clusterlib.errors import ClusterError
from clusterlib.installation import Installation, archives, plan
from clusterlib.progress import Progress
from clusterlib.state import Record, State, taken_slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from subprocess import Popen

    from clusterlib.components import Components
    from clusterlib.images import Image
    from clusterlib.processes import Command

APISERVER_TIMEOUT_SECONDS = 120.0

# In which what runs has to answer. One question that a busy machine answers late is no reason to
# make a cluster anew that somebody uses.
ANSWER_SECONDS = 30.0

# How many steps `_bring_up_control_plane` and `_bring_up_node` show.
CONTROL_PLANE_STEPS = 2
NODE_STEPS = 9

ROOT_NEEDED = "a cluster with a node needs root; `--control-plane-only` does not"
NO_SLOT = "all {slots} places for such clusters are taken; `hack/cluster down --name NAME` one"
OTHER_KIND = "cluster {name} exists and is of the other kind; take another --name, or `down` first"

NOT_WELL = "{line.name}: {line.words}; `hack/cluster up --name {name}` again begins anew"


@dataclass(frozen=True)
class ComponentStatus:
    """One line of `hack/cluster status`.

    Attributes:
        name: the component.
        ok: whether it runs, or is ready.
        words: what was found.
    """

    name: str
    ok: bool
    words: str


class Cluster:
    """One cluster of this machine.

    Args:
        state: its files.
        components: the programs and packages that it is made of.
    """

    def __init__(self, state: State, components: Components) -> None:
        self._state = state
        self._components = components

    def up(self, *, with_node: bool, audit: bool = False, audited_user: str = "") -> None:
        """Bring the cluster up; do nothing if it already is.

        Args:
            with_node: whether it has a node, or is a control plane only.
            audit: whether its API server logs the requests; a cluster that is up stays as it is.
            audited_user: whose requests alone are logged; empty for all.

        Raises:
            ClusterError: a step failed. What runs is left for a look at it; the next `up` or
                `down` clears it.
        """
        if with_node and os.geteuid() != 0:
            raise ClusterError(ROOT_NEEDED)
        with locks.exclusive(self._state.lock):
            record = self._state.read_record()
            if record is not None and self._fault(record) is None:
                if record.node != with_node:
                    raise ClusterError(OTHER_KIND.format(name=self._state.name))
                return
            missing = installation(self._components, with_node=with_node)
            steps = NODE_STEPS if with_node else CONTROL_PLANE_STEPS
            progress = Progress(missing.steps + steps)
            missing.carry_out(progress)
            self._clear()
            record = self._claim_slot(with_node=with_node, audit=audit, audited_user=audited_user)
            if with_node:
                self._bring_up_node(record, progress)
            else:
                self._bring_up_control_plane(record, progress)
            self._check(record)

    def down(self) -> None:
        """Take the cluster down and delete everything of it; do nothing if nothing is there."""
        with locks.exclusive(self._state.lock):
            self._clear()

    def status(self) -> list[ComponentStatus]:
        """Return what runs and what is ready; nothing if there is no such cluster."""
        record = self._state.read_record()
        if record is None:
            return []
        lines = self._components_of(record)
        api = Api(self._state, record)
        ready = {"kube-apiserver ready": api.is_ready}
        if record.node:
            ready |= {
                "node ready": lambda: node.is_ready(self._state, api),
                "NetworkPolicies enforced": lambda: node.policies_are_enforced(self._state),
                "cluster DNS answers": lambda: addons.dns_is_ready(record.layout),
            }
        for name, condition in ready.items():
            ok = condition()
            lines.append(ComponentStatus(name, ok, "yes" if ok else "no"))
        return lines

    def _components_of(self, record: Record) -> list[ComponentStatus]:
        found = processes.running_components(self._state.directory)
        return [
            ComponentStatus(name, name in found, "runs" if name in found else "does not run")
            for name in component_names(with_node=record.node)
        ]

    def _fault(self, record: Record) -> ComponentStatus | None:
        """Return what is not as it should be; what runs is given time to answer."""
        try:
            waiting.until(
                lambda: all(line.ok for line in self.status()),
                what="the cluster to answer",
                timeout_seconds=ANSWER_SECONDS,
                alive=lambda: all(line.ok for line in self._components_of(record)),
            )
        except ClusterError:
            return next((line for line in self.status() if not line.ok), None)
        return None

    def _check(self, record: Record) -> None:
        """Notice a component that started and ended."""
        line = self._fault(record)
        if line is not None:
            log = self._state.logs / f"{line.name}.log"
            raise ClusterError(NOT_WELL.format(line=line, name=self._state.name), log)

    def _clear(self) -> None:
        """Remove what there is of the cluster: running, crashed or half-made."""
        processes.kill_all(self._state.directory)
        namespace.remove(self._state)
        self._state.remove()

    def _claim_slot(self, *, with_node: bool, audit: bool, audited_user: str) -> Record:
        with locks.exclusive(paths.cache() / "locks" / "slots"):
            slots = layout.NODE_SLOTS if with_node else layout.CONTROL_PLANE_SLOTS
            taken = taken_slots(node=with_node)
            while (slot := layout.free_slot(slots, taken)) is not None:
                record = Record(with_node, slot, audit, audited_user)
                # Whoever has them: a slot that others use in part is none of ours.
                if not namespace.has_link(record) if with_node else _ports_are_free(record.layout):
                    self._state.write_record(record)
                    return record
                taken.add(slot)
            raise ClusterError(NO_SLOT.format(slots=slots))

    def _bring_up_control_plane(self, record: Record, progress: Progress) -> None:
        with progress.step("making certificates"):
            controlplane.make_credentials(self._state, record.layout)
        self._start_storage_and_api(record, progress, prefix=[])

    def _bring_up_node(self, record: Record, progress: Progress) -> None:
        state, addresses, components = self._state, record.layout, self._components
        with progress.step("making certificates"):
            controlplane.make_credentials(state, addresses)
        with progress.step("making the node's namespaces and its network link"):
            prefix = namespace.create(state, record)
        self._start_storage_and_api(record, progress, prefix)
        api = Api(state, record)
        with progress.step("starting the controllers and the scheduler"):
            self._start(
                [
                    controlplane.kube_controller_manager(state, addresses, components),
                    controlplane.kube_scheduler(state, components),
                ],
                prefix,
            )
        with progress.step("starting containerd and loading images"):
            self._start([node.containerd(state, components)], prefix)
            node.wait_for_containerd(state, prefix)
            for name, archive in archives(images.INFRASTRUCTURE, components).items():
                images.load(name, archive, state)
        with progress.step("starting kubelet and kube-proxy"):
            node.write_configuration(state, addresses)
            self._start(node.agents(state, addresses, components), prefix)
        with progress.step("waiting for the node to be ready"):
            node.wait_until_ready(state, api)
        with progress.step("starting kube-router"):
            self._start([node.policy_agent(state, addresses, components)], prefix)
            node.wait_for_policies(state)
        with progress.step("waiting for the cluster's DNS"):
            addons.apply_dns(state, addresses, components)
            addons.wait_for_dns(state, addresses)

    def _start_storage_and_api(self, record: Record, progress: Progress, prefix: list[str]) -> None:
        state, addresses, components = self._state, record.layout, self._components
        etcd = controlplane.etcd(state, addresses, components)
        apiserver = controlplane.kube_apiserver(state, record, components)
        with progress.step("starting etcd and kube-apiserver"):
            # kube-apiserver waits for etcd by itself.
            started = self._start([etcd, apiserver], prefix)
            waiting.until(
                Api(state, record).is_ready,
                what="kube-apiserver to be ready",
                timeout_seconds=APISERVER_TIMEOUT_SECONDS,
                log=state.logs / "kube-apiserver.log",
                alive=lambda: all(process.poll() is None for process in started),
            )

    def _start(self, commands: list[Command], prefix: list[str]) -> list[Popen[bytes]]:
        return [
            processes.start(
                command, cluster=self._state.directory, logs=self._state.logs, prefix=prefix
            )
            for command in commands
        ]


def component_names(*, with_node: bool) -> list[str]:
    """Return the components that a cluster runs as processes."""
    names = [*controlplane.STORAGE_AND_API]
    return [*names, *controlplane.CONTROLLERS, *node.AGENTS] if with_node else names


def programs(*, with_node: bool) -> list[str]:
    """Return the programs to build for a cluster, in the order in which they are wanted."""
    names = [*controlplane.STORAGE_AND_API, "kubectl"]
    if with_node:
        names += [*controlplane.CONTROLLERS, *node.BUILT_AGENTS]
    return names


def installation(components: Components, *, with_node: bool) -> Installation:
    """Return what is missing on this machine for a cluster."""
    return plan(
        components,
        packages_for=["control-plane", "node"] if with_node else ["control-plane"],
        programs=programs(with_node=with_node),
        wanted_images=images.INFRASTRUCTURE if with_node else (),
    )


def build_images(wanted: Sequence[Image], components: Components) -> dict[str, Path]:
    """Build images, with what they need, if the cache does not hold them.

    Returns:
        The archive of each wanted image, by the image's reference.

    Raises:
        ClusterError: a package could not be installed or a build failed.
    """
    missing = plan(components, wanted_images=wanted)
    missing.carry_out(Progress(missing.steps))
    return archives(wanted, components)


def _ports_are_free(addresses: layout.Layout) -> bool:
    for port in layout.ports(addresses):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((str(addresses.node), port))
            except OSError:
                return False
    return True
