"""The JSON document of the parameters: put together, stored, and completed. Pure functions.

The package's docstring has its layout.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from controller.resource import Object
    from reconcilers.actionset.api import Action

#: Key of the workload's pods in the frozen part, see `podrecord`. Templates do not see it.
POD_RECORDS: Final = "workloadPods"

#: A Secret takes 1 MiB. The rest is for the Blueprint's action.
MAX_BYTES: Final = 768 * 1024

REASON_TOO_LARGE: Final = "ParametersTooLarge"
TOO_LARGE: Final = (
    "what templates can name of action {action} has {size} bytes, {part} most of it; it is kept in "
    "a Secret and must not have more than {limit}: make it smaller"
)

_OUTPUT: Final = "Output"


def frozen(
    action: Action,
    *,
    time: datetime,
    target: Mapping[str, Any],
    pods: Sequence[Object],
) -> dict[str, Any]:
    """Return the part of the parameters that stays as it was when the action began.

    Args:
        action: The action of the ActionSet's spec.
        time: When it began, in UTC.
        target: What is known of its object, by the names of the document.
        pods: The workload's pods, as `podrecord.record` returns them; none for other objects.
    """
    parameters: dict[str, Any] = {
        "Time": rfc3339(time),
        **target,
        "ArtifactsIn": {name: dict(artifact) for name, artifact in action.artifacts.items()},
        "Options": dict(action.options),
        "PodOverride": dict(action.pod_override),
        "PodLabels": dict(action.pod_labels),
        "PodAnnotations": dict(action.pod_annotations),
    }
    if pods:
        parameters[POD_RECORDS] = list(pods)
    return parameters


def rfc3339(time: datetime) -> str:
    """Return a time in UTC as Go's layout RFC3339Nano writes it: no zeros after the last digit."""
    seconds, _, fraction = time.strftime("%Y-%m-%dT%H:%M:%S.%f").partition(".")
    fraction = fraction.rstrip("0")
    return f"{seconds}.{fraction}Z" if fraction else f"{seconds}Z"


def encode(parameters: Mapping[str, Any], *, action: str) -> bytes:
    """Return the frozen part as it is stored: the same bytes for the same parameters.

    Args:
        parameters: The frozen part.
        action: Name of the action, for the message.

    Raises:
        InvalidInput: It is larger than `MAX_BYTES`.
    """
    content = _json(parameters)
    if len(content) > MAX_BYTES:
        largest = max(parameters, key=lambda key: len(_json(parameters[key])))
        raise InvalidInput(
            REASON_TOO_LARGE,
            TOO_LARGE.format(action=action, size=len(content), part=largest, limit=MAX_BYTES),
        )
    return content


def decode(content: bytes) -> dict[str, Any]:
    """Return the frozen part of what `encode` returned."""
    parameters: dict[str, Any] = json.loads(content)
    return parameters


def for_templates(parameters: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that templates can name but outputs.

    Args:
        parameters: The frozen part.
        live: The rest.
    """
    visible = {key: value for key, value in parameters.items() if key != POD_RECORDS}
    return {**visible, **live}


def with_outputs(
    parameters: Mapping[str, Any],
    phases: Mapping[str, Mapping[str, Any] | None],
    deferred: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return parameters with the outputs of phases beside those that they have.

    Args:
        parameters: What `ParameterReader.complete` returned. Not changed.
        phases: The outputs of each phase that is over; None for a phase without any.
        deferred: The outputs of the deferPhase. Default: none.
    """
    known = dict(parameters.get("Phases", {}))
    for name, outputs in phases.items():
        known[name] = _with_output(known.get(name, {}), outputs)
    last = _with_output(parameters.get("DeferPhase", {}), deferred)
    return {**parameters, "Phases": known, "DeferPhase": last}


def _with_output(phase: Mapping[str, Any], outputs: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(phase) if outputs is None else {**phase, _OUTPUT: dict(outputs)}


def _json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()
