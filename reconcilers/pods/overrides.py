"""What an override must leave as it is in the pod of a server, whatever else is allowed.

Refused are two kinds of changes: of what the server depends on, and of what would give whoever
may write RepositoryServers power over the node or over another account. `allowed` says which of the
other changes the controller's settings admit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from reconcilers.errors import InvalidInput
from reconcilers.pods import strategicmerge
from reconcilers.pods.strategicmerge import MERGE_KEYS, REASON_INVALID

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FIELD: Final = "spec.server.podOverride"

REFUSED: Final = "{field}.{path} must not be changed: {why}; {fix}"
FORBIDDEN: Final = "{field}.{path} is never allowed: {why}; {fix}"

TAKE_OUT: Final = "remove it from the override"

# Why a field of the pod or of the server's container stays as it is, and what to do in place of
# changing it.
_USER: Final = (
    "the controller names the user id in its messages",
    "set spec.server.runAsUser",
)
_HOST: Final = ("a pod must not see the processes of its node", TAKE_OUT)
_ACCOUNT: Final = (
    "an account has to be allowed by its owner",
    "set spec.server.serviceAccountName",
)
_ENDS: Final = ("the server is to run until it is replaced", TAKE_OUT)
_START: Final = ("the controller starts Kopia with it", TAKE_OUT)
_REPORT: Final = ("the controller reads there why Kopia ended", TAKE_OUT)
_PROBE: Final = (
    "the controller relies on the probe's answer",
    "change its times, not what it asks",
)
POD_FIELDS: Final = {
    "hostNetwork": ("no NetworkPolicy protects a pod in the node's network", TAKE_OUT),
    "hostPID": _HOST,
    "hostIPC": _HOST,
    "nodeName": (
        "it goes around the scheduler and the taints of the node",
        "set spec.server.nodeSelector",
    ),
    "serviceAccountName": _ACCOUNT,
    "serviceAccount": _ACCOUNT,
    "restartPolicy": _ENDS,
    "activeDeadlineSeconds": _ENDS,
    "securityContext.runAsUser": _USER,
}
CONTAINER_FIELDS: Final = {
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
POD_ITEMS: Final = {
    "volumes": ("Kopia keeps its files there", "give a volume of yours another name")
}
CONTAINER_ITEMS: Final = {
    "env": _START,
    "volumeMounts": ("Kopia keeps its files there", "mount a volume of yours at another path"),
}

# What no container of the pod may have, and what no volume may be: each is a way from a pod to its
# node (the baseline profile of the Pod Security Standards).
_NODE: Final = "it gives the pod power over its node"
CONTAINER_LISTS: Final = ("containers", "initContainers", "ephemeralContainers")
CONTAINER_POWERS: Final = {
    "securityContext.privileged": (_NODE, TAKE_OUT),
    "securityContext.capabilities.add": (_NODE, TAKE_OUT),
    "securityContext.procMount": (_NODE, TAKE_OUT),
    "securityContext.windowsOptions.hostProcess": (_NODE, TAKE_OUT),
    "securityContext.runAsUser": (
        "a container of a server runs as root only where the server does",
        "set spec.server.runAsUser to 0, or another user id here",
    ),
}
POD_POWERS: Final = {"securityContext.windowsOptions.hostProcess": (_NODE, TAKE_OUT)}
PORT_POWERS: Final = {"hostPort": ("no NetworkPolicy protects a port of the node", TAKE_OUT)}
VOLUME_POWERS: Final = {"hostPath": (_NODE, "mount a volume of another kind")}


def merged(
    spec: Mapping[str, Any], override: Mapping[str, Any], *, container: str
) -> dict[str, Any]:
    """Return a PodSpec with an override merged into it.

    What the override leaves alone is shared with the PodSpec that it is merged into.

    Args:
        spec: The PodSpec as generated. Not changed.
        override: A partial PodSpec, any JSON that a user wrote.
        container: Name of the server's container in `spec`.

    Raises:
        InvalidInput: The override changes what the server depends on, asks for power over the
            node, or is no part of a PodSpec.
    """
    result = strategicmerge.merged(spec, override, field=FIELD)
    keep_fields(spec, result, POD_FIELDS)
    _keep_items(spec, result, POD_ITEMS, "")

    path = f"containers[{container}]"
    generated = _item(spec["containers"], "name", container)
    overridden = _item(result.get("containers", ()), "name", container)
    if overridden is None:
        refuse(path, ("it is the server", TAKE_OUT))
    keep_fields(generated, overridden, CONTAINER_FIELDS, prefix=f"{path}.")
    _keep_items(generated, overridden, CONTAINER_ITEMS, f"{path}.")
    refuse_powers(result, is_root=_value(spec, "securityContext.runAsUser") == 0)
    return result


def mounts_claim(override: Mapping[str, Any]) -> bool:
    """Return whether an override that `merged` has taken adds a PersistentVolumeClaim."""
    return any("persistentVolumeClaim" in volume for volume in override.get("volumes") or ())


def refuse_powers(spec: Mapping[str, Any], *, is_root: bool, field: str = FIELD) -> None:
    """Refuse a PodSpec with which a pod has power over its node.

    Args:
        spec: The PodSpec as merged, or an override of one.
        is_root: Whether the resource lets its containers run as root.
        field: Where the user wrote the override, for messages. Default: that of servers.

    Raises:
        InvalidInput: A field is one of those that are never allowed.
    """
    for node, fields, prefix in _parts_with_powers(spec):
        for name, words in fields.items():
            if _is_power(name, _value(node, name), is_root=is_root):
                refuse(f"{prefix}{name}", words, FORBIDDEN, field)


def _parts_with_powers(
    spec: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, tuple[str, str]], str]]:
    """Yield the parts of a PodSpec, each with its fields that give power, and its path."""
    yield spec, POD_POWERS, ""
    for volume in _objects(spec.get("volumes")):
        yield volume, VOLUME_POWERS, f"volumes[{volume.get('name')}]."
    for name in CONTAINER_LISTS:
        for container in _objects(spec.get(name)):
            path = f"{name}[{container.get('name')}]."
            yield container, CONTAINER_POWERS, path
            for port in _objects(container.get("ports")):
                yield port, PORT_POWERS, f"{path}ports[{port.get('containerPort')}]."


def _is_power(field: str, value: Any, *, is_root: bool) -> bool:  # noqa: ANN401 - any JSON value
    if field.endswith(".runAsUser"):
        return value is not None and value == 0 and not is_root
    if field.endswith(".procMount"):
        return value not in (None, "Default")
    if field == "hostPath":
        return value is not None
    return bool(value)


def _objects(node: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - any JSON value
    """Yield the objects of a list; the API server refuses what else is in it."""
    if isinstance(node, list):
        yield from (item for item in node if isinstance(item, dict))


def keep_fields(
    generated: Any,  # noqa: ANN401 - a PodSpec or a part of it
    overridden: Any,  # noqa: ANN401 - a PodSpec or a part of it
    fields: Mapping[str, tuple[str, str]],
    *,
    prefix: str = "",
    field: str = FIELD,
) -> None:
    """Refuse an override that has changed a field which is to stay.

    Args:
        generated: The PodSpec, or a part of it, before the override.
        overridden: The same after it.
        fields: Why each of the fields stays, and what to do in place of changing it.
        prefix: The path of the part, with a dot at its end. Default: the PodSpec itself.
        field: Where the user wrote the override, for messages. Default: that of servers.

    Raises:
        InvalidInput: A field has changed.
    """
    for name, words in fields.items():
        if _value(generated, name) != _value(overridden, name):
            refuse(f"{prefix}{name}", words, field=field)


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
                refuse(f"{prefix}{name}[{item[key]}]", words)


def _value(node: Any, path: str) -> Any:  # noqa: ANN401 - any JSON value
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _item(items: Sequence[Any], key: str, value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return next((item for item in items if item.get(key) == value), None)


def refuse(
    path: str, words: tuple[str, str], template: str = REFUSED, field: str = FIELD
) -> NoReturn:
    """Refuse a field of an override.

    Args:
        path: Of the field, below the override.
        words: Why it is refused, and what to do.
        template: Of the message, `REFUSED` or `FORBIDDEN`.
        field: Where the user wrote the override. Default: that of servers.

    Raises:
        InvalidInput: Always.
    """
    why, fix = words
    message = template.format(field=field, path=path, why=why, fix=fix)
    raise InvalidInput(REASON_INVALID, message)
