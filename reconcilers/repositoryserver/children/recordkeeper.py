"""Keeping the record of a server on its ReplicaSet, and reading it again, see `record`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from reconcilers import resources
from reconcilers.repositoryserver.caches import INDEX_OWNER
from reconcilers.repositoryserver.children import names
from reconcilers.secrets.reader import version_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.children.known import Known
    from reconcilers.repositoryserver.children.record import Records
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

#: Seconds between two writes of a record for its own sake. A Secret that many servers name may be
#: written often without a change that matters. A process that is started meanwhile reads it anew.
PAUSE_SECONDS: Final = 3600.0


class RecordKeeper:
    """Keeps on the newest ReplicaSet of a server what the next process needs to know.

    Args:
        records: From what is known to a record, and back.
        caches: The ReplicaSets, and the Secrets.
        applier: Writes.
        states: Holds when the record of each resource was written, and which Secrets were.
        clock: The time.
    """

    def __init__(
        self,
        *,
        records: Records,
        caches: Caches[Cache],
        applier: ChildApplier,
        states: States,
        clock: Clock,
    ) -> None:
        self._records = records
        self._replica_sets = caches.replica_sets
        self._secrets = caches.secrets
        self._applier = applier
        self._clock = clock
        # When the record was written, in monotonic seconds.
        self._written_at = states.per_object(_never)
        # By name of a Secret its version as this process or an earlier one has written it.
        self._written = states.per_object(lambda current: dict(self.recall(current).written))

    def recall(self, current: ReconcileContext) -> Known:
        """Return what a process that is new to a server can know of it."""
        owned = self._replica_sets.by_index(INDEX_OWNER, current.server.uid)
        made = (one for one in owned if names.versioned_hash(current.server, one))
        return self._records.recall(current.server, made)

    def is_as_written(self, current: ReconcileContext, secret: Mapping[str, Any]) -> bool:
        """Return whether nobody has written a Secret since the controller has.

        Its content is not in the caches. Where no process has recorded its last write the answer is
        no.

        Args:
            current: The reconcile.
            secret: The Secret as it is observed.
        """
        known = self._written.of(current).get(secret["metadata"]["name"])
        return known == version_of(secret)

    def note_written(self, current: ReconcileContext, secret: Mapping[str, Any]) -> None:
        """Record that the controller has written a Secret.

        Args:
            current: The reconcile.
            secret: The Secret as it is since.
        """
        self._written.of(current)[secret["metadata"]["name"]] = version_of(secret)

    def annotations(
        self, current: ReconcileContext, known: Known, replica_set: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return the annotations with the record that a ReplicaSet is to have.

        Args:
            current: The reconcile.
            known: What is known of the server, but for the Secrets that were written.
            replica_set: The ReplicaSet, made or to be made.
        """
        namespace = current.server.namespace
        written = {
            name: version
            for name, version in self._written.of(current).items()
            if self._secrets.get(namespace, name) is not None
        }
        return self._records.annotations(evolve(known, written=written), replica_set)

    def ensure_kept(
        self, current: ReconcileContext, known: Known, replica_set: Mapping[str, Any]
    ) -> None:
        """Write the record if it is not there, unless it was written lately.

        Args:
            current: The reconcile.
            known: What is known of the server.
            replica_set: The ReplicaSet of its newest revision.

        Raises:
            Conflict: Another has the ReplicaSet's name.
            ClientError: The API server refused or could not be reached.
        """
        now, written_at = self._clock.monotonic(), self._written_at.of(current)
        if written_at is not None and now < written_at + PAUSE_SECONDS:
            return
        if "deletionTimestamp" in replica_set["metadata"]:
            return
        annotations = self.annotations(current, known, replica_set)
        kept = replica_set["metadata"].get("annotations") or {}
        if annotations.items() <= kept.items():
            return
        change = {"metadata": {"annotations": annotations}}
        self._applier.patch(current, resources.REPLICA_SETS, replica_set, change)
        self._written_at.set(current, now)


def _never(_: ReconcileContext) -> float | None:
    return None
