"""The cluster under test, and the namespaces that the tests use in it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from attrs import frozen
from prometheus_client import CollectorRegistry

from controller.errors import NotFound
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Transport
from e2e.confidential import Confidential
from e2e.kubectl import Kubectl
from e2e.waiting import CLOCK, wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Which of the processes this is that pytest-xdist runs side by side; "" where there is but one.
WORKER: Final = os.environ.get("PYTEST_XDIST_WORKER", "")

#: Of the controller and the servers, and so of each process. Not that of the manifests: the tests
#: must not touch what lives on a cluster that somebody uses.
NAMESPACE: Final = "-".join(filter(None, ("repository-server-test", WORKER)))
CLIENTS: Final = f"{NAMESPACE}-clients"

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")

#: On what has no namespace, with this one as its value, so that it is found again.
LABEL: Final = "repository-server-test"

# What the controller makes for a RepositoryServer.
CHILDREN = (
    resources.REPLICA_SETS,
    resources.PODS,
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    resources.SECRETS,
    resources.CRON_JOBS,
)


@frozen
class Cluster:
    """A cluster with the images in it.

    Attributes:
        client: Asks its API server.
        kubectl: Does so as a user does.
        controller_image: The controller's image.
        server_image: Kopia's image.
        confidential: The passwords and keys that are used on it.
    """

    client: Client
    kubectl: Kubectl
    controller_image: str
    server_image: str
    confidential: Confidential

    def get(self, resource: Resource, name: str, namespace: str = NAMESPACE) -> Object | None:
        """Return an object, None if there is none."""
        try:
            return self.client.get(resource, namespace, name)
        except NotFound:
            return None

    def discard(self, resource: Resource, name: str, namespace: str = NAMESPACE) -> None:
        """Delete an object if it is there, and do not wait for it."""
        with contextlib.suppress(NotFound):
            self.client.delete(resource, namespace, name)

    def delete(self, resource: Resource, name: str, namespace: str = NAMESPACE) -> None:
        """Delete an object if it is there, and wait until it is gone."""
        self.discard(resource, name, namespace)
        wait_for(
            f"{resource.kind} {name} to be gone",
            lambda: self.get(resource, name, namespace),
            lambda obj: obj is None,
        )

    def owned(self, uid: str) -> dict[str, list[Object]]:
        """Return what an object owns, and what that owns, by kind."""
        owners, found = {uid}, {}
        # In this order: pods belong to ReplicaSets.
        for resource in CHILDREN:
            found[resource.kind] = [
                obj
                for obj in self.client.list(resource, NAMESPACE)["items"]
                if owners & {owner["uid"] for owner in obj["metadata"].get("ownerReferences", ())}
            ]
            owners |= {obj["metadata"]["uid"] for obj in found[resource.kind]}
        return found

    def events(self, obj: Object) -> list[Object]:
        """Return the events about an object."""
        uid = obj["metadata"]["uid"]
        events: list[Object] = self.client.list(EVENTS, NAMESPACE)["items"]
        return [event for event in events if event["regarding"].get("uid") == uid]


def connect(kubeconfig: str, controller_image: str, server_image: str) -> Cluster:
    """Return the cluster of a kubeconfig."""
    transport = Transport(
        load_api_client(kubeconfig, user_agent="e2e-test"),
        clock=CLOCK,
        metrics=Metrics(CollectorRegistry()),
    )
    client = Client(transport, field_manager="e2e-test")
    kubectl = Kubectl(kubeconfig)
    return Cluster(client, kubectl, controller_image, server_image, Confidential())


def clear(cluster: Cluster) -> None:
    """Remove what a run, perhaps one that was killed, has left."""
    for namespace in (NAMESPACE, CLIENTS):
        cluster.delete(NAMESPACES, namespace, "")
    for volume in cluster.client.list(VOLUMES, "", label_selector=f"{LABEL}={NAMESPACE}")["items"]:
        cluster.delete(VOLUMES, volume["metadata"]["name"], "")


def names(objects: Sequence[Object]) -> list[str]:
    """Return the names of objects, in order."""
    return sorted(obj["metadata"]["name"] for obj in objects)
