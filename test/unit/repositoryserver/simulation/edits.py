"""What the user does to resources and Secrets of his own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes import objects
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
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from fakes.simulation.cluster import Cluster

CERTIFICATES = [objects.key_pair(f"{FILES}-{number}") for number in range(3)]


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
