"""What may happen to a cluster: each action does one thing, at any moment."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from fakes import objects
from fakes.simulation.kubelet import NODES
from fakes.simulation.repositories import STRANGER
from fakes.simulation.user import (
    BUCKET,
    FILES,
    HOSTS,
    IDENTITIES,
    MIRROR,
    NAMES,
    OTHER_BUCKET,
    RESTORER,
)
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object, Resource
    from fakes.simulation.cluster import Cluster

CERTIFICATES = [objects.key_pair(f"{FILES}-{number}") for number in range(3)]

# What the controller may be forbidden.
RIGHTS = (
    ("get", resources.SECRETS),
    ("create", resources.SECRETS),
    ("apply", resources.SECRETS),
    ("delete", resources.SECRETS),
    ("apply", resources.REPLICA_SETS),
    ("patch", resources.REPLICA_SETS),
    ("delete", resources.REPLICA_SETS),
    ("patch", resources.PODS),
    ("delete", resources.PODS),
    ("apply", resources.SERVICES),
    ("apply", resources.NETWORK_POLICIES),
    ("apply", resources.PROFILES),
    ("delete", resources.PROFILES),
    ("apply", resources.CRON_JOBS),
    ("patch", api.REPOSITORY_SERVERS),
)

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

# Seconds between two of them: at once, within what a request or a pod takes, or when all is quiet.
PAUSES = (0.0, 0.01, 0.1, 1.0, 1.0, 5.0, 5.0, 20.0, 20.0, 100.0, 300.0)


def change_users(cluster: Cluster) -> None:
    """Add a user, remove one, or give one another password."""
    name = f"{cluster.random.choice(NAMES)}-{cluster.random.choice(('users', 'restorers'))}"
    users = dict(cluster.user.inputs[name].values)
    host = cluster.random.choice(HOSTS)
    if host in users and len(users) > 1 and cluster.random.random() < 0.5:
        del users[host]
    else:
        users[host] = f"user-pass-{cluster.random.randrange(10**9)}"
    cluster.user.change_input(name, users)


def edit_accesses(cluster: Cluster) -> None:
    """Name a further Secret with users, or do so no more."""
    name = cluster.random.choice(NAMES)
    secret = {"name": f"{name}-restorers", "namespace": objects.NAMESPACE}
    further = [{"username": RESTORER, "userAccessSecretRef": secret}]
    wanted = cluster.random.choice((further, None))
    cluster.user.edit(name, {"server": {"additionalUserAccess": wanted}})


def edit_time_to_drain(cluster: Cluster) -> None:
    """Give the pods of a server more time to drain, or less."""
    seconds = cluster.random.choice((0, 30, 120))
    cluster.user.edit(cluster.random.choice(NAMES), {"server": {"drainSeconds": seconds}})


def renew_certificate(cluster: Cluster) -> None:
    """Renew the certificate of the server that names one."""
    pair = cluster.random.choice(CERTIFICATES)
    values = {"tls.crt": pair.certificate, "tls.key": pair.key}
    cluster.user.change_input(objects.TLS, values)


def change_administrator(cluster: Cluster) -> None:
    """Change the password of the administrator of all servers."""
    password = f"admin-pass-{cluster.random.randrange(3)}"
    cluster.user.change_input(objects.ADMIN, {"username": "admin", "password": password})


def change_users_and_administrator(cluster: Cluster) -> None:
    """Change who may connect and what makes another pod, at the same time."""
    change_users(cluster)
    change_administrator(cluster)


def edit_pod(cluster: Cluster) -> None:
    """Edit what makes another pod, or take that back."""
    variable = {"name": "LEVEL", "value": str(cluster.random.randrange(3))}
    container = {"name": names.CONTAINER, "env": [variable]}
    override = {"containers": [container]}
    cluster.user.edit(cluster.random.choice(NAMES), {"server": {"podOverride": override}})


def edit_maintenance(cluster: Cluster) -> None:
    """Have the repository of two servers maintained by one of them, or do so no more."""
    wanted = cluster.random.choice(({"schedule": "@daily"}, {"schedule": "@weekly"}, None))
    cluster.user.edit(MIRROR, {"repository": {"maintenance": wanted}})


def change_owner(cluster: Cluster) -> None:
    """Make somebody the owner of a repository's maintenance, a server perhaps."""
    owner = cluster.random.choice((STRANGER, *IDENTITIES.values()))
    for repository in cluster.nodes.repositories.all():
        repository.owner = owner


def move_to_another_repository(cluster: Cluster) -> None:
    """Give the second server on a repository one of its own, or bring it back."""
    bucket = cluster.random.choice((BUCKET, OTHER_BUCKET))
    cluster.user.change_input(f"{MIRROR}-location", bucket)


