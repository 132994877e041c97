"""What somebody does to the children of a server by hand."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from fakes import objects
from fakes.simulation.user import (
    NAMES,
)
from reconcilers import resources
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from controller.resource import Object, Resource
    from fakes.simulation.cluster import Cluster

CHILDREN = (
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    resources.SECRETS,
    resources.REPLICA_SETS,
    resources.PROFILES,
    resources.CRON_JOBS,
)

# What is written by hand where the controller writes something else, or nothing.
BY_HAND = "@yearly"


def orphan_children(cluster: Cluster) -> None:
    """Delete a resource but not its children, and make it again some time later."""
    name = cluster.random.choice(NAMES)
    for resource in CHILDREN:
        for obj in cluster.api.list(resource):
            owners = obj["metadata"].get("ownerReferences") or ()
            if name in [owner["name"] for owner in owners]:
                change = {"metadata": {"ownerReferences": None}}
                cluster.api.merge_patch(
                    resource, objects.NAMESPACE, obj["metadata"]["name"], change
                )
    cluster.user.delete_server(name)
    pause = cluster.random.choice((0.0, 0.5, 20.0, 100.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_server(name))


def delete_child(cluster: Cluster) -> None:
    """Delete a child by hand."""
    found = [
        (resource, obj)
        for resource in CHILDREN
        for obj in cluster.api.list(resource)
        if obj["metadata"].get("ownerReferences")
    ]
    if found:
        resource, obj = cluster.random.choice(found)
        cluster.api.delete(resource, objects.NAMESPACE, obj["metadata"]["name"])


def leave_pods_behind(cluster: Cluster) -> None:
    """Delete a ReplicaSet but not its pods, one of a former revision if there is one."""
    found = cluster.api.list(resources.REPLICA_SETS)
    if not found:
        return
    # That of the newest is made again, and takes them back.
    draining = {
        names.maker_of(pod)
        for pod in cluster.api.list(resources.PODS)
        if names.ANNOTATION_DRAIN_UNTIL in (pod["metadata"].get("annotations") or {})
    }
    former = [one for one in found if one["metadata"]["name"] in draining]
    replica_set = cluster.random.choice(former or found)
    cluster.api.remove(resources.REPLICA_SETS, replica_set)
    for pod in cluster.api.list(resources.PODS):
        owners = pod["metadata"].get("ownerReferences") or ()
        if replica_set["metadata"]["uid"] in [one["uid"] for one in owners]:
            change = {"metadata": {"ownerReferences": None}}
            cluster.api.merge_patch(
                resources.PODS, objects.NAMESPACE, pod["metadata"]["name"], change
            )


def change_child(cluster: Cluster) -> None:
    """Change a child by hand: what it selects or says, or what its next pods are made of."""
    changes: tuple[tuple[Resource, Object], ...] = (
        (resources.SERVICES, {"spec": {"selector": {"by": "hand"}}}),
        (resources.NETWORK_POLICIES, {"spec": {"podSelector": {"matchLabels": {"by": "hand"}}}}),
        (resources.PROFILES, {"location": {"endpoint": "https://by-hand:51515"}}),
        (resources.CRON_JOBS, {"spec": {"schedule": BY_HAND}}),
        (resources.REPLICA_SETS, {"spec": {"template": {"metadata": {"labels": {"by": BY_HAND}}}}}),
        (resources.REPLICA_SETS, {"spec": {"template": {"spec": {"priorityClassName": BY_HAND}}}}),
    )
    resource, change = cluster.random.choice(changes)
    found = cluster.api.list(resource)
    if found:
        name = cluster.random.choice(found)["metadata"]["name"]
        cluster.api.merge_patch(resource, objects.NAMESPACE, name, change)


def delete_pod(cluster: Cluster) -> None:
    """Delete a pod by hand."""
    for pod in some_pod(cluster):
        grace = cluster.random.choice((None, 0))
        name = pod["metadata"]["name"]
        cluster.api.delete(resources.PODS, objects.NAMESPACE, name, grace_seconds=grace)


def take_label_off(cluster: Cluster) -> None:
    """Take a label off by which the Service finds a pod."""
    label = cluster.random.choice((names.LABEL_INSTANCE, names.LABEL_HASH))
    for pod in some_pod(cluster):
        change = {"metadata": {"labels": {label: None}}}
        cluster.api.merge_patch(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"], change)


def take_label_off_child(cluster: Cluster) -> None:
    """Take a label off by which a ReplicaSet or a Secret of a revision is known."""
    resource = cluster.random.choice((resources.REPLICA_SETS, resources.SECRETS))
    found = [one for one in cluster.api.list(resource) if names.hash_of(one)]
    if found:
        name = cluster.random.choice(found)["metadata"]["name"]
        change = {"metadata": {"labels": {names.LABEL_HASH: None}}}
        cluster.api.merge_patch(resource, objects.NAMESPACE, name, change)


def lose_pod(cluster: Cluster) -> None:
    """Take a label off a pod, and delete its ReplicaSet once that has let go of it."""
    for pod in some_pod(cluster):
        change = {"metadata": {"labels": {names.LABEL_INSTANCE: None}}}
        cluster.api.merge_patch(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"], change)
        pause = cluster.random.choice((0.5, 1.0))
        delete = functools.partial(_delete_replica_set, cluster, names.maker_of(pod))
        cluster.agenda.after(pause, delete)


def _delete_replica_set(cluster: Cluster, name: str) -> None:
    if cluster.api.find(resources.REPLICA_SETS, objects.NAMESPACE, name) is not None:
        cluster.api.delete(resources.REPLICA_SETS, objects.NAMESPACE, name)


def scale_replica_set(cluster: Cluster) -> None:
    """Change by hand how many pods a ReplicaSet has."""
    found = cluster.api.list(resources.REPLICA_SETS)
    if found:
        name = cluster.random.choice(found)["metadata"]["name"]
        change = {"spec": {"replicas": cluster.random.choice((0, 2))}}
        cluster.api.merge_patch(resources.REPLICA_SETS, objects.NAMESPACE, name, change)


def some_pod(cluster: Cluster) -> list[Object]:
    """Return one of the pods; none if there are none."""
    pods = cluster.api.list(resources.PODS)
    return [cluster.random.choice(pods)] if pods else []
