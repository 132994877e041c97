"""What a pod of the workload says about its data: its node, its containers' mounts and users."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.actionset.parameters import podrecord
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

REASON_NO_CONTAINER: Final = "ContainerMissing"
NO_CONTAINER: Final = (
    "argument container: pod {pod} has no container {container}; it has: {containers}"
)

REASON_SUB_PATH: Final = "SubPathUnknown"
SUB_PATH: Final = (
    "pod {pod}: container {container} mounts claim {claim} by the subPathExpr {expr!r}, of which a "
    "variable is not said by the pod; give the container a subPath, or the variable a value"
)

#: The kind of a volume that is a claim, one of its own (`ephemeral`) included.
CLAIM: Final = "persistentVolumeClaim"


@frozen
class Mount:
    """A volume of a container, where the container has it.

    Args:
        path: Absolute path in the container.
        volume: Name of the volume in the pod.
        kind: What the volume is, as a pod has it: `CLAIM`, `emptyDir`, `configMap`, ...
        claim: Name of the claim; empty for a volume that is none.
        sub_path: Path below the volume; empty for the volume itself.
        claim_read_only: Whether the pod has the claim attached for reading only.
    """

    path: str
    volume: str
    kind: str = CLAIM
    claim: str = ""
    sub_path: str = ""
    claim_read_only: bool = False


@frozen
class User:
    """As whom a container runs.

    Args:
        uid: The user id; None where only the image says it.
        gid: The group id; None where only the image says it.
        groups: The other groups, that of the volumes' files (fsGroup) included.
        se_linux: The SELinux options of the pod or container.
    """

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    se_linux: Mapping[str, str] = field(factory=dict)


@frozen
class Container:
    """One container of a pod.

    Args:
        name: Its name.
        mounts: Its volumes.
        devices: Claims that it has as raw block devices, by the devices' paths.
        user: As whom it runs.
    """

    name: str
    mounts: tuple[Mount, ...] = ()
    devices: Mapping[str, str] = field(factory=dict)
    user: User = field(factory=User)


@frozen
class WorkloadPod:
    """A pod of the workload.

    Args:
        name: Its name.
        namespace: Its namespace.
        node: The node that it runs on; empty if it has none.
        tolerations: The taints that it tolerates.
        containers: Its containers that run as long as it does, by name.
    """

    name: str
    namespace: str
    node: str = ""
    tolerations: tuple[Mapping[str, Any], ...] = ()
    containers: Mapping[str, Container] = field(factory=dict)

    def container(self, name: str) -> Container:
        """Return a container by its name.

        Raises:
            InvalidInput: It has no such container.
        """
        if name not in self.containers:
            containers = ", ".join(self.containers)
            message = NO_CONTAINER.format(pod=self.name, container=name, containers=containers)
            raise InvalidInput(REASON_NO_CONTAINER, message)
        return self.containers[name]


def read(pod: Mapping[str, Any]) -> WorkloadPod:
    """Return what a pod says about its data.

    Args:
        pod: The pod, as `parameters.podrecord.record` returns it.

    Raises:
        InvalidInput: Where on its volume a mount is cannot be known.
    """
    spec = pod["spec"]
    return WorkloadPod(
        name=pod["metadata"]["name"],
        namespace=pod["metadata"]["namespace"],
        node=spec.get("nodeName", ""),
        tolerations=tuple(spec.get("tolerations") or ()),
        containers={one["name"]: _container(pod, one) for one in spec["containers"]},
    )


def _container(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Container:
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}
    claims = podrecord.claims_of(dict(pod))
    mounts = tuple(
        _mount(pod, container, mount, volumes[mount["name"]], claims.get(mount["name"], ""))
        for mount in container.get("volumeMounts") or ()
    )
    devices = {
        clean(device["devicePath"]): claims.get(device["name"], "")
        for device in container.get("volumeDevices") or ()
    }
    return Container(container["name"], mounts, devices, _user(pod, container))


def _mount(
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    mount: Mapping[str, Any],
    volume: Mapping[str, Any],
    claim: str,
) -> Mount:
    if claim and "subPathExpr" in mount:
        words = {"pod": pod["metadata"]["name"], "container": container["name"], "claim": claim}
        message = SUB_PATH.format(expr=mount["subPathExpr"], **words)
        raise InvalidInput(REASON_SUB_PATH, message)
    return Mount(
        path=clean(mount["mountPath"]),
        volume=volume["name"],
        kind=CLAIM if claim else next((key for key in volume if key != "name"), "emptyDir"),
        claim=claim,
        sub_path=mount.get("subPath", ""),
        claim_read_only=bool((volume.get(CLAIM) or {}).get("readOnly")),
    )


def _user(pod: Mapping[str, Any], container: Mapping[str, Any]) -> User:
    """Return as whom a container runs, by what it asks for, else by what the kubelet reports.

    The kubelet reports it from Kubernetes 1.31 on (status.containerStatuses[].user.linux).
    """
    of_pod = pod["spec"].get("securityContext") or {}
    own = {**of_pod, **(container.get("securityContext") or {})}
    reported = _reported(pod, container["name"])
    groups = {
        of_pod.get("fsGroup"),
        *(of_pod.get("supplementalGroups") or ()),
        *(reported.get("supplementalGroups") or ()),
    }
    gid = own.get("runAsGroup", reported.get("gid"))
    return User(
        uid=own.get("runAsUser", reported.get("uid")),
        gid=gid,
        groups=tuple(sorted(group for group in groups if group not in (None, gid))),
        se_linux=own.get("seLinuxOptions") or {},
    )


def _reported(pod: Mapping[str, Any], container: str) -> Mapping[str, Any]:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status["name"] == container:
            user: Mapping[str, Any] = status["user"].get("linux") or {}
            return user
    return {}


def clean(path: str) -> str:
    """Return a path of a pod without doubled and trailing slashes."""
    return "/" + "/".join(part for part in PurePosixPath(path).parts if part.strip("/"))
