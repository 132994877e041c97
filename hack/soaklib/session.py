"""One soak: makes the servers, breaks things one after the other, and looks at what is left.

Run by `hack/soak` in the environment of the tests.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import asdict, define, field, frozen

from clusterlib import components
from clusterlib.outages import Outages
from clusterlib.state import State
from controller.errors import ClientError
from controller.kubeconfig import load_api_client
from e2e import cluster as clusters
from e2e.backup_client import Client
from e2e.cluster import CLIENTS, NAMESPACE, NAMESPACES
from e2e.installation import SELECTOR, Controller
from e2e.node import Node
from e2e.server import MAY_CONNECT, Server, is_ready
from e2e.waiting import CLOCK, wait_for
from e2e.witness import Witness
from reconcilers.repositoryserver import resources
from soaklib.clients import BackupLoop, in_parallel
from soaklib.faults import FAULTS, Scene
from testlib import cluster as variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.cluster import Cluster
    from soaklib.faults import Fault

# A server that is not of use by then does not recover by itself.
RECOVERY_SECONDS = 240.0
# What two samples of a process may be apart, in megabytes: Python gives little back.
FLAT_MEGABYTES = 16.0
# What a controller needs until it has done each thing once.
WARM_UP_SAMPLES = 2

READ_STATUS = "print(open('/proc/1/status').read())"
KIBIBYTE = 1024


@frozen
class Recovery:
    """What was broken, and how it went on.

    Attributes:
        fault: Its name.
        server: The server that was picked.
        at: Seconds since the beginning.
        held: Seconds for which it was broken.
        recovery: Seconds until all servers were Ready and all clients had backed up; None if that
            did not come.
    """

    fault: str
    server: str
    at: float
    held: float
    recovery: float | None


@define
class Soak:
    """The servers, their clients, and what was seen.

    Attributes:
        scene: What can be broken.
        loops: The clients.
        chance: Picks what is broken.
        recoveries: What was broken so far.
        memory: Resident megabytes of each process of the controller, by its pod and restarts.
    """

    scene: Scene
    loops: list[BackupLoop]
    chance: random.Random
    began: float = field(factory=CLOCK.monotonic)
    recoveries: list[Recovery] = field(factory=list)
    memory: dict[str, list[float]] = field(factory=dict)

    def run(self, seconds: float) -> None:
        """Break one thing after the other until the time is over."""
        for fault in self._faults():
            if self._elapsed() + fault.seconds > seconds and self.recoveries:
                return
            self._break(fault)
            if self.recoveries[-1].recovery is None:
                return

    def _faults(self) -> Iterator[Fault]:
        """Return all faults in an order of chance, and again in another."""
        while True:
            yield from self.chance.sample(FAULTS, len(FAULTS))

    def _break(self, fault: Fault) -> None:
        server = self.chance.choice(self.loops).server
        at = self._elapsed()
        print(f"{at:7.1f} s  {fault.name} ({server.name})", flush=True)
        with fault.broken(self.scene, server):
            CLOCK.wait_event(threading.Event(), fault.seconds)
        mended = CLOCK.monotonic()
        held = mended - self.began - at
        recovery = self._recovered(mended)
        self.recoveries.append(Recovery(fault.name, server.name, at, held, recovery))
        words = "NOT RECOVERED" if recovery is None else f"recovered in {recovery:.1f} s"
        print(f"{self._elapsed():7.1f} s    broken for {held:.1f} s, {words}", flush=True)
        self._sample_memory()

    def _recovered(self, mended: float) -> float | None:
        """Wait until all is of use, and return how long that took."""

        def unusable() -> list[str]:
            return [
                loop.server.name
                for loop in self.loops
                if not (loop.has_backed_up_since(mended) and is_at_work(loop.server))
            ]

        try:
            wait_for("recovery", unusable, lambda names: not names, seconds=RECOVERY_SECONDS)
        except AssertionError as error:
            print(f"           {error}", flush=True)
            return None
        return CLOCK.monotonic() - mended

    def _sample_memory(self) -> None:
        """Note how much memory the controller's processes have."""
        controller = self.scene.controller
        controller.wait_ready()
        cluster = controller.cluster
        pods = cluster.client.list(resources.PODS, NAMESPACE, label_selector=SELECTOR)["items"]
        for pod in pods:
            name = pod["metadata"]["name"]
            read = ["exec", f"--namespace={NAMESPACE}", name, "--", "python3", "-c", READ_STATUS]
            status = cluster.kubectl.run(*read)
            resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
            process = f"{name} {pod['status']['containerStatuses'][0]['restartCount']}"
            megabytes = int(resident.split()[1]) / KIBIBYTE
            self.memory.setdefault(process, []).append(round(megabytes, 1))

    def _elapsed(self) -> float:
        return CLOCK.monotonic() - self.began


