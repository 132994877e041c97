"""The PodSpec of a data function's pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.actionset.placement import command
from reconcilers.actionset.placement.workload import CLAIM, User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconcilers.actionset.placement.workload import Mount

#: The container whose log has the outputs, and which an override names: Kanister's name for it.
CONTAINER: Final = "container"

#: Keys of the pod's own Secret, which the program finds the server and the user by.
KEYS_CONNECTION: Final = ("url", "fingerprint")
KEYS_USER: Final = ("username", "hostname", "password")
_CONNECTION_FOLDER: Final = "/etc/repository-server/connection"
_USER_FOLDER: Final = "/etc/repository-server/user"

#: Has the program say how far it is in lines that go into the status.
PROGRESS: Final = {"name": "RSF_PROGRESS", "value": "marked"}

# Kopia's configuration and cache; what the claims are mounted below.
_SCRATCH: Final = "tmp"
_ROOT: Final = "workload"

#: What a namespace's quota asks for.
REQUESTS: Final = {"cpu": "100m", "memory": "256Mi"}

# What root is left with, of what the baseline Pod Security profile lets a pod add: to read what
# belongs to others; for a restore, to write it and to give it to its owners.
_READ_ALL: Final = ("DAC_OVERRIDE",)
_RESTORE_ALL: Final = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")

ROOT_USER: Final = User(0, 0)


@frozen
class Volume:
    """A claim, where the pod has it.

    Args:
        mount: The mount as a pod of the workload has it.
        root: The folder below which this pod has it, by that path.
    """

    mount: Mount
    root: str = command.ROOT


@frozen
class Placed:
    """What is decided of a pod.

    Args:
        arguments: Of the program.
        volumes: The claims.
        writes: Whether their files are restored. Default: they are read only.
        user: As whom it runs. Default: None, the image's user, who sees no volume.
        node: The node that it must run on. Default: any.
        tolerations: The taints that it tolerates.
    """

    arguments: Sequence[str]
    volumes: tuple[Volume, ...] = ()
    writes: bool = False
    user: User | None = None
    node: str = ""
    tolerations: tuple[Mapping[str, Any], ...] = field(default=())


def spec(placed: Placed, *, image: str, secret: str) -> dict[str, Any]:
    """Return the PodSpec.

    Args:
        placed: What is decided of it.
        image: The image with the program.
        secret: Name of the Secret with `KEYS_CONNECTION` and `KEYS_USER`.
    """
    claims = _claims(placed)
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **_on_node(placed),
        "securityContext": _pod_security(placed.user),
        "containers": [
            {
                "name": CONTAINER,
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": [command.PROGRAM],
                "args": [command.literal(one) for one in placed.arguments],
                # A variable, which an older program in an override's image does without.
                "env": [dict(PROGRESS)],
                "resources": {"requests": dict(REQUESTS)},
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "securityContext": _container_security(placed),
                "volumeMounts": [
                    {"name": "connection", "mountPath": _CONNECTION_FOLDER, "readOnly": True},
                    {"name": "user", "mountPath": _USER_FOLDER, "readOnly": True},
                    {"name": _SCRATCH, "mountPath": "/tmp"},  # noqa: S108 - a volume of its own
                    *([{"name": _ROOT, "mountPath": command.ROOT}] if claims else []),
                    *(_mount(volume, claims, writes=placed.writes) for volume in placed.volumes),
                ],
            }
        ],
        "volumes": [
            _keys("connection", secret, KEYS_CONNECTION),
            _keys("user", secret, KEYS_USER),
            {"name": _SCRATCH, "emptyDir": {}},
            *([{"name": _ROOT, "emptyDir": {}}] if claims else []),
            *claims.values(),
        ],
    }


def _on_node(placed: Placed) -> dict[str, Any]:
    """Return where it runs: by the scheduler, which sees to it that the node has room for it."""
    found: dict[str, Any] = {}
    if placed.node:
        name = {"key": "metadata.name", "operator": "In", "values": [placed.node]}
        required = {"nodeSelectorTerms": [{"matchFields": [name]}]}
        node_affinity = {"requiredDuringSchedulingIgnoredDuringExecution": required}
        found["affinity"] = {"nodeAffinity": node_affinity}
    if placed.tolerations:
        found["tolerations"] = [dict(one) for one in placed.tolerations]
    return found


def _pod_security(user: User | None) -> dict[str, Any]:
    """Return the security context of the pod.

    Never fsGroup: the kubelet would give all files of the volume to it, of the workload's as well.
    """
    seccomp = {"seccompProfile": {"type": "RuntimeDefault"}}
    if user is None:
        return {"runAsNonRoot": True, **seccomp}
    ids = {"runAsUser": user.uid, "runAsGroup": user.gid}
    context: dict[str, Any] = {
        **seccomp,
        **({"runAsNonRoot": True} if user.uid else {}),
        **{name: value for name, value in ids.items() if value is not None},
    }
    if user.groups:
        context["supplementalGroups"] = list(user.groups)
    if user.se_linux:
        # Another label than the workload's would be put on the volume, under its feet.
        context["seLinuxOptions"] = dict(user.se_linux)
    return context


def _container_security(placed: Placed) -> dict[str, Any]:
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if placed.user is not None and not placed.user.uid:
        capabilities["add"] = list(_RESTORE_ALL if placed.writes else _READ_ALL)
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": capabilities,
    }


def _claims(placed: Placed) -> dict[str, dict[str, Any]]:
    """Return the volume of each claim. A claim's own name may be too long for a volume's."""
    names = sorted({volume.mount.claim for volume in placed.volumes})
    read_only = {one.mount.claim for one in placed.volumes if one.mount.claim_read_only}
    return {
        claim: {
            "name": f"claim-{number}",
            CLAIM: {"claimName": claim, **({"readOnly": True} if claim in read_only else {})},
        }
        for number, claim in enumerate(names)
    }


def _mount(
    volume: Volume, claims: Mapping[str, Mapping[str, Any]], *, writes: bool
) -> dict[str, Any]:
    mount = volume.mount
    found: dict[str, Any] = {
        "name": claims[mount.claim]["name"],
        "mountPath": volume.root + ("" if mount.path == "/" else mount.path),
    }
    if mount.sub_path:
        found["subPath"] = mount.sub_path
    if not writes:
        found["readOnly"] = True
    return found


def _keys(name: str, secret: str, keys: Sequence[str]) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o444, "items": items}}
