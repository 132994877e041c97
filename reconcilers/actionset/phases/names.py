"""What the pod of a phase is called, and by which labels and annotations it is known. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset import api

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.reconcile import Request
    from reconcilers.actionset.function import PhaseRun

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
#: Which phase of which ActionSet, as a hash: tells its pods from those of other phases.
LABEL_PHASE: Final = "actionset.cr.kanister.io/phase"
#: Whose pod it is: `namespace/name` of the ActionSet. Too long for a label.
ANNOTATION_ACTION_SET: Final = "actionset.cr.kanister.io/action-set"
#: The containers whose end is the end of the phase, apart by commas, the main one first.
ANNOTATION_CONTAINERS: Final = "actionset.cr.kanister.io/containers"
#: Which phase of which action: `0/backup`.
ANNOTATION_PHASE: Final = "actionset.cr.kanister.io/phase"

# A host name is a DNS label.
_LENGTH: Final = 63
_HASH_LENGTH: Final = 10
_NO_LABEL: Final = re.compile(r"[^a-z0-9]+")


def pod_name(run: PhaseRun, *, attempt: int = 0, part: str = "") -> str:
    """Return the name of the pod of a phase: always the same for the same phase.

    It begins with names that people know, and ends with a hash that tells it from all others.

    Args:
        run: The phase.
        attempt: Counts the pods of a phase that may run again. Default: the first.
        part: Tells the pods of a phase with several apart. Default: none, it has one.
    """
    hash_ = _hash([*_identity(run), attempt, part])
    readable = _NO_LABEL.sub("-", f"{run.request.name}-{run.phase}".lower()).strip("-")
    prefix = readable[: _LENGTH - _HASH_LENGTH - 1].strip("-")
    return f"{prefix}-{hash_}" if prefix else hash_


def own_labels(run: PhaseRun) -> dict[str, str]:
    """Return the labels that are ours."""
    return {
        LABEL_MANAGED_BY: api.MANAGER,
        api.LABEL_CREATED_BY: api.CREATED_BY,
        api.LABEL_UID: run.uid,
        LABEL_PHASE: _hash(_identity(run)),
    }


def selector(run: PhaseRun) -> str:
    """Return the label selector of the pods of a phase."""
    return f"{LABEL_PHASE}={_hash(_identity(run))}"


def own_annotations(run: PhaseRun, containers: Iterable[str]) -> dict[str, str]:
    """Return the annotations that are ours.

    Args:
        run: The phase.
        containers: Those whose end is the end of the phase, the main one first.
    """
    return {
        ANNOTATION_ACTION_SET: key_of(run.request),
        ANNOTATION_PHASE: f"{run.action.index}/{run.phase}",
        ANNOTATION_CONTAINERS: ",".join(containers),
    }


def containers_of(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the containers whose end is the end of the phase; the first is the main one."""
    text: str = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_CONTAINERS, "")
    named = tuple(filter(None, text.split(",")))
    # Somebody has taken the annotation off: the function's containers come first.
    return named or (pod["spec"]["containers"][0]["name"],)


def belongs_to(pod: Mapping[str, Any], run: PhaseRun) -> bool:
    """Return whether a pod of the computed name is that of the phase, and not somebody else's."""
    found = pod["metadata"].get("labels") or {}
    return all(found.get(name) == value for name, value in own_labels(run).items())


def action_set_of(pod: Mapping[str, Any]) -> str:
    """Return the `namespace/name` of the ActionSet of a pod; empty if it names none."""
    key: str = (pod["metadata"].get("annotations") or {}).get(ANNOTATION_ACTION_SET, "")
    return key


def key_of(request: Request) -> str:
    """Return the `namespace/name` of an ActionSet."""
    return f"{request.namespace}/{request.name}"


def _identity(run: PhaseRun) -> list[Any]:
    return [run.uid, run.action.index, run.phase, run.deferred]


def _hash(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_HASH_LENGTH]
