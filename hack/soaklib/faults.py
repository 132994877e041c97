"""What is broken, and how: one row for each fault."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from controller.resource import Resource
from e2e import outages
from e2e.cluster import NAMESPACE
from reconcilers.repositoryserver import resources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from clusterlib.outages import Outages
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.server import Server

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE = "repository-server-controller"


@frozen
class Scene:
    """What can be broken.

    Attributes:
        controller: The controller.
        node: The node.
        components: The cluster's components.
    """

    controller: Controller
    node: Node
    components: Outages


@frozen
class Fault:
    """One fault.

    Attributes:
        name: In words.
        broken: Breaks it, for one of the servers where one is concerned, and mends it when left.
        seconds: For how long.
    """

    name: str
    broken: Callable[[Scene, Server], AbstractContextManager[None]]
    seconds: float = 0.0


def _at_once(act: Callable[[Scene, Server], object]) -> Callable[..., AbstractContextManager[None]]:
    """Make a fault of something that is over when it is done."""

    @contextmanager
    def broken(scene: Scene, server: Server) -> Iterator[None]:
        act(scene, server)
        yield

    return broken


def _delete(resource: Resource, info: str) -> Callable[[Scene, Server], object]:
    def act(_scene: Scene, server: Server) -> None:
        name = server.get()["status"]["serverInfo"][info]
        server.cluster.discard(resource, name)

    return act


def _kill_kopia(scene: Scene, server: Server) -> None:
    scene.node.kill(server.pod())


def _kill_leader(scene: Scene, _server: Server) -> None:
    scene.controller.kill(scene.node)


def _delete_leader(scene: Scene, _server: Server) -> None:
    name = scene.controller.pod()["metadata"]["name"]
    scene.controller.cluster.discard(resources.PODS, name)


def _renew_certificate(_scene: Scene, server: Server) -> None:
    server.set_values("tls", {**server.certificate()})


def _add_user(_scene: Scene, server: Server) -> None:
    number = len(server.secrets["users"]["stringData"])
    password = server.cluster.confidential.password("password of another user")
    server.set_values("users", {f"another{number}": password})


@contextmanager
def _without_storage(scene: Scene, server: Server) -> Iterator[None]:
    """Have the storage away, and Kopia look for it, which makes it wait."""
    with outages.moved_away(server):
        outages.forget_lists(server)
        _add_user(scene, server)
        yield


@contextmanager
def _without_right(scene: Scene, server: Server) -> Iterator[None]:
    """Have the controller not read Secrets, and a Secret changed meanwhile."""
    client = scene.controller.cluster.client
    rules = client.get(ROLES, NAMESPACE, ROLE)["rules"]
    kept = [rule for rule in rules if "secrets" not in rule["resources"]]
    client.merge_patch(ROLES, NAMESPACE, ROLE, {"rules": kept})
    try:
        _add_user(scene, server)
        yield
    finally:
        client.merge_patch(ROLES, NAMESPACE, ROLE, {"rules": rules})


def _paused(component: str) -> Callable[[Scene, Server], AbstractContextManager[None]]:
    @contextmanager
    def broken(scene: Scene, _server: Server) -> Iterator[None]:
        with ExitStack() as mended:
            scene.components.pause(component)
            mended.callback(scene.components.resume, component)
            yield

    return broken


def _killed(component: str) -> Callable[[Scene, Server], AbstractContextManager[None]]:
    @contextmanager
    def broken(scene: Scene, _server: Server) -> Iterator[None]:
        scene.components.kill(component)
        try:
            yield
        finally:
            scene.components.start(component)
            scene.components.wait_for_api()

    return broken


FAULTS = (
    Fault("Kopia is killed", _at_once(_kill_kopia)),
    Fault("a server's pod is deleted", _at_once(_delete(resources.PODS, "podName"))),
    Fault("a Service is deleted", _at_once(_delete(resources.SERVICES, "serviceName"))),
    Fault(
        "a NetworkPolicy is deleted",
        _at_once(_delete(resources.NETWORK_POLICIES, "networkPolicyName")),
    ),
    Fault("a storage is away", _without_storage, 45.0),
    Fault("a certificate is renewed", _at_once(_renew_certificate)),
    Fault("the leader is killed", _at_once(_kill_leader)),
    Fault("the leader's pod is deleted", _at_once(_delete_leader)),
    Fault("the controller may not read Secrets", _without_right, 20.0),
    Fault("the API server is killed and started again", _killed("kube-apiserver"), 5.0),
    Fault("the API server hangs", _paused("kube-apiserver"), 30.0),
    Fault("the API server is away for two minutes", _killed("kube-apiserver"), 120.0),
    Fault("the node is lost", _paused("kubelet"), 75.0),
    Fault("the node's proxy is killed and started again", _killed("kube-proxy"), 10.0),
)
