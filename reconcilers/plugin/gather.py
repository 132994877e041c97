"""What is read of a server for the screen of `status`, and of its users for `connect`."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final

from controller.resource import Resource
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.plugin import report
from reconcilers.plugin.connecting import Account
from reconcilers.plugin.exits import PluginError
from reconcilers.plugin.report import Facts
from reconcilers.repositoryserver import connection
from reconcilers.secrets import data

if TYPE_CHECKING:
    from controller.resource import Object
    from reconcilers.plugin.cluster import Cluster

#: As people have rights on them: not those of events.k8s.io, which are the same objects.
EVENTS: Final = Resource("", "v1", "events", "Event")


def server(cluster: Cluster, name: str) -> Object:
    """Return a RepositoryServer.

    Raises:
        PluginError: It does not exist, may not be read, or the API server has not answered.
    """
    return cluster.get(connection.RESOURCE, cluster.namespace, name)


def facts(cluster: Cluster, name: str) -> Facts:
    """Return what there is to know of a server. What may not be read is left out and named.

    Args:
        cluster: The API server.
        name: Of the RepositoryServer.

    Raises:
        PluginError: The RepositoryServer itself cannot be read.
    """
    obj = server(cluster, name)
    missing: dict[str, str] = {}
    found_pods: list[Object] = []
    found_events: list[Object] = []
    found_users: list[tuple[str, str]] = []
    try:
        found_pods = pods(cluster, name)
    except PluginError as error:
        missing[report.PODS] = str(error)
    try:
        found_events = _events(cluster, obj)
    except PluginError as error:
        missing[report.EVENTS_PART] = str(error)
    try:
        found_users = [(one.user, one.secret) for one in accounts(cluster, obj)]
    except (PluginError, InvalidInput) as error:
        missing[report.USERS] = str(error)
    return Facts(obj, found_pods, found_events, found_users, missing)


def pods(cluster: Cluster, name: str) -> list[Object]:
    """Return the pods of a server.

    Raises:
        PluginError: They may not be listed, or the API server has not answered.
    """
    selector = connection.pod_selector(name)
    return cluster.list(resources.PODS, cluster.namespace, labels=selector)


def accounts(cluster: Cluster, obj: Object) -> list[Account]:
    """Return the users of a server, in the order of its access Secrets and of their names.

    The passwords that come with them are dropped here.

    Args:
        cluster: The API server.
        obj: The RepositoryServer.

    Raises:
        PluginError: A Secret cannot be read.
        InvalidInput: The resource or a Secret of it cannot work.
    """
    found: list[Account] = []
    for access in connection.accesses(obj):
        ref = access.secret
        read = cluster.get(resources.SECRETS, ref.namespace, ref.name)
        secret = data.read(ref, read, (connection.USERS_TYPE,))
        for user in connection.users(access, secret):
            name = f"{user.username}@{user.hostname}"
            key = connection.key_of(access, name)
            has_mark = secret.values[key].startswith(codecs.BOM_UTF8)
            found.append(Account(name, ref.namespace, ref.name, key, has_mark))
    return found


def _events(cluster: Cluster, obj: Object) -> list[Object]:
    metadata = obj["metadata"]
    fields = f"involvedObject.uid={metadata['uid']}"
    return cluster.list(EVENTS, metadata["namespace"], fields=fields)
