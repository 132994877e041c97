"""Adopting children that have lost their owner.

`kubectl delete --cascade=orphan`, and restores that drop owner references, leave the children of a
server without one. The resource that is made again under the name takes them over, and the pod that
serves goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import INDEX_INSTANCE, INDEX_OWNER, owner_uids
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Resource
    from controller.rest.client import Client
    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.context import ReconcileContext

_log = structlog.get_logger()


class Outdated(Exception):
    """The cache shows a resource that is gone or being deleted: nothing is to be done for it."""


class Adoption:
    """Makes a resource the owner of what was made for one of its name.

    Args:
        client: Writes.
        caches: Show what is there.
    """

    def __init__(self, *, client: Client, caches: Caches[Cache]) -> None:
        self._client = client
        self._caches: dict[Resource, Cache] = {
            resources.SECRETS: caches.secrets,
            resources.REPLICA_SETS: caches.replica_sets,
            resources.SERVICES: caches.services,
            resources.NETWORK_POLICIES: caches.network_policies,
            resources.CRON_JOBS: caches.cron_jobs,
            resources.PROFILES: caches.profiles,
        }

    def ensure(self, current: ReconcileContext) -> None:
        """Adopt the objects with our labels and names that nobody owns.

        Pods are adopted by their ReplicaSet.

        Raises:
            Outdated: There are some, and the API server does not have the resource any more.
            Conflict: One has changed meanwhile.
            ClientError: The API server refused or could not be reached.
        """
        server = current.server
        label = names.instance_label(server.name)
        orphans = [
            (resource, obj)
            for resource, cache in self._caches.items()
            for obj in cache.by_index(INDEX_INSTANCE, label)
            if is_orphan(server, obj)
        ]
        if orphans and not self._may_adopt(current):
            raise Outdated
        for resource, obj in orphans:
            metadata = obj["metadata"]
            _log.info("adopted", kind=resource.kind, child=metadata["name"])
            owners = {"ownerReferences": [server.owner_reference()]}
            self._client.merge_patch(
                resource,
                metadata["namespace"],
                metadata["name"],
                {"metadata": {"resourceVersion": metadata["resourceVersion"], **owners}},
                deadline=current.deadline,
            )

    def secrets_of(self, server: RepositoryServer) -> frozenset[str]:
        """Return the names of the Secrets of ours that a resource owns, or is about to adopt.

        Args:
            server: The resource.
        """
        secrets = self._caches[resources.SECRETS]
        orphans = (
            one
            for one in secrets.by_index(INDEX_INSTANCE, names.instance_label(server.name))
            if one["metadata"]["namespace"] == server.namespace and not owner_uids(one)
        )
        found = (*secrets.by_index(INDEX_OWNER, server.uid), *orphans)
        return frozenset(one["metadata"]["name"] for one in found if names.is_ours(one))

    def _may_adopt(self, current: ReconcileContext) -> bool:
        """Return whether the resource is there, by the API server's word and not the cache's.

        What gets an owner that has just been deleted is deleted by the garbage collector
        (kubernetes pkg/controller/controller_ref_manager.go, RecheckDeletionTimestamp).
        """
        server = current.server
        try:
            live = self._client.get(
                api.REPOSITORY_SERVERS, server.namespace, server.name, deadline=current.deadline
            )
        except NotFound:
            return False
        metadata = live["metadata"]
        return metadata["uid"] == server.uid and "deletionTimestamp" not in metadata


def is_orphan(server: RepositoryServer, obj: Mapping[str, Any]) -> bool:
    """Return whether an observed object was made for a server of this name, and nobody owns it.

    Args:
        server: The resource.
        obj: An object with the label of the resource's name.
    """
    metadata = obj["metadata"]
    labels = metadata.get("labels") or {}
    known = {
        names.stable_name(server),
        names.users_name(server),
        names.certificate_name(server),
        names.authority_name(server),
        names.maintenance_name(server),
        names.maintenance_secret_name(server),
        names.connection_name(server),
        names.profile_certificate_name(server),
    }
    return (
        metadata["namespace"] == server.namespace
        and labels.get(names.LABEL_MANAGED_BY) == names.MANAGER
        and (metadata["name"] in known or names.versioned_hash(server, obj) != "")
        and not metadata.get("ownerReferences")
        and "deletionTimestamp" not in metadata
    )
