"""The pods of a workload, and what templates see of them. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers import resources
from reconcilers.actionset.parameters.targets import Known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.resource import Object, Resource

_OPERATORS: Final = {"In": "in", "NotIn": "notin"}


@frozen
class Between:
    """The object between a workload and its pods: the current one of its revisions.

    Args:
        resource: Of which kind it is.
        annotation: The annotation that has the number of its revision.
    """

    resource: Resource
    annotation: str


#: By what is known of a workload. A StatefulSet owns its pods itself.
BETWEEN: Final[Mapping[Known, Between]] = {
    Known.DEPLOYMENT: Between(resources.REPLICA_SETS, "deployment.kubernetes.io/revision"),
    Known.DEPLOYMENT_CONFIG: Between(
        resources.REPLICATION_CONTROLLERS, "openshift.io/deployment-config.latest-version"
    ),
}

WORKLOADS: Final = frozenset({Known.STATEFUL_SET, *BETWEEN})


def label_selector(workload: Object) -> str:
    """Return the selector of a workload as a list takes it.

    Args:
        workload: A StatefulSet or Deployment, whose selector has `matchLabels` and
            `matchExpressions`, or a DeploymentConfig, whose selector is a map of labels.
    """
    selector = workload["spec"].get("selector") or {}
    structured = "matchLabels" in selector or "matchExpressions" in selector
    labels = (selector.get("matchLabels") or {}) if structured else selector
    expressions = (selector.get("matchExpressions") or ()) if structured else ()
    equal = [f"{key}={value}" for key, value in labels.items()]
    return ",".join([*equal, *map(_requirement, expressions)])


def current(workload: Object, candidates: Iterable[Object], between: Between) -> Object | None:
    """Return the current revision of a Deployment or DeploymentConfig, None if it has none.

    Args:
        workload: The workload.
        candidates: Objects that may be its revisions.
        between: What they are.
    """
    annotations = workload["metadata"].get("annotations") or {}
    latest = (workload.get("status") or {}).get("latestVersion", "")
    number = annotations.get(between.annotation) or str(latest)
    for candidate in candidates:
        marks = candidate["metadata"].get("annotations") or {}
        if _is_owned(candidate, workload) and marks.get(between.annotation) == number:
            return candidate
    return None


def running(owner: Object, pods: Iterable[Object]) -> list[Object]:
    """Return the pods that run and that an object owns, in the order of their names.

    One that is being deleted has had its last command.

    Args:
        owner: The StatefulSet, ReplicaSet or ReplicationController.
        pods: Pods of its namespace.
    """
    found = [
        pod
        for pod in pods
        if _is_owned(pod, owner)
        and (pod.get("status") or {}).get("phase") == "Running"
        and not pod["metadata"].get("deletionTimestamp")
    ]
    return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))


def parameter(workload: Object, pods: Iterable[Object]) -> dict[str, Any]:
    """Return what templates see of a workload.

    Args:
        workload: The workload.
        pods: Its pods, as `running` returns them.
    """
    pods = list(pods)
    mounts = {pod["metadata"]["name"]: _claim_paths(pod) for pod in pods}
    return {
        "Name": workload["metadata"]["name"],
        "Namespace": workload["metadata"]["namespace"],
        "Pods": list(mounts),
        # The kubelet's order, as in Kanister: that of their names.
        "Containers": [
            [status["name"] for status in pod["status"].get("containerStatuses") or ()]
            for pod in pods
        ],
        "PersistentVolumeClaims": {name: paths for name, paths in mounts.items() if paths},
    }


def _claim_paths(pod: Object) -> dict[str, str]:
    """Return where a pod's containers have its claims, one path for each."""
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["spec"].get("volumes") or ()
        if "persistentVolumeClaim" in volume
    }
    return {
        claims[mount["name"]]: mount["mountPath"]
        for container in pod["spec"]["containers"]
        for mount in container.get("volumeMounts") or ()
        if mount["name"] in claims
    }


def _is_owned(obj: Object, owner: Object) -> bool:
    references = obj["metadata"].get("ownerReferences") or ()
    return any(reference["uid"] == owner["metadata"]["uid"] for reference in references)


def _requirement(expression: Mapping[str, Any]) -> str:
    key, operator = expression["key"], expression["operator"]
    if operator in _OPERATORS:
        return f"{key} {_OPERATORS[operator]} ({','.join(expression['values'])})"
    return key if operator == "Exists" else f"!{key}"
