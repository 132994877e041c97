"""Acting on a rollout: the Service moves to the active pod, the others drain and go."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.conditions import timestamp
from controller.errors import NotFound
from reconcilers import resources
from reconcilers.repositoryserver.children import names, network
from reconcilers.repositoryserver.rollout import endpoints, handover, plan, podstatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.rest.client import Client
    from reconcilers.repositoryserver.children.applier import ChildApplier, RecordEvent
    from reconcilers.repositoryserver.children.pruner import ChildPruner
    from reconcilers.repositoryserver.children.workload import WorkloadWriter
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.rollout.observed import Observed
    from reconcilers.repositoryserver.rollout.plan import RolloutState
    from reconcilers.repositoryserver.rollout.revisions import Revision
    from reconcilers.repositoryserver.rollout.update import UpdateRevision

EVENT_REPLACED_IN_PLACE: Final = "ReplacedInPlace"
REPLACED_IN_PLACE: Final = "pod {pod} is deleted before its replacement is up: {why}"
EVENT_GAVE_BACK: Final = "PreviousRevisionRestored"
GAVE_BACK: Final = (
    "ReplicaSet {previous} gets its pod back: the one that took its claim has not become Ready "
    "within {seconds:.0f} s"
)


@frozen
class Routed:
    """What came of a step of a rollout.

    Args:
        active: The pod that the Service selects; None if there is none that clients may reach.
        observed: The children as they are then.
    """

    active: Mapping[str, Any] | None
    observed: Observed


class ServiceRouter:
    """Decides in each reconcile which pod clients reach, and what becomes of the others.

    Args:
        client: Reads claims.
        applier: Writes the Service, and deletes.
        workload: Marks pods, and scales ReplicaSets.
        pruner: Deletes what no revision uses.
        record_event: Records the events of a replacement in place.
        states: Holds when the Service of each server has moved.
        clock: The time.
    """

    def __init__(
        self,
        *,
        client: Client,
        applier: ChildApplier,
        workload: WorkloadWriter,
        pruner: ChildPruner,
        record_event: RecordEvent,
        states: States,
        clock: Clock,
    ) -> None:
        self._client = client
        self._applier = applier
        self._workload = workload
        self._pruner = pruner
        self._record_event = record_event
        self._clock = clock
        # When the Service came to select another pod by a write of ours, in monotonic seconds.
        self._moved_at = states.per_object(_never)

    def ensure_intact(self, current: ReconcileContext, observed: Observed) -> Observed:
        """Put back what others have changed of ReplicaSets and pods, and bring pods up to date.

        What a template says by now is written on the pods that have been made of it before.
        A pod that has lost a label of the selector is not its ReplicaSet's any more: with the label
        it becomes so again, and the one that was made in its place goes.

        Returns:
            The children as they are then.

        Raises:
            Conflict: A pod has changed meanwhile.
            ClientError: The API server refused or could not be reached.
        """
        written: list[Mapping[str, Any]] = []
        for revision in observed.revisions:
            if revision.is_deleted:
                continue
            if revision.replica_set["spec"].get("replicas", 1) > 1:
                # Two pods of one revision would drain and fail together.
                self._workload.scale(current, revision.replica_set, 1)
            for pod in (*revision.owned, *revision.released):
                if plan.is_over(pod):
                    continue
                found = self._workload.ensure_pod_metadata(current, revision.replica_set, pod)
                if found is pod:
                    continue
                written.append(found)
                if not names.bears_labels_of(pod, found):
                    # The endpoints follow, as when the Service moves.
                    self._moved_at.set(current, self._clock.monotonic())
        return observed.with_pods(written).with_released()

    def roll_out(
        self,
        current: ReconcileContext,
        observed: Observed,
        update: UpdateRevision,
        state: RolloutState,
    ) -> Routed:
        """Route to the pod that serves best, and retire the others.

        Args:
            current: The reconcile.
            observed: The children of the server.
            update: What it should be.
            state: Where it stands.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        server, now = current.server, self._clock.now()
        active, legacy = state.active(observed.pods), observed.legacy_pods
        if any(self._yields(current, observed, update, pod) for pod in (active, *legacy)):
            return Routed(None, observed)
        # What clients have is not given up for a pod that nobody has seen work.
        settled = active is not None and update.is_of(active) and podstatus.is_ready(active)
        if not settled:
            self._give_back(current, observed, update, active)
        retirement = plan.retire(
            observed.pods,
            legacy if settled else (),
            state,
            active,
            drain_seconds=server.drain_seconds,
            now=now,
        )
        # Before the Service moves: who dies between the two must not leave a pod behind that looks
        # as if it had never served.
        until = now + timedelta(seconds=server.drain_seconds)
        drained = [self._workload.drain(current, pod, until) for pod in retirement.drain]
        selected = state.selects(active, now)
        if state.selected and selected != state.selected:
            # Endpoints of a Service that is made before its pod follow the pod alone.
            self._moved_at.set(current, self._clock.monotonic())
        self._applier.ensure(current, resources.SERVICES, network.service(server, selected))
        self._delete(current, retirement)
        if update.hash:
            stay = {update.hash, selected} | {names.hash_of(pod) for pod in retirement.stay}
            used = {update.hash}
            for revision in observed.revisions:
                gone = revision.hash not in stay and self._retire(
                    current, revision, retirement, settled=settled
                )
                used |= set() if gone else {revision.hash}
            self._pruner.snapshots(current, {names.versioned_name(server, one) for one in used})
        if settled:
            self._pruner.certificate(current)
        if settled and not legacy:
            self._pruner.services_of_removed_controller(current)
        return Routed(active, observed.with_pods(drained))

    def _delete(self, current: ReconcileContext, retirement: plan.Retirement) -> None:
        """Delete pods that nobody makes again: those that have ended, and the removed controller's.

        Those of a ReplicaSet go with it.
        """
        for pod, why in retirement.delete:
            if why == plan.WHY_ENDED or not names.hash_of(pod):
                self._applier.delete(current, resources.PODS, pod, why)
        if retirement.wait is not None:
            current.look_again(retirement.wait)

    def _retire(
        self,
        current: ReconcileContext,
        revision: Revision,
        retirement: plan.Retirement,
        *,
        settled: bool,
    ) -> bool:
        """Scale a revision to no pod, and delete the ReplicaSet once that has ended.

        Returns:
            Whether the ReplicaSet was deleted.
        """
        if revision.is_deleted:
            return False
        reasons = {names.hash_of(pod): why for pod, why in retirement.delete}
        why = reasons.get(revision.hash, plan.WHY_SUPERSEDED)
        if revision.is_kept:
            self._workload.retire(current, revision.replica_set, why)
        elif not revision.pods and (settled or not revision.time(names.ANNOTATION_YIELDED)):
            self._applier.delete(current, resources.REPLICA_SETS, revision.replica_set, why)
            return True
        return False

    def endpoint_ready(
        self, current: ReconcileContext, observed: Observed, active: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """Return the pod that clients reach through the Service.

        Args:
            current: The reconcile.
            observed: The children of the server.
            active: The pod that the Service selects; None if there is none.

        Returns:
            That pod, or the one before as long as the endpoints have not followed; None if they
            name neither yet, or it is not Ready.
        """
        if active is None or not podstatus.is_ready(active):
            return None
        slices, moved_at = observed.endpoint_slices, self._moved_at.of(current)
        lag = endpoints.lag(active, self._clock.now())
        if moved_at is not None:
            lag = max(lag, moved_at + endpoints.LAG_SECONDS - self._clock.monotonic())
        if lag <= 0 or endpoints.is_ready(slices, active):
            return active
        current.look_again(lag)
        return next((pod for pod in observed.pods if endpoints.is_ready(slices, pod)), None)

    def _yields(
        self,
        current: ReconcileContext,
        observed: Observed,
        update: UpdateRevision,
        holder: Mapping[str, Any] | None,
    ) -> bool:
        """Scale down the revision of a pod whose successor waits for the claim that it holds."""
        if holder is None or not update.claim:
            return False
        if not plan.in_each_others_way(update.pod, holder, self._clock.now()):
            return False
        previous = observed.revision(names.hash_of(holder))
        if previous is not None and not previous.is_kept:
            # Its pod is about to go.
            return False
        namespace = current.server.namespace
        try:
            claim = self._client.get(
                resources.PERSISTENT_VOLUME_CLAIMS,
                namespace,
                update.claim,
                deadline=current.deadline,
            )
        except NotFound:
            return False
        if not plan.one_node(claim["spec"].get("accessModes") or ()):
            return False
        note = REPLACED_IN_PLACE.format(pod=holder["metadata"]["name"], why=plan.WHY_IN_PLACE)
        self._record_event(current, EVENT_REPLACED_IN_PLACE, note, "Replace")
        if previous is None:
            # Nobody makes the removed controller's pods again.
            self._applier.delete(current, resources.PODS, holder, plan.WHY_IN_PLACE)
        else:
            annotations = {names.ANNOTATION_YIELDED: timestamp(self._clock.now())}
            self._workload.scale(current, previous.replica_set, 0, annotations)
            current.look_again(handover.GIVE_BACK_SECONDS)
        return True

    def _give_back(
        self,
        current: ReconcileContext,
        observed: Observed,
        update: UpdateRevision,
        active: Mapping[str, Any] | None,
    ) -> None:
        """Scale the previous revision back to one pod if none has come up in its place."""
        previous, now = handover.yielded(observed.revisions, update.hash), self._clock.now()
        if previous is None or (active is not None and podstatus.is_ready(active)):
            return
        others = [one for one in observed.revisions if one.is_kept]
        left = handover.seconds_left(previous, others, now)
        if left > 0:
            current.look_again(left)
            return
        note = GAVE_BACK.format(previous=previous.name, seconds=handover.GIVE_BACK_SECONDS)
        self._record_event(current, EVENT_GAVE_BACK, note, "Replace")
        for other in others:
            annotations = {names.ANNOTATION_GAVE_BACK: timestamp(now)}
            self._workload.scale(current, other.replica_set, 0, annotations)
        annotations_off = {names.ANNOTATION_YIELDED: None}
        self._workload.scale(current, previous.replica_set, 1, annotations_off)


def _never(_: ReconcileContext) -> float | None:
    return None
