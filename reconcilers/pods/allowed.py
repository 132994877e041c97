"""Which overrides the controller's settings admit.

An override is part of a resource: without a limit, whoever may write RepositoryServers may run any
image and mount any Secret of the namespace, without the right to create pods. The flag
`--pod-override` sets the limit; what `overrides` refuses is refused under each of its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from attrs import frozen

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
#: What the mount of a volume may have.
MOUNT: Final = frozenset({"name", "mountPath", "readOnly", "subPath"})
#: Beginnings of variables by which a process sends its credentials elsewhere, trusts somebody else,
#: or loads other code. Secrets that a resource names would be at its author's mercy.
VARIABLES: Final = (
    "AWS_",
    "AZURE_",
    # The probe of a file store and the filter of the log run in /bin/sh, which may be bash.
    "BASH",
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
    "PS4",
    "SHELLOPTS",
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


@frozen
class Rules:
    """Whose override it is, and what `RESTRICTED` takes of it.

    Args:
        field: Where the user writes it, for messages.
        containers: Which containers it may change, by the name of their list.
        pod_fields: Fields of the pod that no setting lets an override change: why, and what to do.
        container_fields: The same of a container.
    """

    field: str
    containers: Mapping[str, AbstractSet[str]]
    pod_fields: Mapping[str, tuple[str, str]]
    container_fields: Mapping[str, tuple[str, str]]


def of_server(container: str) -> Rules:
    """Return the rules for `spec.server.podOverride`.

    Args:
        container: Name of the server's container.
    """
    return Rules(
        FIELD,
        {"containers": {container}},
        overrides.POD_FIELDS,
        overrides.CONTAINER_FIELDS,
    )


def check(override: Mapping[str, Any], *, mode: str, rules: Rules) -> None:
    """Refuse an override that the settings do not admit.

    Args:
        override: A partial PodSpec, any JSON that a user wrote.
        mode: One of `MODES`.
        rules: Whose it is.

    Raises:
        InvalidInput: It has more than `mode` allows.
    """
    if mode == ANY or not override:
        return
    if mode == OFF:
        raise InvalidInput(REASON_INVALID, SWITCHED_OFF.format(field=rules.field))
    _Check(rules, override).run()


class _Check:
    """One override, and the rules for it.

    Args:
        rules: Whose it is.
        override: A partial PodSpec.
    """

    def __init__(self, rules: Rules, override: Mapping[str, Any]) -> None:
        self._rules = rules
        self._override = override

    def run(self) -> None:
        for name, value in self._override.items():
            if name in self._rules.containers:
                for item in self._items(value, name):
                    self._check_container(item, name)
            elif name == "volumes":
                for item in self._items(value, name):
                    self._check_keys(item, {"name", "emptyDir"}, f"volumes[{item.get('name')}]")
            elif name in self._rules.pod_fields:
                # What no setting allows is not to be asked for.
                overrides.refuse(name, self._rules.pod_fields[name], field=self._rules.field)
            elif name not in POD_FIELDS:
                self._refuse(name)

    def _check_container(self, item: Mapping[str, Any], kind: str) -> None:
        path = f"{kind}[{item.get('name')}]"
        if not _is_one_of(item.get("name"), self._rules.containers[kind]):
            self._refuse(path)
        for field in item.keys() & self._rules.container_fields.keys():
            words = self._rules.container_fields[field]
            overrides.refuse(f"{path}.{field}", words, field=self._rules.field)
        self._check_keys(item, {"name", "resources", "env", "volumeMounts"}, path)
        resources = item.get("resources")
        if resources is not None and not isinstance(resources, dict):
            self._refuse(f"{path}.resources")
        self._check_keys(resources or {}, RESOURCES, f"{path}.resources")
        for variable in self._items(item.get("env", []), f"{path}.env"):
            self._check_variable(variable, f"{path}.env[{variable.get('name')}]")
        for mount in self._items(item.get("volumeMounts", []), f"{path}.volumeMounts"):
            self._check_mount(mount, f"{path}.volumeMounts[{mount.get('mountPath')}]")

    def _check_mount(self, mount: Mapping[str, Any], path: str) -> None:
        if not _is_one_of(mount.get("name"), self._own_volumes()):
            self._refuse(path)
        # The kubelet fills in variables from Secrets here too, and says in the pod's status which
        # path it could not mount (kubernetes pkg/kubelet/kubelet_pods.go, makeMounts).
        if "subPathExpr" in mount:
            self._refuse(f"{path}.subPathExpr", WHY_REFERENCE)
        self._check_keys(mount, MOUNT, path)

    def _check_variable(self, variable: Mapping[str, Any], path: str) -> None:
        self._check_keys(variable, {"name", "value"}, path)
        # What a library reads in small letters as well, a proxy, is none of these.
        if str(variable.get("name")).upper().startswith(VARIABLES):
            self._refuse(path, WHY_VARIABLE)
        # The kubelet fills in variables from Secrets as well: a proxy's URL could carry one away.
        if "$(" in str(variable.get("value")):
            self._refuse(f"{path}.value", WHY_REFERENCE)

    def _own_volumes(self) -> set[str]:
        """Return the names of the emptyDir volumes of the override."""
        volumes = self._items(self._override.get("volumes", []), "volumes")
        return {str(item.get("name")) for item in volumes if item.get("emptyDir") is not None}

    def _items(self, value: Any, path: str) -> list[Mapping[str, Any]]:  # noqa: ANN401 - any JSON value
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._refuse(path)
        return value

    def _check_keys(self, node: Mapping[str, Any], keys: AbstractSet[str], path: str) -> None:
        for key in node:
            if key not in keys:
                self._refuse(f"{path}.{key}")

    def _refuse(self, path: str, why: str = WHY_FIELD) -> NoReturn:
        message = NOT_ALLOWED.format(field=self._rules.field, path=path, why=why)
        raise InvalidInput(REASON_INVALID, message)


def _is_one_of(name: object, names: AbstractSet[str]) -> bool:
    """Return whether any JSON value is one of some names."""
    return isinstance(name, str) and name in names
