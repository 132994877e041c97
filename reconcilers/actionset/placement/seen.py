"""The pods of the workload as they were when the action began, or as its template makes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.parameters import document, podrecord
from reconcilers.actionset.placement import workload
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from reconcilers.actionset.placement.workload import WorkloadPod

REASON_NOT_SEEN: Final = "PodUnknown"
NOT_SEEN: Final = (
    "argument {argument}: pod {pod} is none of {of}; it has: {known}. Name one of these, or the "
    "claims by the argument volumes of RestoreData"
)
NO_WORKLOAD: Final = (
    "argument {argument}: the object of the action is no StatefulSet or Deployment, so that "
    "nothing says which claims pod {pod} has; name them by the argument volumes of RestoreData"
)
REASON_NO_PODS: Final = "PodsMissing"
NO_PODS: Final = (
    "argument pods is missing, and {of} had no running pod when the action began; name the pods"
)
NO_PODS_NO_WORKLOAD: Final = (
    "argument pods is missing, and the object of the action is no StatefulSet or Deployment; name "
    "the pods"
)

# Of those whose pods Kanister looks up by default (pkg/function/backup_data_all.go).
_WORKLOADS: Final = ("StatefulSet", "Deployment", "DeploymentConfig")


def names(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the pods that the action's workload had.

    Args:
        parameters: The frozen parameters.

    Raises:
        InvalidInput: It had none, or the action's object is no workload.
    """
    kind = _kind(parameters)
    if not kind:
        raise InvalidInput(REASON_NO_PODS, NO_PODS_NO_WORKLOAD)
    found = tuple(parameters[kind].get("Pods") or ())
    if not found:
        raise InvalidInput(REASON_NO_PODS, NO_PODS.format(of=_title(parameters, kind)))
    return found


def pod(parameters: Mapping[str, Any], name: str, *, argument: str) -> WorkloadPod:
    """Return a pod of the action's workload, whether it still exists or not.

    One that did not run when the action began, since the workload was scaled to 0 already, is what
    the workload's template makes of its name. Kanister knows no claims of it then.

    Args:
        parameters: The frozen parameters.
        name: Name of the pod.
        argument: The argument that names it, for the message.

    Raises:
        InvalidInput: The workload has no such pod, or where on its volume a mount is cannot be
            known.
    """
    kind = _kind(parameters)
    if not kind:
        raise InvalidInput(REASON_NOT_SEEN, NO_WORKLOAD.format(argument=argument, pod=name))
    records = {one["metadata"]["name"]: one for one in parameters.get(document.POD_RECORDS) or ()}
    record = records.get(name) or _of_template(parameters["Object"], kind, name)
    if record is None:
        words = {"argument": argument, "pod": name, "of": _title(parameters, kind)}
        known = ", ".join(records) or "none that runs"
        raise InvalidInput(REASON_NOT_SEEN, NOT_SEEN.format(known=known, **words))
    return workload.read(record)


def _of_template(obj: Mapping[str, Any], kind: str, name: str) -> Object | None:
    metadata, spec = obj["metadata"], obj["spec"]
    template = spec["template"]
    volumes = {one["name"]: one for one in template["spec"].get("volumes") or ()}
    if kind == "StatefulSet":
        if not re.fullmatch(rf"{re.escape(metadata['name'])}-[0-9]+", name):
            return None
        # A claim template takes the place of a volume of its name (kubernetes pkg/controller/
        # statefulset/stateful_set_utils.go, updateStorage).
        for one in spec.get("volumeClaimTemplates") or ():
            volume = one["metadata"]["name"]
            claim = {"claimName": f"{volume}-{name}"}
            volumes[volume] = {"name": volume, workload.CLAIM: claim}
    elif not name.startswith(f"{metadata['name']}-"):
        return None
    made = {
        "metadata": {
            **(template.get("metadata") or {}),
            "name": name,
            "namespace": metadata["namespace"],
            "uid": "",
        },
        "spec": {**template["spec"], "volumes": list(volumes.values())},
    }
    return podrecord.record(made)


def _kind(parameters: Mapping[str, Any]) -> str:
    return next((kind for kind in _WORKLOADS if parameters.get(kind)), "")


def _title(parameters: Mapping[str, Any], kind: str) -> str:
    return f"{kind} {parameters[kind]['Namespace']}/{parameters[kind]['Name']}"
