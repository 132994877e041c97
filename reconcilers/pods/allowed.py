"""Which overrides the controller's settings admit.

An override is part of a resource: without a limit, whoever may write RepositoryServers may run any
image and mount any Secret of the namespace, without the right to create pods. The flag
`--pod-override` sets the limit; what `overrides` refuses is refused under each of its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from reconcilers.errors import InvalidInput
from reconcilers.pods import overrides
from reconcilers.pods.overrides import FIELD
from reconcilers.pods.strategicmerge import REASON_INVALID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

#: An override may have what `check` names, and nothing else. The default.
RESTRICTED: Final = "restricted"
#: An override may have all that `overrides` does not refuse.
ANY: Final = "any"
#: No override is taken.
OFF: Final = "off"
MODES: Final = (RESTRICTED, ANY, OFF)

#: Where the pod runs and how important it is; no field of these names an object of the namespace.
POD_FIELDS: Final = frozenset(
    {
        "affinity",
        "nodeSelector",
        "preemptionPolicy",
        "priorityClassName",
        "schedulerName",
        "tolerations",
        "topologySpreadConstraints",
    }
)
#: What `resources` may have; `claims` would name devices.
RESOURCES: Final = frozenset({"requests", "limits"})
#: Beginnings of variables by which a process sends its credentials elsewhere, trusts somebody else,
#: or loads other code. Secrets that a resource names would be at its author's mercy.
VARIABLES: Final = (
    "AWS_",
    "AZURE_",
    "CLOUDSDK_",
    "GCE_",
    "GODEBUG",
    "GOOGLE_",
    "HOME",
    "HOSTALIASES",
    "IDENTITY_",
    "IMDS_",
    "KOPIA_",
    "LD_",
    "LOCALDOMAIN",
    "MINIO_",
    "MSI_",
    "PATH",
    "SSL",
    "STORAGE_EMULATOR_",
    "XDG_",
)

NOT_ALLOWED: Final = (
    "{field}.{path} is not allowed: {why}; remove it, or have whoever runs the controller set "
    "--pod-override=any"
)
SWITCHED_OFF: Final = (
    "{field} is not allowed: the controller runs with --pod-override=off; remove it"
)
WHY_FIELD: Final = (
    "the controller takes only scheduling, priority, resources, plain variables and emptyDir "
    "volumes in an override"
)
WHY_REFERENCE: Final = "its value refers to another variable, which may hold a password"
WHY_VARIABLE: Final = "the variable says where credentials go, whom to trust or what to load"


def check(override: Mapping[str, Any], *, mode: str, container: str) -> None:
    """Refuse an override that the settings do not admit.

    Args:
        override: A partial PodSpec, any JSON that a user wrote.
        mode: One of `MODES`.
        container: Name of the server's container.

    Raises:
        InvalidInput: It has more than `mode` allows.
    """
    if mode == ANY or not override:
        return
    if mode == OFF:
        raise InvalidInput(REASON_INVALID, SWITCHED_OFF.format(field=FIELD))
    for name, value in override.items():
        if name == "containers":
            for item in _items(value, name):
                _check_container(item, container, _own_volumes(override))
        elif name == "volumes":
            for item in _items(value, name):
                _check_keys(item, {"name", "emptyDir"}, f"volumes[{item.get('name')}]")
        elif name in overrides.POD_FIELDS:
            # What no setting allows is not to be asked for.
            overrides.refuse(name, overrides.POD_FIELDS[name])
        elif name not in POD_FIELDS:
            _refuse(name)


def _check_container(item: Mapping[str, Any], container: str, volumes: AbstractSet[str]) -> None:
    path = f"containers[{item.get('name')}]"
    if item.get("name") != container:
        _refuse(path)
    for field in item.keys() & overrides.CONTAINER_FIELDS.keys():
        overrides.refuse(f"{path}.{field}", overrides.CONTAINER_FIELDS[field])
    _check_keys(item, {"name", "resources", "env", "volumeMounts"}, path)
    resources = item.get("resources")
    if resources is not None and not isinstance(resources, dict):
        _refuse(f"{path}.resources")
    _check_keys(resources or {}, RESOURCES, f"{path}.resources")
    for variable in _items(item.get("env", []), f"{path}.env"):
        name = str(variable.get("name"))
        _check_keys(variable, {"name", "value"}, f"{path}.env[{name}]")
        # What a library reads in small letters as well, a proxy, is none of these.
        if name.upper().startswith(VARIABLES):
            _refuse(f"{path}.env[{name}]", WHY_VARIABLE)
        # The kubelet fills in variables from Secrets as well: a proxy's URL could carry one away.
        if "$(" in str(variable.get("value")):
            _refuse(f"{path}.env[{name}].value", WHY_REFERENCE)
    for mount in _items(item.get("volumeMounts", []), f"{path}.volumeMounts"):
        if mount.get("name") not in volumes:
            _refuse(f"{path}.volumeMounts[{mount.get('mountPath')}]")


def _own_volumes(override: Mapping[str, Any]) -> set[str]:
    """Return the names of the volumes that the override adds."""
    return {str(item.get("name")) for item in _items(override.get("volumes", []), "volumes")}


def _items(value: Any, path: str) -> list[Mapping[str, Any]]:  # noqa: ANN401 - any JSON value
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _refuse(path)
    return value


def _check_keys(node: Mapping[str, Any], keys: AbstractSet[str], path: str) -> None:
    for key in node:
        if key not in keys:
            _refuse(f"{path}.{key}")


def _refuse(path: str, why: str = WHY_FIELD) -> NoReturn:
    raise InvalidInput(REASON_INVALID, NOT_ALLOWED.format(field=FIELD, path=path, why=why))
