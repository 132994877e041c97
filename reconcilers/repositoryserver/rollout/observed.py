"""The children of a server as they are observed, gathered once for each reconcile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from reconcilers import resources
from reconcilers.repositoryserver.caches import (
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_RELEASED,
    INDEX_SERVICE,
)
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.children.owners import is_of_removed_controller
from reconcilers.repositoryserver.rollout import podstatus
from reconcilers.repositoryserver.rollout.plan import RolloutState
from reconcilers.repositoryserver.rollout.revisions import Revision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.caches import Cache, Caches


@frozen
class Observed:
    """The children of a server.

    They do not change while a reconcile goes on. A step that writes one returns it, and the steps
    after it are given what `with_revision` and `with_pods` return.

    Args:
        revisions: Its ReplicaSets with their pods.
        legacy_pods: The pods that the removed controller has left.
        selected: Hash that the Service selects; empty if there is no Service.
        kept: Hashes of the revisions that have a pod, or get one, whoever owns them.
        users: The Secret with the users, without its data; None if there is none.
        endpoint_slices: Those of the Service.
    """

    revisions: tuple[Revision, ...] = ()
    legacy_pods: tuple[Mapping[str, Any], ...] = ()
    selected: str = ""
    kept: frozenset[str] = frozenset()
    users: Mapping[str, Any] | None = None
    endpoint_slices: tuple[Mapping[str, Any], ...] = ()

    @property
    def pods(self) -> list[Mapping[str, Any]]:
        """The pods of its revisions."""
        return [pod for revision in self.revisions for pod in revision.pods]

    def revision(self, hash_: str) -> Revision | None:
        """Return the revision with a hash; None if there is none."""
        return next((one for one in self.revisions if one.hash == hash_), None)

    def beside(self, pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the other pods of the server, those of the removed controller among them."""
        uid = pod["metadata"]["uid"]
        return [one for one in (*self.pods, *self.legacy_pods) if one["metadata"]["uid"] != uid]

    def with_revision(self, revision: Revision | None) -> Observed:
        """Return the same with a revision as it is after a write.

        Args:
            revision: One that is new, or that was written; None for no change.
        """
        if revision is None:
            return self
        revisions = [one for one in self.revisions if one.hash != revision.hash]
        kept = self.kept - {revision.hash}
        if revision.is_kept:
            kept |= {revision.hash}
        return evolve(self, revisions=(*revisions, revision), kept=kept)

    def with_pods(self, pods: Iterable[Mapping[str, Any]]) -> Observed:
        """Return the same with pods as they are after a write.

        Args:
            pods: Pods that were written.
        """
        written = {pod["metadata"]["uid"]: pod for pod in pods}
        if not written:
            return self

        def current(pod: Mapping[str, Any]) -> Mapping[str, Any]:
            return written.get(pod["metadata"]["uid"], pod)

        revisions = (
            evolve(
                revision,
                owned=tuple(map(current, revision.owned)),
                released=tuple(map(current, revision.released)),
            )
            for revision in self.revisions
        )
        return evolve(
            self, revisions=tuple(revisions), legacy_pods=tuple(map(current, self.legacy_pods))
        )

    def with_released(self) -> Observed:
        """Return the same with the pods that are taken back among those of their revisions.

        A ReplicaSet takes a pod back at once that it has released, once that has its labels again.
        """
        revisions = (
            revision
            if revision.is_deleted
            else evolve(revision, owned=(*revision.owned, *revision.released), released=())
            for revision in self.revisions
        )
        return evolve(self, revisions=tuple(revisions))

    def rollout_state(self, update: str, users: str) -> RolloutState:
        """Return where the server stands between two revisions.

        Args:
            update: Hash of the update revision; empty while that is not known.
            users: Version of the users that a pod must have.
        """
        return RolloutState(update, self.selected, WrittenUsers.of(users, self.users), self.kept)


class Observer:
    """Gathers the children of servers from the caches.

    Args:
        caches: What is there.
    """

    def __init__(self, caches: Caches[Cache]) -> None:
        self._caches = caches

    def observe(self, server: RepositoryServer) -> Observed:
        """Return the children of a server."""
        caches, service = self._caches, names.stable_name(server)
        owned = caches.replica_sets.by_index(INDEX_OWNER, server.uid)
        # Whoever owns them: a cache may not show yet that one was adopted.
        labelled = caches.replica_sets.by_index(INDEX_INSTANCE, names.instance_label(server.name))
        revisions = (
            Revision(one) for one in labelled if one["metadata"]["namespace"] == server.namespace
        )
        return Observed(
            revisions=tuple(
                self.revision(one) for one in owned if names.versioned_hash(server, one)
            ),
            legacy_pods=tuple(
                pod
                for pod in caches.pods.by_index(INDEX_OWNER, server.uid)
                if is_of_removed_controller(resources.PODS, pod)
            ),
            selected=self._selector(server.namespace, service).get(names.LABEL_HASH, ""),
            kept=frozenset(one.hash for one in revisions if one.is_kept),
            users=caches.secrets.get(server.namespace, names.users_name(server)),
            endpoint_slices=tuple(caches.endpoint_slices.by_index(INDEX_SERVICE, service)),
        )

    def selected_pod(self, metadata: Mapping[str, Any], service: str) -> Mapping[str, Any] | None:
        """Return a Ready pod that a Service selects; None if there is none.

        It works for a resource that cannot be read.

        Args:
            metadata: Of the resource.
            service: Name of the Service, which may be that of the removed controller.
        """
        selector = self._selector(metadata["namespace"], service)
        if not selector:
            return None
        owned = self._caches.replica_sets.by_index(INDEX_OWNER, metadata["uid"])
        made = [pod for one in owned for pod in self.revision(one).pods]
        selected = (
            pod
            for pod in (*self._caches.pods.by_index(INDEX_OWNER, metadata["uid"]), *made)
            if podstatus.is_ready(pod)
            and selector.items() <= (pod["metadata"].get("labels") or {}).items()
        )
        return next(selected, None)

    def revision(self, replica_set: Mapping[str, Any]) -> Revision:
        """Return a ReplicaSet with its pods."""
        metadata, pods = replica_set["metadata"], self._caches.pods
        prefix, _ = names.split_versioned(metadata["name"])
        released = pods.by_index(INDEX_RELEASED, prefix)
        return Revision(
            replica_set,
            owned=tuple(pods.by_index(INDEX_OWNER, metadata["uid"])),
            released=tuple(
                pod
                for pod in released
                if pod["metadata"]["namespace"] == metadata["namespace"]
                and names.maker_of(pod) == metadata["name"]
            ),
        )

    def _selector(self, namespace: str, service: str) -> Mapping[str, str]:
        found = self._caches.services.get(namespace, service) or {}
        return found.get("spec", {}).get("selector") or {}
