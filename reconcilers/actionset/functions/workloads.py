"""What ScaleWorkload has to know of a workload: its kind, its pods, and whether they are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

STATEFUL_SET: Final = "StatefulSet"
DEPLOYMENT: Final = "Deployment"
SCALE: Final = "scale"

#: Where the scale of a kind is, by the kind in lower case. The objects there are Scales.
SCALES: Final[Mapping[str, Resource]] = {
    STATEFUL_SET.lower(): Resource("apps", "v1", "statefulsets", "Scale"),
    DEPLOYMENT.lower(): Resource("apps", "v1", "deployments", "Scale"),
}

NOT_GONE: Final = "pods to be gone: {names}"
NOT_GONE_EITHER: Final = "{names} and {count} more"
SURPLUS: Final = "its {count} pods to become {wanted}"
NOT_READY: Final = "{count} of {wanted} pods to be ready"

#: How many pods a message names.
_NAMED: Final = 3

_ENDED: Final = frozenset({"Succeeded", "Failed"})


def kind_of(written: str) -> str:
    """Return the kind for a kind in any case; empty if it cannot be scaled."""
    return {STATEFUL_SET.lower(): STATEFUL_SET, DEPLOYMENT.lower(): DEPLOYMENT}.get(
        written.lower(), ""
    )


def replicas_of(scale: Mapping[str, Any]) -> int:
    """Return the replicas that a Scale asks for. The API server leaves out a 0."""
    return int((scale.get("spec") or {}).get("replicas") or 0)


def selector_of(scale: Mapping[str, Any]) -> str:
    """Return the label selector of a Scale's pods, as on the command line."""
    return str((scale.get("status") or {}).get("selector") or "")


def owned_by(objects: Iterable[Mapping[str, Any]], uids: Collection[str]) -> list[dict[str, Any]]:
    """Return the objects whose controller is one of some owners.

    Args:
        objects: Pods, or ReplicaSets.
        uids: Of the owners.
    """
    return [
        dict(one)
        for one in objects
        if any(
            owner.get("controller") and owner.get("uid") in uids
            for owner in one["metadata"].get("ownerReferences") or ()
        )
    ]


def uids(objects: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the uids of objects."""
    return [one["metadata"]["uid"] for one in objects]


def still_there(pods: Iterable[Mapping[str, Any]], kind: str) -> list[str]:
    """Return the names of the pods that a workload without replicas must lose first.

    A pod counts until it is gone from the API: one that has ended may still hold its volumes. One
    of a Deployment that ended by itself, evicted for example, stays for as long as nobody deletes
    it: its ReplicaSet counts only active pods (kubernetes pkg/controller/controller_utils.go,
    FilterActivePods). Such a pod holds nothing.

    Args:
        pods: Of the workload.
        kind: `STATEFUL_SET` or `DEPLOYMENT`.
    """
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if kind == STATEFUL_SET or not _has_ended(pod) or _is_deleted(pod)
    )


def missing(pods: Iterable[Mapping[str, Any]], wanted: int, kind: str) -> str:
    """Return what is missing until a workload has its replicas, in words; empty if nothing is.

    Args:
        pods: Of the workload.
        wanted: How many replicas it is to have.
        kind: `STATEFUL_SET` or `DEPLOYMENT`.
    """
    pods = list(pods)
    if not wanted:
        left = still_there(pods, kind)
        return NOT_GONE.format(names=_listed(left)) if left else ""
    active = [pod for pod in pods if not _has_ended(pod)]
    ready = sum(_is_ready(pod) and not _is_deleted(pod) for pod in active)
    if ready < wanted:
        return NOT_READY.format(count=ready, wanted=wanted)
    return SURPLUS.format(count=len(active), wanted=wanted) if len(active) > wanted else ""


def _listed(names: list[str]) -> str:
    """Return the first names, and how many more there are."""
    first, more = ", ".join(names[:_NAMED]), len(names) - _NAMED
    return NOT_GONE_EITHER.format(names=first, count=more) if more > 0 else first


def _has_ended(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in _ENDED


def _is_deleted(pod: Mapping[str, Any]) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
