"""What a user's changes must leave as it is in the pod of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from reconcilers.errors import InvalidInput
from reconcilers.pods import strategicmerge
from reconcilers.pods.strategicmerge import MERGE_KEYS, REASON_INVALID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIELD = "spec.server.podOverride"

REFUSED = "{field}.{path} must not be changed: {why}; {fix}"

TAKE_OUT = "remove it from the override"

# Why a field of the pod or of the server's container stays as it is, and what to do in place of
# changing it. Everything else is the user's, a weaker security context included.
_USER = (
    "the controller names the user id in its messages",
    "set spec.server.runAsUser",
)
_ENDS = ("the server is to run until it is replaced", TAKE_OUT)
_START = ("the controller starts Kopia with it", TAKE_OUT)
_REPORT = ("the controller reads there why Kopia ended", TAKE_OUT)
_PROBE = ("the controller relies on the probe's answer", "change its times, not what it asks")
POD_FIELDS = {
    "hostNetwork": ("no NetworkPolicy protects a pod in the node's network", TAKE_OUT),
    "restartPolicy": _ENDS,
    "activeDeadlineSeconds": _ENDS,
    "securityContext.runAsUser": _USER,
}
CONTAINER_FIELDS = {
    "command": _START,
    "args": _START,
    "workingDir": _START,
    "ports": ("Service and NetworkPolicy know the server's port only", TAKE_OUT),
    "restartPolicy": _ENDS,
    "restartPolicyRules": _ENDS,
    "securityContext.runAsUser": _USER,
    "startupProbe.httpGet": _PROBE,
    "readinessProbe.exec": _PROBE,
    "livenessProbe.httpGet": _PROBE,
    "terminationMessagePath": _REPORT,
    "terminationMessagePolicy": _REPORT,
}

# Lists that may be added to, while the items that the controller has put there stay as they are.
POD_ITEMS = {"volumes": ("Kopia keeps its files there", "give a volume of yours another name")}
CONTAINER_ITEMS = {
    "env": _START,
    "volumeMounts": ("Kopia keeps its files there", "mount a volume of yours at another path"),
}


def merged(
    spec: Mapping[str, Any], override: Mapping[str, Any], *, container: str
) -> dict[str, Any]:
    """Return a PodSpec with an override merged into it.

    Args:
        spec: The PodSpec as generated.
        override: A partial PodSpec, any JSON that a user wrote.
        container: Name of the server's container in `spec`.

    Raises:
        InvalidInput: The override changes what the server depends on, or is no part of a PodSpec.
    """
    result = strategicmerge.merged(spec, override, field=FIELD)
    _keep_fields(spec, result, POD_FIELDS, "")
    _keep_items(spec, result, POD_ITEMS, "")

    path = f"containers[{container}]"
    generated = _item(spec["containers"], "name", container)
    overridden = _item(result.get("containers", ()), "name", container)
    if overridden is None:
        _refuse(path, ("it is the server", TAKE_OUT))
    _keep_fields(generated, overridden, CONTAINER_FIELDS, f"{path}.")
    _keep_items(generated, overridden, CONTAINER_ITEMS, f"{path}.")
    return result


def mounts_claim(override: Mapping[str, Any]) -> bool:
    """Return whether an override that `merged` has taken adds a PersistentVolumeClaim."""
    return any("persistentVolumeClaim" in volume for volume in override.get("volumes") or ())


def _keep_fields(
    generated: Any,  # noqa: ANN401 - a PodSpec or a part of it
    overridden: Any,  # noqa: ANN401 - a PodSpec or a part of it
    fields: Mapping[str, tuple[str, str]],
    prefix: str,
) -> None:
    for field, words in fields.items():
        if _value(generated, field) != _value(overridden, field):
            _refuse(f"{prefix}{field}", words)


def _keep_items(
    generated: Mapping[str, Any],
    overridden: Mapping[str, Any],
    lists: Mapping[str, tuple[str, str]],
    prefix: str,
) -> None:
    for name, words in lists.items():
        key = MERGE_KEYS[name]
        for item in generated.get(name, ()):
            if _item(overridden.get(name, ()), key, item[key]) != item:
                _refuse(f"{prefix}{name}[{item[key]}]", words)


def _value(node: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _item(items: Sequence[Any], key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return next((item for item in items if item.get(key) == value), None)


def _refuse(path: str, words: tuple[str, str]) -> NoReturn:
    why, fix = words
    message = REFUSED.format(field=FIELD, path=path, why=why, fix=fix)
    raise InvalidInput(REASON_INVALID, message)
