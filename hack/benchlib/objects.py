"""Kubernetes objects as the bench makes them: pure functions over plain dicts."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from demolib.objects import LABEL, LABEL_VALUE, local_volume, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from demolib.objects import Object

# On what is made and removed in each round, with the side that it belongs to.
BENCH_LABEL = "hack-bench/side"
SERVERS, PODS = "servers", "pods"

# Given by the controller to a server's pod and Secret.
INSTANCE_LABEL = "cr.kanister.io/repository-server"

# Where a server's children are.
CHILDREN = (
    "/api/v1/namespaces/{namespace}/pods",
    "/api/v1/namespaces/{namespace}/services",
    "/api/v1/namespaces/{namespace}/secrets",
    "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
)

REPOSITORIES_POD = "repositories"
# Takes the end that the kubelet asks for, which a shell as process 1 would not notice.
STAY = "trap exit TERM; while true; do sleep 3600 & wait; done"

USER_KEY = "client"


def moved(objects: Iterable[Object], namespace: str) -> list[Object]:
    """Return copies for another namespace, without the demo's label."""
    copies = copy.deepcopy(list(objects))
    for obj in copies:
        metadata = obj["metadata"]
        if obj["kind"] == "Namespace":
            metadata["name"] = namespace
        elif "namespace" in metadata:
            metadata["namespace"] = namespace
        for subject in obj.get("subjects", []):
            subject["namespace"] = namespace
        if metadata.get("labels", {}).get(LABEL) == LABEL_VALUE:
            del metadata["labels"][LABEL]
    return copies


def with_users(secrets: Iterable[Object], count: int, generate: Callable[[], str]) -> list[Object]:
    """Return copies of the sample's Secrets; the one with its user has more of them.

    Args:
        secrets: with `stringData`.
        count: how many users.
        generate: makes a password.
    """
    copies = copy.deepcopy(list(secrets))
    for secret in copies:
        if USER_KEY in secret["stringData"]:
            secret["stringData"] = {user_key(i): generate() for i in range(count)}
    return copies


def user_key(index: int) -> str:
    """Return the key of an access user, which is the host that it connects from."""
    return f"{USER_KEY}-{index}"


def repositories_pod(job: Mapping[str, Any]) -> Object:
    """Return a pod with the volume, in which the repositories are made.

    Args:
        job: the sample's, which has everything but the patience.
    """
    spec = copy.deepcopy(job["spec"]["template"]["spec"])
    spec["containers"][0]["args"] = [STAY]
    spec["restartPolicy"] = "Always"
    namespace = job["metadata"]["namespace"]
    metadata = {"name": REPOSITORIES_POD, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def bound(claim: Mapping[str, Any]) -> list[Object]:
    """Return a claim with a volume as if they had been bound, for a cluster that binds none."""
    volume = local_volume(claim, "/")
    metadata = {
        **claim["metadata"],
        "annotations": {"pv.kubernetes.io/bind-completed": "yes"},
    }
    spec = {**claim["spec"], "volumeName": volume["metadata"]["name"], "storageClassName": ""}
    return [volume, {**claim, "metadata": metadata, "spec": spec}]


def servers(sample: Iterable[Object], count: int) -> list[Object]:
    """Return RepositoryServers like the sample's, each with a repository of its own.

    Args:
        sample: its objects.
        count: how many servers.
    """
    (one,) = of_kind(sample, "RepositoryServer")
    made = []
    for index in range(count):
        server = copy.deepcopy(one)
        name = server_name(index)
        server["metadata"]["name"] = name
        server["metadata"]["labels"] = {BENCH_LABEL: SERVERS}
        server["spec"]["repository"]["rootPath"] = name
        made.append(server)
    return made


def server_name(index: int) -> str:
    """Return the name of a server, and of the folder of its repository."""
    return f"server-{index:02}"


def bare(pods: Sequence[Object], secrets: Sequence[Object]) -> list[tuple[list[Object], Object]]:
    """Return Secrets and a pod for each pod of a server: the same, but nobody's.

    Args:
        pods: of the controller's servers, as the cluster has them.
        secrets: of the same namespace; among them those that the pods use.
    """
    by_name = {secret["metadata"]["name"]: secret for secret in secrets}
    return [_bare(pod, by_name) for pod in pods]


def _bare(pod: Object, secrets: Mapping[str, Object]) -> tuple[list[Object], Object]:
    name = f"bare-{pod['metadata']['labels'][INSTANCE_LABEL]}"
    metadata = {
        "namespace": pod["metadata"]["namespace"],
        "labels": {BENCH_LABEL: PODS},
    }
    text = json.dumps(pod["spec"])
    copies: list[Object] = []
    mounted = [
        volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume
    ]
    for number, secret in enumerate(mounted):
        copied: Object = {"name": f"{name}-{number}", **metadata}
        # Wherever the pod refers to it, in its volumes and its environment.
        text = text.replace(json.dumps(secret), json.dumps(copied["name"]))
        content = {
            key: value
            for key, value in secrets[secret].items()
            if key in ("type", "data", "immutable")
        }
        copies.append({"apiVersion": "v1", "kind": "Secret", "metadata": copied, **content})
    spec = json.loads(text)
    # The scheduler's to decide.
    del spec["nodeName"]
    return copies, {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **metadata},
        "spec": spec,
    }