def edit_labels(cluster: Cluster) -> None:
    """Edit what a running pod takes up."""
    value = cluster.random.choice((None, "one", "two"))
    change = {"podLabels": {"team": value}, "podAnnotations": {"note": value}}
    cluster.user.edit(cluster.random.choice(NAMES), {"server": change})


def edit_peers(cluster: Cluster) -> None:
    """Edit who may connect."""
    label = {"team": cluster.random.choice(("one", "two"))}
    peers = [{"podSelector": {"matchLabels": label}}]
    change = {"server": {"networkPolicy": {"from": peers}}}
    cluster.user.edit(cluster.random.choice(NAMES), change)


def edit_publication(cluster: Cluster) -> None:
    """Publish how to connect to a server, or a Profile, or do so no more."""
    name = cluster.random.choice(NAMES)
    match cluster.random.choice(("connection", "profile", "no connection", "no profile")):
        case "connection":
            cluster.user.edit(name, {"publish": {"connection": {}}})
        case "profile":
            cluster.user.publish_profile(name)
        case "no connection":
            cluster.user.edit(name, {"publish": {"connection": None}})
        case _:
            cluster.user.edit(name, {"publish": {"kanisterProfile": None}})


def spoil_secret(cluster: Cluster) -> None:
    """Write a Secret wrong; it is put right some time later."""
    name = cluster.random.choice(list(cluster.user.inputs))
    values = cluster.random.choice(({}, {"nonsense": "nonsense"}))
    cluster.user.write_secret(name, values=values)
    pause = cluster.random.choice((0.5, 5.0, 60.0, 300.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_secret(name))


def mistake_repository_password(cluster: Cluster) -> None:
    """Write a password that does not open the repository; it is put right some time later."""
    name = f"{cluster.random.choice(NAMES)}-repository-password"
    cluster.user.write_secret(name, values={"repo-password": "repository-pass-wrong"})
    pause = cluster.random.choice((5.0, 60.0, 300.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_secret(name))


def delete_secret(cluster: Cluster) -> None:
    """Delete a Secret; it is made again some time later."""
    name = cluster.random.choice(list(cluster.user.inputs))
    cluster.user.delete_secret(name)
    pause = cluster.random.choice((0.0, 0.5, 10.0, 120.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_secret(name))


def recreate_server(cluster: Cluster) -> None:
    """Delete a resource, and make it again some time later."""
    name = cluster.random.choice(NAMES)
    cluster.user.delete_server(name)
    pause = cluster.random.choice((0.0, 0.5, 20.0, 100.0))
    cluster.agenda.after(pause, lambda: cluster.user.write_server(name))


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
    """Delete a ReplicaSet but not its pods."""
    found = cluster.api.list(resources.REPLICA_SETS)
    if not found:
        return
    replica_set = cluster.random.choice(found)
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
    for pod in _some_pod(cluster):
        grace = cluster.random.choice((None, 0))
        name = pod["metadata"]["name"]
        cluster.api.delete(resources.PODS, objects.NAMESPACE, name, grace_seconds=grace)


def take_label_off(cluster: Cluster) -> None:
    """Take a label off by which the Service finds a pod."""
    label = cluster.random.choice((names.LABEL_INSTANCE, names.LABEL_HASH))
    for pod in _some_pod(cluster):
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
    for pod in _some_pod(cluster):
        change = {"metadata": {"labels": {names.LABEL_INSTANCE: None}}}
        cluster.api.merge_patch(resources.PODS, objects.NAMESPACE, pod["metadata"]["name"], change)
        pause = cluster.random.choice((0.5, 1.0))
        delete = functools.partial(_delete_replica_set, cluster, names.maker_of(pod))
        cluster.agenda.after(pause, delete)


def _delete_replica_set(cluster: Cluster, name: str) -> None:
    if cluster.api.find(resources.REPLICA_SETS, objects.NAMESPACE, name) is not None:
        cluster.api.delete(resources.REPLICA_SETS, objects.NAMESPACE, name)


def kill_kopia(cluster: Cluster) -> None:
    """End the process in a container."""
    for pod in _some_pod(cluster):
        cluster.nodes.kill(pod)


def fail_probe(cluster: Cluster) -> None:
    """Let a pod be not Ready for a while."""
    for pod in _some_pod(cluster):
        cluster.nodes.fail_probe(pod, cluster.random.choice((1.0, 20.0, 200.0)))


def evict_pod(cluster: Cluster) -> None:
    """Put a pod off its node."""
    for pod in _some_pod(cluster):
        cluster.nodes.evict(pod)


def lose_node(cluster: Cluster) -> None:
    """Hear nothing of a node for a while."""
    node = cluster.random.choice(NODES)
    cluster.nodes.lose(node)
    pause = cluster.random.choice((10.0, 60.0, 400.0))
    cluster.agenda.after(pause, lambda: cluster.nodes.find_again(node))


def take_storage_away(cluster: Cluster) -> None:
    """Let the storage answer nobody for a while."""
    cluster.nodes.repositories.away = True
    cluster.agenda.after(cluster.random.choice((5.0, 60.0, 300.0)), lambda: _bring_back(cluster))


def _bring_back(cluster: Cluster) -> None:
    cluster.nodes.repositories.away = False


def take_registry_away(cluster: Cluster) -> None:
    """Let no image be pulled for a while."""
    cluster.nodes.registry_away = True
    pause = cluster.random.choice((5.0, 60.0))
    cluster.agenda.after(pause, lambda: _open_registry(cluster))


def _open_registry(cluster: Cluster) -> None:
    cluster.nodes.registry_away = False


def kill_controller(cluster: Cluster) -> None:
    """End the controller in the middle of whatever it does."""
    cluster.kill_controller()


def kill_controller_while_users_change(cluster: Cluster) -> None:
    """Change who may connect, and end the controller while a command is under way perhaps."""
    change_users(cluster)
    cluster.agenda.after(cluster.random.uniform(0.0, 5.0), cluster.kill_controller)


def change_users_twice(cluster: Cluster) -> None:
    """Change who may connect, and once more while the first change is being loaded perhaps."""
    change_users(cluster)
    pause = cluster.random.uniform(0.0, 5.0)
    cluster.agenda.after(pause, lambda: change_users(cluster))


def upgrade_controller(cluster: Cluster) -> None:
    """Replace the controller by one that starts servers with another image."""
    cluster.image = f"kopia/kopia:0.23.{cluster.random.randrange(1, 3)}"
    cluster.kill_controller()


def fail_requests(cluster: Cluster) -> None:
    """Let requests fail for a while, some of them after they were carried out."""
    cluster.weather.failing = cluster.random.choice((0.1, 0.5, 1.0))
    pause = cluster.random.choice((1.0, 10.0, 60.0))
    cluster.agenda.after(pause, lambda: _clear_up(cluster))


def _clear_up(cluster: Cluster) -> None:
    cluster.weather.failing = 0.0


def take_right_away(cluster: Cluster) -> None:
    """Forbid the controller something for a while."""
    right = cluster.random.choice(RIGHTS)
    cluster.weather.forbidden.add(right)
    pause = cluster.random.choice((1.0, 20.0, 120.0))
    cluster.agenda.after(pause, lambda: cluster.weather.forbidden.discard(right))


def fill_quota(cluster: Cluster) -> None:
    """Let no pod be made for a while."""
    cluster.replica_sets.refused = True
    pause = cluster.random.choice((1.0, 20.0, 600.0))
    cluster.agenda.after(pause, lambda: _raise_quota(cluster))


def _raise_quota(cluster: Cluster) -> None:
    cluster.replica_sets.refused = False


def scale_replica_set(cluster: Cluster) -> None:
    """Change by hand how many pods a ReplicaSet has."""
    found = cluster.api.list(resources.REPLICA_SETS)
    if found:
        name = cluster.random.choice(found)["metadata"]["name"]
        change = {"spec": {"replicas": cluster.random.choice((0, 2))}}
        cluster.api.merge_patch(resources.REPLICA_SETS, objects.NAMESPACE, name, change)


def stall_watch(cluster: Cluster) -> None:
    """Let one of the controller's caches stay behind for a while."""
    if cluster.process is not None:
        informer = cluster.random.choice(cluster.process.informers)
        informer.stall(cluster.random.choice((0.5, 5.0, 40.0, 90.0)))


def cut_watch(cluster: Cluster) -> None:
    """Cut a watch: what it had not shown yet is only found by a list."""
    if cluster.process is not None:
        cluster.random.choice(cluster.process.informers).relist()


def _some_pod(cluster: Cluster) -> list[Object]:
    pods = cluster.api.list(resources.PODS)
    return [cluster.random.choice(pods)] if pods else []


ACTIONS: tuple[Callable[[Cluster], None], ...] = (
    change_users,
    edit_accesses,
    edit_time_to_drain,
    renew_certificate,
    change_administrator,
    change_users_and_administrator,
    edit_pod,
    edit_maintenance,
    change_owner,
    move_to_another_repository,
    edit_labels,
    edit_peers,
    edit_publication,
    spoil_secret,
    mistake_repository_password,
    delete_secret,
    recreate_server,
    orphan_children,
    delete_child,
    leave_pods_behind,
    change_child,
    delete_pod,
    take_label_off,
    take_label_off_child,
    lose_pod,
    kill_kopia,
    fail_probe,
    evict_pod,
    lose_node,
    take_storage_away,
    take_registry_away,
    kill_controller,
    kill_controller_while_users_change,
    change_users_twice,
    upgrade_controller,
    fail_requests,
    take_right_away,
    fill_quota,
    scale_replica_set,
    stall_watch,
    cut_watch,
)
