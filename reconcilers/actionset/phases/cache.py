"""What the informer of the phases' pods follows, and whom a change of one wakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from controller.cache.shared import Selection
from controller.cache.trim import default_trim
from controller.reconcile import Request
from reconcilers.actionset import api
from reconcilers.actionset.phases import names
from reconcilers.actionset.phases.podview import is_sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.cache.store import IndexFunction
    from controller.resource import Object

#: Which pods.
SELECTION: Final = Selection(labels=f"{names.LABEL_MANAGED_BY}={api.MANAGER}")
#: The index of pods by the `namespace/name` of their ActionSet.
INDEX_ACTION_SET: Final = "action-set"


def requests_of(pod: Object) -> Iterator[Request]:
    """Name the ActionSet of a pod. A mapper."""
    namespace, _, name = names.action_set_of(pod).partition("/")
    if name:
        yield Request(namespace, name)


def _by_action_set(pod: Object) -> list[str]:
    return list(filter(None, [names.action_set_of(pod)]))


#: The index functions that the informer needs.
INDEXERS: Final[Mapping[str, IndexFunction]] = {INDEX_ACTION_SET: _by_action_set}


def trimmed(pod: Object) -> Object:
    """Return a pod without what nobody reads: a rendered command may hold a password.

    Args:
        pod: As it arrives. It and its metadata are changed, deeper values are not.
    """
    spec = pod.get("spec") or {}
    pod["spec"] = {
        "nodeName": spec.get("nodeName"),
        "containers": [
            {"name": one["name"], "resources": one.get("resources") or {}}
            for one in spec.get("containers") or ()
        ],
    }
    sidecars = [one for one in spec.get("initContainers") or () if is_sidecar(one)]
    if sidecars:
        kept = ("name", "restartPolicy")
        pod["spec"]["initContainers"] = [{name: one[name] for name in kept} for one in sidecars]
    return default_trim(pod)
