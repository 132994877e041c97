"""Pods of a workload as the API server has them, for tests of where a data function's pod goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconcilers.actionset.parameters import podrecord
from reconcilers.actionset.placement import workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconcilers.actionset.placement.workload import WorkloadPod

Object = dict[str, Any]

NAMESPACE = "shop"
NODE = "node-1"

CLAIM = {"persistentVolumeClaim": {"claimName": "data-db-0"}}


def mount(name: str, path: str, **more: Any) -> Object:
    """Build one of a container's volumeMounts."""
    return {"name": name, "mountPath": path, **more}


def container(name: str = "db", *mounts: Object, **more: Any) -> Object:
    """Build a container with a claim at /var/lib/data, or with the mounts that are given."""
    found = list(mounts or (mount("data", "/var/lib/data"),))
    return {"name": name, "image": name, "volumeMounts": found, **more}


def pod(
    *containers: Object,
    volumes: Mapping[str, Object] | None = None,
    name: str = "db-0",
    spec: Object | None = None,
    status: Object | None = None,
    labels: Mapping[str, str] | None = None,
) -> Object:
    """Build a pod that runs.

    Args:
        containers: Its containers. Default: one, with a claim.
        volumes: Its volumes by name, each its source. Default: `data`, a claim.
        name: Its name.
        spec: More of its spec.
        status: More of its status.
        labels: Its labels.
    """
    found = {"data": CLAIM} if volumes is None else volumes
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-of-{name}",
            "labels": dict(labels or {}),
        },
        "spec": {
            "nodeName": NODE,
            "containers": list(containers or (container(),)),
            "volumes": [{"name": volume, **source} for volume, source in found.items()],
            **(spec or {}),
        },
        "status": {"phase": "Running", **(status or {})},
    }


def seen(obj: Object) -> WorkloadPod:
    """Return what a pod says about its data."""
    return workload.read(podrecord.record(obj))


def claim(
    name: str = "data-db-0", *, modes: Iterable[str] = ("ReadWriteOnce",), **spec: Any
) -> Object:
    """Build a PersistentVolumeClaim."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}"},
        "spec": {"accessModes": list(modes), **spec},
    }
