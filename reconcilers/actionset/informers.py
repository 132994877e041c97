"""What the informer of ActionSets watches, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.cache.trim import default_trim
from reconcilers.actionset.api import ACTION_SETS, ANNOTATION_TTL
from reconcilers.actionset.retention import (
    DELETED,
    INDEX_DELETED,
    INDEX_PUT_OUT,
    PUT_OUT,
    deleted,
    indexed_deleted,
    indexed_put_out,
    put_out,
)
from reconcilers.actionset.status.document import is_over

if TYPE_CHECKING:
    from controller.cache.shared import SharedInformer
    from controller.operator import Operator
    from controller.resource import Object

_KEPT_METADATA: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "deletionTimestamp",
)
_KEPT_OF_OBJECT: Final = ("kind", "resource", "namespace", "name")


def follow(operator: Operator) -> SharedInformer:
    """Return the ActionSets, finished ones trimmed, by an informer that runs with the operator."""
    return operator.informer(
        ACTION_SETS,
        indexers={INDEX_PUT_OUT: indexed_put_out, INDEX_DELETED: indexed_deleted},
        trim=trim_action_set,
    )


def trim_action_set(obj: Object) -> Object:
    """Keep of a finished ActionSet what metrics and its time limit need: there are thousands."""
    default_trim(obj)
    if not is_over(obj):
        return obj
    metadata = obj["metadata"]
    kept: Object = {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "metadata": {name: metadata[name] for name in _KEPT_METADATA if name in metadata},
        "status": _status(obj["status"]),
    }
    ttl = (metadata.get("annotations") or {}).get(ANNOTATION_TTL)
    if ttl:
        kept["metadata"]["annotations"] = {ANNOTATION_TTL: ttl}
    for name, found in ((PUT_OUT, put_out(obj)), (DELETED, deleted(obj))):
        if found:
            kept[name] = found
    return kept


def _status(status: Object) -> Object:
    ended = (status.get("progress") or {}).get("lastTransitionTime")
    return {
        "state": status["state"],
        "progress": {"lastTransitionTime": ended} if ended else {},
        "actions": [_action(action) for action in status.get("actions") or ()],
    }


def _action(action: Object) -> dict[str, Any]:
    target = action.get("object") or {}
    return {
        "name": action.get("name", ""),
        "blueprint": action.get("blueprint", ""),
        "object": {name: target[name] for name in _KEPT_OF_OBJECT if target.get(name)},
    }
