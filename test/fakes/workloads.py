"""StatefulSets, Deployments and their pods, as the API server has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.resource import Resource
from reconcilers import resources

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.phaseclient import PhaseClient

NAMESPACE: Final = "app"
NAME: Final = "db"
LABELS: Final = {"app": NAME}

STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets", "StatefulSet")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")


def workload(resource: Resource, *, replicas: int = 3) -> Object:
    """Return a workload `db` in the namespace `app`."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"namespace": NAMESPACE, "name": NAME, "uid": f"uid-of-{resource.kind}"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": LABELS}},
    }


def replica_set(name: str, *, owner: str = "uid-of-Deployment") -> Object:
    """Return a ReplicaSet of a Deployment."""
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "namespace": NAMESPACE,
            "name": name,
            "uid": f"uid-of-{name}",
            "labels": LABELS,
            "ownerReferences": [{"controller": True, "kind": "Deployment", "uid": owner}],
        },
        "spec": {"replicas": 1},
    }


def pod(
    name: str,
    *,
    owner: str = "uid-of-StatefulSet",
    phase: str = "Running",
    ready: bool = True,
    deleted: bool = False,
    controller: bool = True,
) -> Object:
    """Return a pod of a workload."""
    metadata: dict[str, Any] = {
        "namespace": NAMESPACE,
        "name": name,
        "uid": f"uid-of-{name}",
        "labels": LABELS,
        "ownerReferences": [{"controller": controller, "uid": owner}],
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    status = {"phase": phase, "conditions": conditions}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status}


def put_pods(client: PhaseClient, *pods: Object) -> None:
    """Have these pods, and no others."""
    for one in client.store(resources.PODS).list():
        client.drop(resources.PODS, NAMESPACE, one["metadata"]["name"])
    for one in pods:
        client.put(resources.PODS, one)
