"""Faults of the ReplicaSets that keep the servers' pods, and of what makes their pods.

Each looks, while it lasts, at what must hold then: what comes after is the session's to see.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from clusterlib.errors import ClusterError
from controller.conditions import conditions_of, is_true
from controller.resource import Resource
from e2e.cluster import NAMESPACE
from e2e.installation import REPLICAS
from e2e.server import condition, revision_of
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import retry, throttle
from soaklib.objects import NO_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.server import Server
    from soaklib.scene import Scene

QUOTAS: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
QUOTA: Final = "soak"

#: In which Kubernetes alone makes another pod, and Kopia opens its repository.
REPLACED_SECONDS: Final = 60.0
#: In which a cause that is gone must count, with what the pod then needs.
NUDGED_SECONDS: Final = retry.MAX_SECONDS + REPLACED_SECONDS

NOT_LEFT_ALONE: Final = "another pod was made, though only the node was cordoned"
NOT_BRAKED: Final = "{count} replacements were begun with an image that cannot be pulled"
NOT_AVAILABLE: Final = "not Available though their former pods are whole: {names}"

IMAGE: Final = "RSC_SERVER_IMAGE"
SLOTS: Final = "RSC_MAX_CONCURRENT_REPLACEMENTS"


@contextmanager
def deleted_without_controller(scene: Scene, server: Server) -> Iterator[None]:
    """Have a server's pod deleted while no controller runs: Kubernetes makes another one."""
    former = server.pod()
    scene.controller.scale(0)
    try:
        server.cluster.discard(resources.PODS, former["metadata"]["name"])
        wait_for_another(server, former, REPLACED_SECONDS)
        yield
    finally:
        scene.controller.scale(REPLICAS)


def evict(_scene: Scene, server: Server) -> None:
    """Evict a server's pod by the API, as a drain and an autoscaler do."""
    former = server.pod()
    name = former["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    server.cluster.kubectl.run(
        "create", f"--raw={path}", "--filename=-", stdin=json.dumps(eviction)
    )
    wait_for_another(server, former, REPLACED_SECONDS)


@contextmanager
def cordoned(_scene: Scene, server: Server) -> Iterator[None]:
    """Have a server's node take no other pod, which the one that runs does not notice."""
    before = server.pod()
    kubectl, node = server.cluster.kubectl, before["spec"]["nodeName"]
    kubectl.run("cordon", node)
    try:
        yield
        if server.pod()["metadata"]["uid"] != before["metadata"]["uid"]:
            raise ClusterError(NOT_LEFT_ALONE)
    finally:
        kubectl.run("uncordon", node)


@contextmanager
def under_full_quota(_scene: Scene, server: Server) -> Iterator[None]:
    """Have a server's pod deleted and a quota keep another one from being made.

    Once it is lifted, the pod must come within a minute.
    """
    former, client = server.pod(), server.cluster.client
    body = {"metadata": {"name": QUOTA}, "spec": {"hard": {"pods": "0"}}}
    client.create(QUOTAS, NAMESPACE, body)
    try:
        wait_for(
            "the quota to be in force",
            lambda: client.get(QUOTAS, NAMESPACE, QUOTA).get("status", {}).get("hard"),
        )
        server.cluster.discard(resources.PODS, former["metadata"]["name"])
        server.wait("to name the quota", lambda obj: _ready_reason(obj) == "QuotaExceeded")
        yield
    finally:
        server.cluster.discard(QUOTAS, QUOTA)
    wait_for_another(server, former, NUDGED_SECONDS)


@contextmanager
def with_wrong_image_for_all(scene: Scene, server: Server) -> Iterator[None]:
    """Have the controller upgraded to an image that cannot be pulled: the brake holds the others.

    Clients reach every server all the while.
    """
    controller = scene.controller
    right = server.cluster.server_image
    controller.set_environment({IMAGE: NO_IMAGE, SLOTS: "1"})
    try:
        controller.wait_ready()
        wait_for(
            "one replacement to fail, and the others to be held back",
            lambda: sorted(map(_ready_reason, _servers(server))),
            lambda reasons: (
                reasons.count("ImagePullFailed") == 1
                and reasons.count("WaitingForSlot") == len(reasons) - 1
            ),
        )
        yield
        begun = [pod for pod in _pods(server) if _image(pod) == NO_IMAGE]
        if len(begun) != 1:
            raise ClusterError(NOT_BRAKED.format(count=len(begun)))
        gone = [one["metadata"]["name"] for one in _servers(server) if not _is_available(one)]
        if gone:
            raise ClusterError(NOT_AVAILABLE.format(names=", ".join(gone)))
    finally:
        controller.set_environment({IMAGE: right, SLOTS: str(throttle.DEFAULT_LIMIT)})
        controller.wait_ready()


def delete_replica_set(_scene: Scene, server: Server) -> None:
    """Delete the ReplicaSet of a server, with its pod."""
    former = server.pod()
    server.cluster.discard(resources.REPLICA_SETS, revision_of(former))
    wait_for_another(server, former, REPLACED_SECONDS)


def orphan(_scene: Scene, server: Server) -> None:
    """Delete a resource without its children, and make it again, as a restore does."""
    before, pod = server.get(), server.pod()
    kubectl = server.cluster.kubectl
    kubectl.run(
        "delete",
        f"--namespace={NAMESPACE}",
        "--cascade=orphan",
        f"{api.REPOSITORY_SERVERS.plural}.{api.GROUP}/{server.name}",
    )
    metadata = {"name": server.name, "namespace": NAMESPACE}
    again = {key: before[key] for key in ("apiVersion", "kind", "spec")}
    kubectl.create([{**again, "metadata": metadata}])
    wait_for(
        "the children to be adopted",
        lambda: server.cluster.owned(server.get()["metadata"]["uid"])["Pod"],
        lambda pods: [one["metadata"]["uid"] for one in pods] == [pod["metadata"]["uid"]],
    )


def wait_for_another(server: Server, former: Object, seconds: float) -> None:
    """Wait until another pod is Ready in place of a former one, whoever makes it.

    Args:
        server: Whose pod.
        former: The former one.
        seconds: How long to wait.

    Raises:
        AssertionError: None came.
    """
    wait_for(
        f"another pod of {server.name} to be Ready",
        lambda: [
            pod
            for pod in _pods(server)
            if pod["metadata"]["labels"].get(names.LABEL_INSTANCE) == server.name
            and pod["metadata"]["uid"] != former["metadata"]["uid"]
            and is_true(conditions_of(pod), "Ready")
        ],
        seconds=seconds,
    )


def _servers(server: Server) -> list[Object]:
    found: list[Object] = server.cluster.client.list(api.REPOSITORY_SERVERS, NAMESPACE)["items"]
    return found


def _pods(server: Server) -> list[Object]:
    pods: list[Object] = server.cluster.client.list(
        resources.PODS, NAMESPACE, label_selector=names.LABEL_INSTANCE
    )["items"]
    return pods


def _image(pod: Object) -> str:
    containers = pod["spec"]["containers"]
    image: str = next(one["image"] for one in containers if one["name"] == names.CONTAINER)
    return image


def _ready_reason(server: Object) -> str:
    ready = condition(server, "Ready")
    return "" if ready is None or ready["status"] != "False" else str(ready["reason"])


def _is_available(server: Object) -> bool:
    available = condition(server, "Available")
    return available is not None and available["status"] == "True"