def is_at_work(server: Server) -> bool:
    """Return whether a server is Ready; one that nobody can tell of is not."""
    try:
        return is_ready(server.get())
    except ClientError:
        return False


def is_flat(samples: list[float]) -> bool:
    """Return whether a process's memory does not grow once it has done each thing."""
    settled = samples[WARM_UP_SAMPLES:]
    return not settled or settled[-1] - settled[0] <= FLAT_MEGABYTES


def bring_up(cluster: Cluster, witness: Witness, count: int, directory: Path) -> Soak:
    """Install the controller, and make servers that are Ready, each with a client at work."""
    controller, node = Controller(cluster), Node(cluster)
    controller.install(directory)
    node.start()
    servers = [Server(cluster, node, witness, f"server-{number}") for number in range(count)]
    clients = [Client(cluster, f"client-{number}", MAY_CONNECT) for number in range(count)]
    cluster.kubectl.create(client.manifest() for client in clients)
    for server in servers:
        server.make_volume()
        server.make_repository()
        server.create()
    for server in servers:
        server.wait_ready()
    pods = [f"pod/{client.pod}" for client in clients]
    cluster.kubectl.run("wait", f"--namespace={CLIENTS}", "--for=condition=Ready", *pods)
    state = State(os.environ[variables.CLUSTER])
    scene = Scene(controller, node, Outages(state, components.load()))
    loops = [BackupLoop(*pair) for pair in zip(servers, clients, strict=True)]
    return Soak(scene, loops, random.Random())  # noqa: S311 - no secret


def figures(soak: Soak, lost: list[str], ready: int) -> dict[str, Any]:
    """Return what is printed in the end."""
    counts = [loop.counts for loop in soak.loops]
    recoveries = [asdict(one) for one in soak.recoveries]
    flat = all(map(is_flat, soak.memory.values()))
    recovered = all(one.recovery is not None for one in soak.recoveries)
    return {
        "ok": recovered and flat and not lost and ready == len(soak.loops),
        "faults": [
            {
                key: round(value, 1) if isinstance(value, float) else value
                for key, value in one.items()
            }
            for one in recoveries
        ],
        "backups_done": sum(one.done for one in counts),
        "backups_failed": sum(one.failed for one in counts),
        "restores_compared": sum(one.restored for one in counts),
        "backups_lost": len(lost),
        "servers": len(soak.loops),
        "servers_ready": ready,
        "memory_megabytes": soak.memory,
        "memory_flat": flat,
    }


def main(minutes: float, count: int, seed: int) -> int:
    """Run a soak; the cluster is named by the variables of the tests.

    Args:
        minutes: How long to break things.
        count: How many servers.
        seed: Decides on what is broken when.

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
    with tempfile.TemporaryDirectory() as directory:
        soak = bring_up(cluster, witness, count, Path(directory))
    soak.chance.seed(seed)
    print(f"seed {seed}: {count} servers are Ready, and break for {minutes:g} minutes", flush=True)
    soak.began = CLOCK.monotonic()
    for loop in soak.loops:
        loop.start()
    soak.run(minutes * 60)
    print("restoring all backups that were reported done", flush=True)
    for loop in soak.loops:
        loop.end()
    ready = sum(is_at_work(loop.server) for loop in soak.loops)
    lost = in_parallel([loop.verify for loop in soak.loops])
    found = {"seed": seed, "minutes": minutes, **figures(soak, lost, ready)}
    print(f"\n{json.dumps(found)}")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
