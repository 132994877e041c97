"""Acting on revisions: their ReplicaSets, and the pods that these have made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.conditions import timestamp
from controller.errors import BadRequest, Invalid
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.caches import INDEX_INSTANCE, INDEX_RELEASED
from reconcilers.repositoryserver.children import names, revision
from reconcilers.repositoryserver.children.pod import metadata_patch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.applier import ChildApplier, RecordEvent
    from reconcilers.repositoryserver.children.known import Known
    from reconcilers.repositoryserver.children.recordkeeper import RecordKeeper
    from reconcilers.repositoryserver.children.secrets import ServerInputs
    from reconcilers.repositoryserver.context import ReconcileContext

REASON_POD_REFUSED: Final = "PodRefused"
POD_REFUSED: Final = (
    "the API server rejects ReplicaSet {name}: {message}; correct this in spec.server, for example "
    "in podOverride"
)

EVENT_REVISION_CREATED: Final = "RevisionCreated"
REVISION_CREATED: Final = "created ReplicaSet {name}"
EVENT_REVISION_RETIRED: Final = "RevisionRetired"
REVISION_RETIRED: Final = "ReplicaSet {name} gets no pod any more: {why}"
EVENT_POD_DRAINS: Final = "PodDrains"
POD_DRAINS: Final = "pod {pod} drains: its connections may continue until {until}"


class WorkloadWriter:
    """Creates and scales the ReplicaSets of RepositoryServers, and marks their pods.

    Args:
        caches: What is there.
        applier: Writes.
        records: What is recorded on ReplicaSets.
        record_event: Records the events of revisions that are created and retired.
    """

    def __init__(
        self,
        *,
        caches: Caches[Cache],
        applier: ChildApplier,
        records: RecordKeeper,
        record_event: RecordEvent,
    ) -> None:
        self._caches = caches
        self._applier = applier
        self._records = records
        self._record_event = record_event

    def has_pods(self, current: ReconcileContext) -> bool:
        """Return whether a server has pods, be they of a deleted resource of the same name."""
        server = current.server
        label = names.selector(server)[names.LABEL_INSTANCE]
        pods = (
            *self._caches.pods.by_index(INDEX_INSTANCE, label),
            *self._caches.pods.by_index(INDEX_RELEASED, names.versioned_prefix(server.name)),
        )
        return any(pod["metadata"]["namespace"] == server.namespace for pod in pods)

    def ensure_revision(
        self,
        current: ReconcileContext,
        inputs: ServerInputs | None,
        hash_: str,
        known: Known,
    ) -> dict[str, Any] | None:
        """Create snapshot and ReplicaSet if they are missing.

        Args:
            current: The reconcile.
            inputs: What they are made of; None if both are known to be there.
            hash_: Names them.
            known: What is known of the server, for the record.

        Returns:
            The ReplicaSet as it is then.

        Raises:
            InvalidInput: As for `ensure`, or what the resource says of the pod makes none.
            RetryLater: As for `ensure`.
            ClientError: As for `ensure`.
        """
        server = current.server
        name = names.versioned_name(server, hash_)
        observed = self._caches.replica_sets.get(server.namespace, name)
        if observed is not None:
            self._applier.refuse_foreign(current, resources.REPLICA_SETS, observed)
            if observed["metadata"].get("deletionTimestamp"):
                return observed
        if inputs is None:
            return observed
        self._applier.ensure(
            current, resources.SECRETS, revision.snapshot_secret(server, inputs, hash_)
        )
        # How many pods one that is there has is for the rollout to say.
        replicas = 1 if observed is None else observed["spec"].get("replicas", 1)
        desired = revision.replica_set(server, inputs, hash_, replicas=replicas)
        desired["metadata"]["annotations"] = self._records.annotations(current, known, desired)
        try:
            replica_set = self._applier.ensure(current, resources.REPLICA_SETS, desired)
        # A webhook's denial without a code is a bad request.
        except (BadRequest, Invalid) as error:
            message = POD_REFUSED.format(name=name, message=error.message)
            raise InvalidInput(REASON_POD_REFUSED, message) from error
        if observed is None:
            note = REVISION_CREATED.format(name=name)
            self._record_event(current, EVENT_REVISION_CREATED, note, "Create")
        return replica_set

    def ensure_pod_metadata(
        self, current: ReconcileContext, replica_set: Mapping[str, Any], pod: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Write the labels and annotations of a ReplicaSet's template on a pod that it has made.

        The ReplicaSet controller does that for new pods only.

        Returns:
            The pod as it is then.

        Raises:
            Conflict: Another pod has the name.
            ClientError: The API server refused or could not be reached.
        """
        template = replica_set["spec"]["template"]["metadata"]
        patch = metadata_patch(template, pod["metadata"])
        if not patch:
            return pod
        return self._applier.patch(current, resources.PODS, pod, {"metadata": patch})

    def scale(
        self,
        current: ReconcileContext,
        replica_set: Mapping[str, Any],
        replicas: int,
        annotations: Mapping[str, str | None] | None = None,
    ) -> dict[str, Any]:
        """Set the number of pods that a ReplicaSet keeps, and return it as it is then.

        Args:
            current: The reconcile.
            replica_set: The ReplicaSet.
            replicas: 0 or 1.
            annotations: What to write on it along with that; None takes one off.

        Raises:
            Conflict: Another ReplicaSet has the name.
            ClientError: The API server refused or could not be reached.
        """
        change: dict[str, Any] = {"spec": {"replicas": replicas}}
        if annotations:
            change["metadata"] = {"annotations": dict(annotations)}
        return self._applier.patch(current, resources.REPLICA_SETS, replica_set, change)

    def retire(self, current: ReconcileContext, replica_set: Mapping[str, Any], why: str) -> None:
        """Scale a ReplicaSet to no pod.

        Args:
            current: The reconcile.
            replica_set: The ReplicaSet.
            why: For the event.

        Raises:
            Conflict: As for `scale`.
            ClientError: As for `scale`.
        """
        self.scale(current, replica_set, 0)
        note = REVISION_RETIRED.format(name=replica_set["metadata"]["name"], why=why)
        self._record_event(current, EVENT_REVISION_RETIRED, note, "Retire")

    def drain(
        self, current: ReconcileContext, pod: Mapping[str, Any], until: datetime
    ) -> dict[str, Any]:
        """Write on a pod until when it is left to its sessions, and return it as it is then.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        when = timestamp(until)
        drained = self.annotate(current, pod, {names.ANNOTATION_DRAIN_UNTIL: when})
        note = POD_DRAINS.format(pod=pod["metadata"]["name"], until=when)
        self._record_event(current, EVENT_POD_DRAINS, note, "Drain")
        return drained

    def annotate(
        self, current: ReconcileContext, pod: Mapping[str, Any], annotations: Mapping[str, str]
    ) -> dict[str, Any]:
        """Write annotations on this very pod, and return it as it is then.

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        change = {"metadata": {"annotations": dict(annotations)}}
        return self._applier.patch(current, resources.PODS, pod, change)

    def nudge(
        self,
        current: ReconcileContext,
        replica_set: Mapping[str, Any],
        *,
        now: datetime,
        since: datetime,
    ) -> dict[str, Any]:
        """Nudge the ReplicaSet controller to try again now, and return the ReplicaSet then.

        By itself it waits ever longer after each refusal, up to a quarter of an hour. Any change of
        the object makes it look at once (kubernetes pkg/controller/replicaset, updateRS). It leaves
        a ReplicaFailure that is there as it is, whatever the next refusal says (calculateStatus),
        so the condition is removed. What is written to the status of a ReplicaSet may change its
        metadata as well (kubernetes pkg/registry/apps/replicaset, rsStatusStrategy).

        Args:
            current: The reconcile.
            replica_set: The ReplicaSet.
            now: The time.
            since: When its pod was refused first.

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        annotations = {
            names.ANNOTATION_NUDGED: timestamp(now),
            names.ANNOTATION_REFUSED: timestamp(since),
        }
        # A ReplicaSet has no other condition.
        change = {"metadata": {"annotations": annotations}, "status": {"conditions": []}}
        return self._applier.patch(
            current, resources.REPLICA_SETS, replica_set, change, subresource="status"
        )
