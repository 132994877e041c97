"""Pods of a server that no ReplicaSet has any more.

A ReplicaSet releases a pod that has lost a label, and whoever deletes a ReplicaSet may leave its
pods behind. Such a pod runs on. It may hold a claim that only one node can mount, lets in users who
have been removed since, and nobody else would ever delete it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from controller.errors import Conflict, NotFound
from reconcilers import resources
from reconcilers.repositoryserver.caches import INDEX_RELEASED
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import podstatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Deadline
    from controller.reconcile import Request
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.context import ReconcileContext

_log = structlog.get_logger()


class Strays:
    """Finds the pods of a server that nobody owns, and deletes those that nobody will own again.

    Args:
        client: Deletes.
        caches: What is there.
    """

    def __init__(self, *, client: Client, caches: Caches[Cache]) -> None:
        self._client = client
        self._caches = caches

    def released(self, request: Request) -> list[Mapping[str, Any]]:
        """Return the pods of a server that nobody owns.

        Args:
            request: The server, which may be gone.
        """
        found = self._caches.pods.by_index(INDEX_RELEASED, names.versioned_prefix(request.name))
        return [pod for pod in found if pod["metadata"]["namespace"] == request.namespace]

    def undecided(self, current: ReconcileContext, update: str) -> list[Mapping[str, Any]]:
        """Return the pods that nobody owns while nobody can say whether they have to go.

        Args:
            current: The reconcile.
            update: Hash of the update revision; empty while it is not known.
        """
        return [] if update else self.released(current.request)

    def ensure_pruned(self, current: ReconcileContext, update: str) -> None:
        """Delete the pods of a server whose ReplicaSet is gone, once its update revision is known.

        One of them may hold the claim that the update revision waits for.

        Args:
            current: The reconcile.
            update: Hash of that revision; empty while it is not known.

        Raises:
            ClientError: As for `ensure_gone`.
        """
        if update:
            self.ensure_gone(current.request, current.deadline, update=update)

    def ensure_gone(self, request: Request, deadline: Deadline, *, update: str = "") -> None:
        """Delete the pods of a server that no ReplicaSet takes back.

        That is so if their ReplicaSet is gone, which would have taken them along, or they have
        ended.

        Args:
            request: The server, which may be gone.
            deadline: Until when.
            update: Hash of the revision that is about to be made again, and takes its pod back;
                empty for none.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        for pod in self.released(request):
            metadata, maker = pod["metadata"], names.maker_of(pod)
            _, hash_ = names.split_versioned(maker)
            is_kept = self._caches.replica_sets.get(request.namespace, maker) is not None
            # What has ended is taken back by no ReplicaSet (kubernetes
            # pkg/controller/replicaset/replica_set.go, FilterActivePods).
            has_ended = pod.get("status", {}).get("phase") in podstatus.ENDED_PHASES
            if "deletionTimestamp" in metadata or (not has_ended and (is_kept or hash_ == update)):
                continue
            try:
                self._client.delete(
                    resources.PODS,
                    request.namespace,
                    metadata["name"],
                    uid=metadata["uid"],
                    deadline=deadline,
                )
            except (NotFound, Conflict):
                # It is gone, and another one may have its name.
                continue
            _log.info("deleted a pod that no ReplicaSet has any more", pod=metadata["name"])
