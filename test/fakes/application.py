"""An application as an API server has it: a workload with its pods, claims, Secrets and Profile."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from fakes.objects import merged
from reconcilers import resources
from reconcilers.actionset.parameters.targets import DEPLOYMENT_CONFIGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Resource
    from fakes.publicblueprints import Store

Object = dict[str, Any]

NAMESPACE = "shop"
NAME = "db"
LABELS = {"app.kubernetes.io/instance": "release", "app": "db", "release": "release"}
CLAIM = "data-db-0"
PASSWORD = "hunter2-5d0c"

#: How the kinds of workloads are served, and what owns their pods.
KINDS: dict[str, tuple[Resource, Resource]] = {
    "StatefulSet": (resources.STATEFUL_SETS, resources.STATEFUL_SETS),
    "Deployment": (resources.DEPLOYMENTS, resources.REPLICA_SETS),
    "DeploymentConfig": (DEPLOYMENT_CONFIGS, resources.REPLICATION_CONTROLLERS),
}
REVISION = {
    "Deployment": "deployment.kubernetes.io/revision",
    "DeploymentConfig": "openshift.io/deployment-config.latest-version",
}


def workload(kind: str = "StatefulSet", change: Object | None = None) -> Object:
    """Build a workload of one replica, at revision 2.

    Args:
        kind: One of KINDS.
        change: A merge patch.
    """
    resource, _ = KINDS[kind]
    labels = {"app": NAME}
    obj: Object = {
        "apiVersion": resource.api_version,
        "kind": kind,
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": "uid-db",
            "labels": LABELS,
            "annotations": {REVISION["Deployment"]: "2"} if kind == "Deployment" else {},
        },
        "spec": {
            "replicas": 1,
            "serviceName": "db",
            "selector": labels if kind == "DeploymentConfig" else {"matchLabels": labels},
        },
        "status": {"latestVersion": 2} if kind == "DeploymentConfig" else {},
    }
    result: Object = merged(obj, change or {})
    return result


def revision(kind: str, number: str, change: Object | None = None) -> Object:
    """Build a revision of a Deployment or DeploymentConfig."""
    _, between = KINDS[kind]
    obj: Object = {
        "metadata": {
            "name": f"db-{number}",
            "namespace": NAMESPACE,
            "uid": f"uid-db-{number}",
            "labels": {"app": NAME},
            "annotations": {REVISION[kind]: number},
            "ownerReferences": [owner(kind, "uid-db")],
        }
    }
    result: Object = merged({"kind": between.kind, **obj}, change or {})
    return result


def owner(kind: str, uid: str) -> Object:
    """Build an owner reference."""
    return {"kind": kind, "name": "any", "uid": uid, "controller": True}


def pod(name: str = "db-0", *, owned_by: str = "uid-db", change: Object | None = None) -> Object:
    """Build a pod that runs, with a claim and an emptyDir, and two containers."""
    obj: Object = {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "labels": {"app": NAME},
            "ownerReferences": [owner("Any", owned_by)],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {
                    "name": "postgres",
                    "image": "postgres",
                    "env": [{"name": "PASSWORD", "value": PASSWORD}],
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/var/lib/data"},
                        {"name": "scratch", "mountPath": "/scratch"},
                    ],
                },
                {"name": "exporter", "image": "exporter"},
            ],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}},
                {"name": "scratch", "emptyDir": {}},
            ],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "exporter"}, {"name": "postgres"}],
        },
    }
    result: Object = merged(obj, change or {})
    return result


def secret(name: str, values: Mapping[str, str], namespace: str = NAMESPACE) -> Object:
    """Build a Secret from clear values."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def config_map(name: str, values: Mapping[str, str], namespace: str = NAMESPACE) -> Object:
    """Build a ConfigMap."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(values)}


def profile(change: Object | None = None, namespace: str = NAMESPACE) -> Object:
    """Build a Profile of an S3 store with a pair of keys."""
    obj: Object = {
        "metadata": {"name": "store", "namespace": namespace},
        "location": {
            "type": "s3Compliant",
            "bucket": "backups",
            "endpoint": "https://store.example",
            "region": "eu-1",
        },
        "credential": {
            "type": "keyPair",
            "keyPair": {
                "idField": "id",
                "secretField": "key",
                "secret": {"name": "store-keys"},
            },
        },
    }
    result: Object = merged(obj, change or {})
    return result


def application(reader: Store, kind: str = "StatefulSet", change: Object | None = None) -> None:
    """Store a workload with one pod that runs, its claim and the Namespace.

    Args:
        reader: Gets them.
        kind: One of KINDS.
        change: A merge patch of the workload.
    """
    resource, between = KINDS[kind]
    reader.put(resource, workload(kind, change))
    owned_by = "uid-db"
    if kind in REVISION:
        reader.put(between, revision(kind, "1"), revision(kind, "2"))
        owned_by = "uid-db-2"
    reader.put(resources.PODS, pod(owned_by=owned_by))
    metadata = {"name": CLAIM, "namespace": NAMESPACE}
    reader.put(resources.PERSISTENT_VOLUME_CLAIMS, {"metadata": metadata})
    reader.put(resources.NAMESPACES, {"metadata": {"name": NAMESPACE}})
