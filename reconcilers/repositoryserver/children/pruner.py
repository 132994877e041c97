"""Deleting the children that nothing uses any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconcilers import resources
from reconcilers.repositoryserver.caches import INDEX_OWNER
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.owners import is_of_removed_controller, mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from controller.resource import Resource
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.context import ReconcileContext


class ChildPruner:
    """Deletes the Secrets and Services of a server that are superfluous.

    Args:
        caches: What is there.
        applier: Deletes.
    """

    def __init__(self, *, caches: Caches[Cache], applier: ChildApplier) -> None:
        self._caches = {
            resources.SECRETS: caches.secrets,
            resources.SERVICES: caches.services,
        }
        self._applier = applier

    def snapshots(self, current: ReconcileContext, keep: Collection[str]) -> None:
        """Delete the snapshot Secrets that no pod uses.

        Args:
            current: The reconcile.
            keep: Names of those that stay.

        Raises:
            ClientError: As for `delete`.
        """
        server = current.server

        def is_unused(secret: Mapping[str, Any]) -> bool:
            is_snapshot = names.versioned_hash(server, secret) != "" and mark_of(secret) != ""
            return is_snapshot and secret["metadata"]["name"] not in keep

        self._prune(current, resources.SECRETS, is_unused, "no pod uses it")

    def certificate(self, current: ReconcileContext) -> None:
        """Delete what the controller made for TLS, once the resource names another certificate.

        Raises:
            ClientError: As for `delete`.
        """
        server = current.server
        if server.tls is None:
            return
        made = {names.certificate_name(server), names.authority_name(server)} - {server.tls.name}
        self._prune(
            current,
            resources.SECRETS,
            lambda secret: secret["metadata"]["name"] in made,
            "another certificate is in use",
        )

    def services_of_removed_controller(self, current: ReconcileContext) -> None:
        """Delete the Services that the removed controller made.

        Raises:
            ClientError: As for `delete`.
        """
        self._prune(
            current,
            resources.SERVICES,
            lambda service: is_of_removed_controller(resources.SERVICES, service),
            "its pods are gone",
        )

    def _prune(
        self,
        current: ReconcileContext,
        resource: Resource,
        superfluous: Callable[[Mapping[str, Any]], bool],
        why: str,
    ) -> None:
        for obj in self._caches[resource].by_index(INDEX_OWNER, current.server.uid):
            if superfluous(obj) and not obj["metadata"].get("deletionTimestamp"):
                self._applier.delete(current, resource, obj, why)
