"""What is kept of a workload's pods, for functions that place a pod beside them. Pure functions.

After ScaleWorkload to 0 there is nothing left to see, so that it is gathered when the action begins
(see the package).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object

# Of a mount and of a device; what else they have is how they are mounted in that pod.
_MOUNT: Final = ("name", "mountPath", "readOnly", "subPath", "subPathExpr")
_DEVICE: Final = ("name", "devicePath")

# A reference to a variable, or an escaped dollar sign (k8s.io/kubernetes third_party/forked/golang/
# expansion).
_VARIABLE: Final = re.compile(r"\$\$|\$\(([^)]*)\)")
_FIELDS: Final = ("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName")
_FIELD_OF_MAP: Final = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]")


def record(pod: Object) -> Object:
    """Return a pod with only what a pod beside it needs: a Pod still, in the words of the API.

    - metadata: name, namespace, uid
    - spec: nodeName; tolerations; securityContext; containers, sidecars that are declared as init
      containers among them: name, securityContext, volumeMounts, volumeDevices; volumes: of claims
      whole, of others the name and, without its content, the source
    - status: containerStatuses of containers whose user the kubelet tells: name, user

    A `subPathExpr` becomes the `subPath` that the kubelet made of it. It is left as it is if that
    cannot be known from the pod.

    Args:
        pod: As the API server returns it.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    kept: Object = {
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
        "spec": {
            "containers": [_container(container, pod) for container in containers(pod)],
            "volumes": [_volume(volume) for volume in spec.get("volumes") or ()],
        },
    }
    for key in ("nodeName", "tolerations", "securityContext"):
        if spec.get(key):
            kept["spec"][key] = spec[key]
    users = [
        {"name": status["name"], "user": status["user"]}
        for group in ("containerStatuses", "initContainerStatuses")
        for status in (pod.get("status") or {}).get(group) or ()
        if status.get("user")
    ]
    if users:
        kept["status"] = {"containerStatuses": users}
    return kept


def containers(pod: Object) -> list[Object]:
    """Return the containers that run as long as the pod: sidecars count, init containers do not."""
    spec = pod["spec"]
    sidecars = [
        container
        for container in spec.get("initContainers") or ()
        if container.get("restartPolicy") == "Always"
    ]
    return [*spec["containers"], *sidecars]


def claims_of(pod: Object) -> dict[str, str]:
    """Return the names of the claims of a pod by the names of its volumes.

    That of an ephemeral volume is computed, as Kubernetes does
    (component-helpers/storage/ephemeral).

    Args:
        pod: A pod, or its record.
    """
    claims = {}
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            claims[volume["name"]] = volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume:
            claims[volume["name"]] = f"{pod['metadata']['name']}-{volume['name']}"
    return claims


def _container(container: Mapping[str, Any], pod: Object) -> Object:
    kept: Object = {"name": container["name"]}
    if container.get("securityContext"):
        kept["securityContext"] = container["securityContext"]
    mounts = [_mount(mount, container, pod) for mount in container.get("volumeMounts") or ()]
    if mounts:
        kept["volumeMounts"] = mounts
    devices = [_only(device, _DEVICE) for device in container.get("volumeDevices") or ()]
    if devices:
        kept["volumeDevices"] = devices
    return kept


def _mount(mount: Mapping[str, Any], container: Mapping[str, Any], pod: Object) -> Object:
    kept = _only(mount, _MOUNT)
    if "subPathExpr" in kept:
        path = _expanded(kept["subPathExpr"], container, pod)
        if path is not None:
            del kept["subPathExpr"]
            kept["subPath"] = path
    return kept


def _volume(volume: Mapping[str, Any]) -> Object:
    return {
        key: value if key in ("name", "persistentVolumeClaim") else {}
        for key, value in volume.items()
    }


def _expanded(expression: str, container: Mapping[str, Any], pod: Object) -> str | None:
    """Return the path that an expression stands for; None if the pod does not say it."""
    values = {
        name: _value(variable, pod)
        for variable in container.get("env") or ()
        for name in (variable["name"],)
    }
    known = True

    def replaced(match: re.Match[str]) -> str:
        nonlocal known
        if match[1] is None:
            return "$"
        value = values.get(match[1])
        known = known and value is not None
        return value or ""

    path = _VARIABLE.sub(replaced, expression)
    return path if known else None


def _value(variable: Mapping[str, Any], pod: Object) -> str | None:
    """Return the value of a variable if it stands in the pod itself, None otherwise."""
    if "valueFrom" not in variable:
        value: str = variable.get("value") or ""
        # It may refer to others in turn.
        return None if "$" in value else value
    path = ((variable["valueFrom"] or {}).get("fieldRef") or {}).get("fieldPath", "")
    found: Any = None
    if match := _FIELD_OF_MAP.fullmatch(path):
        # One that is not there is an empty text.
        found = (pod["metadata"].get(match[1]) or {}).get(match[2], "")
    elif path in _FIELDS:
        parent, _, name = path.partition(".")
        found = pod[parent].get(name)
    return found if isinstance(found, str) else None


def _only(node: Mapping[str, Any], keys: tuple[str, ...]) -> Object:
    return {key: node[key] for key in keys if node.get(key)}
