"""Kubernetes objects as the bench makes them: pure functions over plain dicts."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from demolib.objects import LABEL, LABEL_VALUE, local_volume, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from demolib.objects import Object

# On what is made and removed in each round, with the side that it belongs to.
BENCH_LABEL = "hack-bench/side"
SERVERS, PODS, REPLICA_SETS = "servers", "pods", "replicasets"
# By it a bare ReplicaSet finds its pod.
NAME_LABEL = "hack-bench/name"

# What all servers together may ask of a node, in thousandths of a CPU; what the controller has each
# ask for where nothing else is said.
CPU_FOR_ALL, CPU_EACH = 1200, 50

# Given by the controller to a server's ReplicaSet, pod and Secrets.
INSTANCE_LABEL = "cr.kanister.io/repository-server"

# Where a server's children are.
CHILDREN = (
    "/apis/apps/v1/namespaces/{namespace}/replicasets",
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
    """Return copies for another namespace, without the demo's label.

    What a RepositoryServer refers to is moved along: it reads Secrets of its own namespace.
    """
    copies = copy.deepcopy(list(objects))
    for obj in copies:
        if obj["kind"] == "RepositoryServer":
            _move_references(obj["spec"], namespace)
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


def _move_references(part: Object, namespace: str) -> None:
    for name, value in part.items():
        if name.lower().endswith("secretref"):
            value["namespace"] = namespace
        elif isinstance(value, dict):
            _move_references(value, namespace)


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


def with_room(servers: Iterable[Object]) -> list[Object]:
    """Return copies that a node with two CPUs can run all at once, however many they are.

    Args:
        servers: RepositoryServers; few enough are as they were.
    """
    copies = copy.deepcopy(list(servers))
    share = CPU_FOR_ALL // max(len(copies), 1)
    if share < CPU_EACH:
        for server in copies:
            server["spec"]["server"]["resources"] = {"requests": {"cpu": f"{max(share, 1)}m"}}
    return copies


@dataclass(frozen=True)
class Bare:
    """What runs as a server does, and is nobody's: Kubernetes alone looks after it.

    Attributes:
        secrets: those that the pods mount; neither side's.
        pod: a pod.
        replica_set: a ReplicaSet with one such pod.
    """

    secrets: list[Object] = field(repr=False)
    pod: Object
    replica_set: Object


def bare(replica_sets: Sequence[Object], secrets: Sequence[Object]) -> list[Bare]:
    """Return the same as the ReplicaSet of each server, without its owner.

    Args:
        replica_sets: of the controller's servers, as the cluster has them.
        secrets: of the same namespace; among them those that the pods use.
    """
    by_name = {secret["metadata"]["name"]: secret for secret in secrets}
    return [_bare(one, by_name) for one in replica_sets]


def _bare(replica_set: Object, secrets: Mapping[str, Object]) -> Bare:
    namespace = replica_set["metadata"]["namespace"]
    name = f"bare-{replica_set['metadata']['labels'][INSTANCE_LABEL]}"
    template = replica_set["spec"]["template"]["spec"]
    text = json.dumps(template)
    copies: list[Object] = []
    mounted = [
        volume["secret"]["secretName"] for volume in template["volumes"] if "secret" in volume
    ]
    for number, secret in enumerate(mounted):
        copied = {
            "name": f"{name}-{number}",
            "namespace": namespace,
            "labels": {BENCH_LABEL: PODS},
        }
        # Wherever the pod refers to it, in its volumes and its environment.
        text = text.replace(json.dumps(secret), json.dumps(copied["name"]))
        content = {
            key: value
            for key, value in secrets[secret].items()
            if key in ("type", "data", "immutable")
        }
        copies.append({"apiVersion": "v1", "kind": "Secret", "metadata": copied, **content})
    spec = json.loads(text)
    labels = {BENCH_LABEL: REPLICA_SETS, NAME_LABEL: name}
    of_the_pod = {"name": name, "namespace": namespace, "labels": {BENCH_LABEL: PODS}}
    of_the_set = {"name": name, "namespace": namespace, "labels": labels}
    return Bare(
        copies,
        {"apiVersion": "v1", "kind": "Pod", "metadata": of_the_pod, "spec": spec},
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": of_the_set,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": spec},
            },
        },
    )
