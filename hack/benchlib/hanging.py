"""A server in whose pod every command hangs, on a control plane without nodes.

What stands for the node's kubelet takes connections and never says a word: the API server waits for
it, and so does the controller that has asked for the command.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from benchlib import objects, scene
from clusterlib import waiting
from demolib.objects import of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchlib.proxy import Proxy
    from demolib.kubectl import Kubectl
    from demolib.objects import Object

NODE, NODES = "silent", "/api/v1/nodes"
NAME = "hanging"
POD_TIMEOUT_SECONDS = 60.0
# A controller that could not run a command tries again after 10 s or more, each time later.
COMMAND_TIMEOUT_SECONDS = 120.0

READY = ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready")


class SilentKubelet:
    """Takes connections on loopback and never answers. Ends with the `with` statement."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        # Only ever grows, by the thread that takes connections.
        self._taken: list[socket.socket] = []
        self._waited_for = 0

    def __enter__(self) -> Self:
        """Begin to take connections."""
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        # Wakes the thread that waits for another one, which closing alone would not.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self._taken:
            connection.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port: int = self._listening.getsockname()[1]
        return port

    def wait_until_asked(self) -> None:
        """Wait until it is asked once more since this was called last.

        Raises:
            ClusterError: nobody asked.
        """
        waiting.until(
            lambda: len(self._taken) > self._waited_for,
            what="a command is run in the pod",
            timeout_seconds=COMMAND_TIMEOUT_SECONDS,
        )
        self._waited_for = len(self._taken)

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._taken.append(self._listening.accept()[0])


@contextmanager
def running(
    kubectl: Kubectl, proxy: Proxy, sample: Sequence[Object]
) -> Iterator[Callable[[], None]]:
    """Make a RepositoryServer with its Secrets and volume, and let its pod look as if it ran.

    Args:
        kubectl: names the cluster; a controller is at work there.
        proxy: asks its API.
        sample: the objects of manifests/samples/file-store, in the bench's namespace.

    Yields:
        What waits until the controller runs a command there: the next one with each call. They
        hang for as long as the body runs.

    Raises:
        ClusterError: a step failed.
    """
    claims = of_kind(sample, "PersistentVolumeClaim")
    (server,) = objects.servers(sample, 1)
    server["metadata"]["name"] = NAME
    scene.make_secrets(kubectl, sample, users=1)
    scene.apply(kubectl, [obj for claim in claims for obj in objects.bound(claim)])
    with SilentKubelet() as kubelet:
        _make_node(proxy, kubelet.port)
        proxy.create(scene.SERVERS, server)
        _run_pod(proxy)
        yield kubelet.wait_until_asked


def _make_node(proxy: Proxy, kubelet_port: int) -> None:
    proxy.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet_port}},
    }
    proxy.merge(f"{NODES}/{NODE}/status", {"status": status})


def _run_pod(proxy: Proxy) -> None:
    """Do what the scheduler and the kubelet would do with the server's pod."""
    selected = f"{scene.PODS}?labelSelector={objects.INSTANCE_LABEL}%3D{NAME}"
    waiting.until(
        lambda: bool(proxy.get(selected)["items"]),
        what="the pod of the server whose commands hang",
        timeout_seconds=POD_TIMEOUT_SECONDS,
    )
    (pod,) = proxy.get(selected)["items"]
    name = pod["metadata"]["name"]
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "namespace": scene.NAMESPACE},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
    }
    proxy.create(f"{scene.PODS}/{name}/binding", binding)
    proxy.merge(f"{scene.PODS}/{name}/status", {"status": running_status(pod)})


def running_status(pod: Object) -> Object:
    """Return the status of a pod that has run since now and is Ready."""
    now = waiting.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "phase": "Running",
        "startTime": now,
        "conditions": [
            {"type": type_, "status": "True", "lastTransitionTime": now} for type_ in READY
        ],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": container["image"],
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for container in pod["spec"]["containers"]
        ],
    }
