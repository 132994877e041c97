"""Faults that are made through the API: what users, administrators and other programs do."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

from controller.resource import Resource
from e2e.cluster import NAMESPACE
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from soaklib.scene import repeated, undone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.resource import Object
    from e2e.server import Server
    from soaklib.scene import Breaks, Scene

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE = "repository-server-controller"

# In which Kopia's server does not come up.
TOO_LITTLE_MEMORY = {"memory": "24Mi"}
NO_IMAGE = "localhost/no-such-image:1"

EDITS = 10
# No pod and no Secret depends on it.
ANNOTATION = "soak.test/written"


def delete_child(resource: Resource, info: str) -> Callable[[Scene, Server], object]:
    """Delete what a server's status names."""

    def act(_scene: Scene, server: Server) -> None:
        name = server.get()["status"]["serverInfo"][info]
        server.cluster.discard(resource, name)

    return act


def delete_leader(scene: Scene, _server: Server) -> None:
    """Delete the pod of the controller that leads."""
    name = scene.controller.pod()["metadata"]["name"]
    scene.controller.cluster.discard(resources.PODS, name)


def renew_certificate(_scene: Scene, server: Server) -> None:
    """Put another certificate into a server's Secret."""
    server.set_values("tls", {**server.certificate()})


def edit_again_and_again(_scene: Scene, server: Server) -> None:
    """Edit a resource while it is reconciled; each edit asks for another pod."""
    for number in range(EDITS):
        requests = {"cpu": f"{number + 1}m"}
        server.patch({"spec": {"server": {"resources": {"requests": requests}}}})


@contextmanager
def without_right(scene: Scene, server: Server) -> Iterator[None]:
    """Have the controller not read Secrets, and a password changed meanwhile."""
    client = scene.controller.cluster.client
    rules = client.get(ROLES, NAMESPACE, ROLE)["rules"]
    kept = [rule for rule in rules if "secrets" not in rule["resources"]]
    client.merge_patch(ROLES, NAMESPACE, ROLE, {"rules": kept})
    try:
        server.change_password()
        yield
    finally:
        client.merge_patch(ROLES, NAMESPACE, ROLE, {"rules": rules})


def with_setting(setting: Object, removed: Object) -> Breaks:
    """Have a resource with a setting of spec.server that cannot work."""

    def patch(settings: Object) -> Callable[[Scene, Server], object]:
        return lambda _scene, server: server.patch({"spec": {"server": settings}})

    return undone(patch(setting), patch(removed))


with_too_little_memory = with_setting(
    {"resources": {"requests": TOO_LITTLE_MEMORY, "limits": TOO_LITTLE_MEMORY}},
    {"resources": None},
)
without_image = with_setting(
    {"podOverride": {"containers": [{"name": names.CONTAINER, "image": NO_IMAGE}]}},
    {"podOverride": None},
)


@contextmanager
def with_twin(_scene: Scene, server: Server) -> Iterator[None]:
    """Have a second resource with the same repository."""
    twin = deepcopy(server.resource)
    twin["metadata"]["name"] += "-twin"
    server.cluster.kubectl.create([twin])
    try:
        yield
    finally:
        server.cluster.delete(api.REPOSITORY_SERVERS, twin["metadata"]["name"])


@contextmanager
def under_a_second_writer(_scene: Scene, server: Server) -> Iterator[None]:
    """Have somebody else write the resource all the time, so that writes of it conflict."""
    written = 0

    def write() -> None:
        nonlocal written
        written += 1
        server.patch({"metadata": {"annotations": {ANNOTATION: str(written)}}})

    with repeated(write):
        yield


@contextmanager
def drained(_scene: Scene, server: Server) -> Iterator[None]:
    """Have a server's pod evicted, and its node take no other one."""
    kubectl = server.cluster.kubectl
    node = server.pod()["spec"]["nodeName"]
    selector = f"--pod-selector={names.LABEL_INSTANCE}={server.name}"
    try:
        kubectl.run("drain", node, selector, "--delete-emptydir-data", "--force", "--timeout=60s")
        yield
    finally:
        kubectl.run("uncordon", node)
