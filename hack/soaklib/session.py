"""One soak: makes the servers, breaks things one after the other, and looks at what is left.

Run by `hack/soak` in the environment of the tests.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

from clusterlib import components
from clusterlib.errors import ClusterError
from clusterlib.outages import Outages
from clusterlib.state import State
from controller.errors import ClientError
from controller.rest.kubeconfig import load_api_client
from e2e import cluster as clusters
from e2e import outages
from e2e.backup_client import Client
from e2e.cluster import CLIENTS, NAMESPACE, NAMESPACES
from e2e.installation import Controller
from e2e.node import Node
from e2e.server import MAY_CONNECT, Server, condition, is_ready
from e2e.stores import ObjectStores
from e2e.waiting import CLOCK, wait_for
from e2e.witness import Witness
from reconcilers import resources
from soaklib import plan, report
from soaklib.clients import BackupLoop, in_parallel
from soaklib.memory import Sample
from soaklib.report import Outcome, Recovery
from soaklib.scene import Scene
from testlib import cluster as variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from controller.resource import Object, Resource
    from e2e.cluster import Cluster
    from soaklib.faults import Fault

# A server that is not of use by then does not recover by itself.
RECOVERY_SECONDS = 300.0

# What making or mending a fault, or a look at the cluster, may end with.
TROUBLES = (AssertionError, ClientError, ClusterError, subprocess.TimeoutExpired)

# What a server that is at work has, by the field of its status.
CHILDREN: dict[str, Resource] = {
    "podName": resources.PODS,
    "serviceName": resources.SERVICES,
    "networkPolicyName": resources.NETWORK_POLICIES,
}


@define
class Soak:
    """The servers, their clients, and what was seen.

    Attributes:
        scene: What can be broken.
        loops: The clients.
        faults: What is broken.
        chance: Picks the order, and the servers.
        began: When, in monotonic seconds.
        recoveries: What was broken so far.
        samples: The memory of the controller's processes so far.
    """

    scene: Scene
    loops: list[BackupLoop]
    faults: Sequence[Fault]
    chance: random.Random
    began: float = field(factory=CLOCK.monotonic)
    recoveries: list[Recovery] = field(factory=list)
    samples: list[Sample] = field(factory=list)

    def run(self, seconds: float) -> None:
        """Break one thing after the other until the time is over."""
        self._sample_memory()
        for fault in self._in_turn():
            if self._elapsed() + fault.seconds > seconds and self.recoveries:
                return
            self._break(fault)
            if self.recoveries[-1].recovery is None:
                return

    def _in_turn(self) -> Iterator[Fault]:
        """Return all faults in an order of chance, and again in another."""
        while True:
            yield from self.chance.sample(self.faults, len(self.faults))

    def _break(self, fault: Fault) -> None:
        server = self.chance.choice(
            [loop.server for loop in self.loops if fault.concerns(loop.server)]
        )
        at = self._elapsed()
        self._say(f"{fault.name} ({server.name})")
        trouble = ""
        try:
            with fault.broken(self.scene, server):
                CLOCK.wait_event(threading.Event(), fault.seconds)
        except TROUBLES as error:
            trouble = str(error)
            self._say(f"  COULD NOT BE MADE: {trouble}")
        mended = CLOCK.monotonic()
        held = mended - self.began - at
        recovery, last = self._recovered(server, mended)
        self.recoveries.append(Recovery(fault.name, server.name, at, held, recovery, trouble))
        words = "NOT RECOVERED" if recovery is None else f"recovered in {recovery:.1f} s; {last}"
        self._say(f"  broken for {held:.1f} s, {words}")
        self._sample_memory()

    def _recovered(self, server: Server, mended: float) -> tuple[float | None, str]:
        """Wait until all is of use.

        That a server serves does not show that the controller works. So a password is changed,
        which only a controller that works puts in force.

        Returns:
            How long it took, None if it did not come, and what came last.
        """
        last = ""

        def lacking(since: float) -> list[str]:
            nonlocal last
            found = [words for loop in self.loops for words in lacks(loop, since)]
            last = found[-1] if found else last
            return found

        try:
            wait_for("a password to be changed", lambda: _has_changed_password(server))
            changed = CLOCK.monotonic()
            wait_for(
                "recovery",
                lambda: lacking(changed),
                lambda found: not found,
                seconds=RECOVERY_SECONDS,
            )
        except AssertionError as error:
            self._say(f"  {error}")
            return None, last
        return CLOCK.monotonic() - mended, f"last: {last}"

    def _sample_memory(self) -> None:
        """Note how much memory the controller's processes have; those that are down have none."""
        try:
            for pod in self.scene.controller.pods():
                if process := running_process(pod):
                    megabytes = round(self.scene.node.resident_megabytes(pod), 1)
                    self.samples.append(Sample(self._elapsed(), process, megabytes))
        except TROUBLES as error:
            self._say(f"  the memory could not be read: {error}")

    def _elapsed(self) -> float:
        return CLOCK.monotonic() - self.began

    def _say(self, words: str) -> None:
        print(f"{self._elapsed():7.1f} s  {words}", flush=True)


def _has_changed_password(server: Server) -> bool:
    """Change the password of a server's client; False if nobody knows whether that was done."""
    try:
        server.change_password()
    except ClientError:
        return False
    return True


def running_process(pod: Object) -> str:
    """Return a name for the process of a controller's pod, "" if none runs."""
    (container,) = pod.get("status", {}).get("containerStatuses") or [{"state": {}}]
    if "running" not in container["state"]:
        return ""
    return f"{pod['metadata']['name']} {container['restartCount']}"


def lacks(loop: BackupLoop, since: float) -> list[str]:
    """Return what a server lacks until it is of use.

    Args:
        loop: The server's client.
        since: A moment, in monotonic seconds, since when the client must have backed up.
    """
    name, cluster = loop.server.name, loop.server.cluster
    try:
        server = loop.server.get()
        if not is_ready(server):
            return [f"{name} is not Ready: {condition(server, 'Ready')}"]
        for info, resource in CHILDREN.items():
            child = server["status"]["serverInfo"][info]
            if cluster.get(resource, child) is None:
                return [f"{name} has no {resource.kind} {child}"]
    except ClientError as error:
        return [f"{name} cannot be looked at: {error}"]
    if not loop.has_backed_up_since(since):
        return [f"the client of {name} has not backed up: {loop.failure}"]
    return []


def is_at_work(server: Server) -> bool:
    """Return whether a server is Ready; one that nobody can tell of is not."""
    try:
        return is_ready(server.get())
    except ClientError:
        return False


@contextmanager
def bring_up(
    cluster: Cluster, witness: Witness, count: int, faults: Sequence[Fault]
) -> Iterator[Soak]:
    """Install the controller, and make servers that are Ready, each with a client.

    The repository of the last one is in an object store, those of the others are on volumes.
    """
    controller, node = Controller(cluster), Node(cluster)
    with tempfile.TemporaryDirectory() as directory:
        controller.install(Path(directory))
    node.start()
    servers = [Server(cluster, node, witness, f"server-{number}") for number in range(count)]
    clients = [Client(cluster, f"client-{number}", MAY_CONNECT) for number in range(count)]
    cluster.kubectl.create(client.manifest() for client in clients)
    with outages.over_network(ObjectStores(cluster).get("s3")) as (store, network):
        servers[-1].move_to(store)
        for server in servers:
            if server.store is None:
                server.make_volume()
            server.make_repository()
            server.create()
        for server in servers:
            server.wait_ready()
        pods = [f"pod/{client.pod}" for client in clients]
        cluster.kubectl.run("wait", f"--namespace={CLIENTS}", "--for=condition=Ready", *pods)
        state = State(os.environ[variables.CLUSTER])
        scene = Scene(controller, node, Outages(state, components.load()), network)
        loops = [BackupLoop(*pair) for pair in zip(servers, clients, strict=True)]
        yield Soak(scene, loops, faults, random.Random())  # noqa: S311 - no secret


def main(minutes: float, count: int, seed: int, words: Sequence[str]) -> int:
    """Run a soak; the cluster is named by the variables of the tests.

    Args:
        minutes: How long to break things.
        count: How many servers.
        seed: Decides on what is broken when.
        words: Which faults, as `plan.chosen` has it.

    Returns:
        The exit code: 0 if all is well in the end, else 1.
    """
    kubeconfig = os.environ[variables.KUBECONFIG]
    images = (os.environ[variables.CONTROLLER_IMAGE], os.environ[variables.SERVER_IMAGE])
    cluster = clusters.connect(kubeconfig, *images)
    clusters.clear(cluster)
    for name in (NAMESPACE, CLIENTS):
        cluster.client.create(NAMESPACES, "", {"metadata": {"name": name}})
        cluster.kubectl.run("wait", f"--namespace={name}", "--for=create", "serviceaccount/default")
    cluster.kubectl.run("apply", "--kustomize=manifests/crd")
    witness = Witness(cluster, load_api_client(kubeconfig, user_agent="soak"))
    faults = plan.chosen(words)
    with bring_up(cluster, witness, count, faults) as soak:
        soak.chance.seed(seed)
        for loop in soak.loops:
            loop.prepare()
        print(f"seed {seed}: {count} servers are Ready, and break for {minutes:g} minutes")
        soak.began = CLOCK.monotonic()
        outcome = _soak(soak, minutes * 60)
    print(f"\n{report.table(outcome)}\n")
    found = {"seed": seed, "minutes": minutes, **report.figures(outcome)}
    print(json.dumps(found))
    return 0 if found["ok"] else 1


def _soak(soak: Soak, seconds: float) -> Outcome:
    for loop in soak.loops:
        loop.start()
    soak.run(seconds)
    for loop in soak.loops:
        loop.end()
    done = sum(loop.counts.done for loop in soak.loops)
    print(f"restoring all {done} backups that were reported done", flush=True)
    lost = in_parallel([loop.verify for loop in soak.loops])
    ready = sum(is_at_work(loop.server) for loop in soak.loops)
    return Outcome(
        [fault.name for fault in soak.faults],
        soak.recoveries,
        soak.samples,
        [loop.counts for loop in soak.loops],
        lost,
        ready,
    )


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
