"""The update revision of a server: what its inputs ask for, brought up and examined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import define, evolve, frozen

from controller.clock import DeadlineExceeded
from controller.errors import Forbidden, WebhookFailed
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.known import Known
from reconcilers.repositoryserver.rollout import handover, podstatus, refusals, retry, throttle
from reconcilers.repositoryserver.rollout.revisions import Revision
from reconcilers.repositoryserver.verdict import (
    REASON_CHANGES_SETTLING,
    REASON_WAITING_FOR_DELETION,
    REASON_WAITING_FOR_SLOT,
    SERVER_SETUP,
    Problem,
    RetryLater,
    Waiting,
    name_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from controller.clock import Clock
    from controller.errors import ApiError
    from reconcilers.repositoryserver.children.known import KnownInputs, KnownUsers
    from reconcilers.repositoryserver.children.secrets import ServerInputs
    from reconcilers.repositoryserver.children.workload import WorkloadWriter
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.inputs.reader import InputReader
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.rollout.observed import Observed
    from reconcilers.repositoryserver.rollout.throttle import RolloutSlots

#: Who rotates two Secrets, or edits twice, wants one new pod. A server that serves waits until its
#: inputs have not changed for so long.
QUIET_SECONDS: Final = 2.0

WAITING_QUIET: Final = "waiting a moment for further changes before another pod is created"
REASON_REFUSED: Final = "ApiRequestRefused"
REFUSED: Final = (
    "the API server rejects a request of the controller: {message}; check the controller's Role, "
    "the quotas and the webhooks"
)
REASON_OUT_OF_TIME: Final = "ReconcileOutOfTime"
OUT_OF_TIME: Final = (
    "the reconcile ran out of time and will be retried: {message}; see the controller's log"
)


@frozen
class UpdateRevision:
    """What a server should be, and how far it has come.

    Args:
        inputs: What is known of its inputs; None while they are refused.
        revision: The revision as it is after all writes; None if there is none yet.
        verdict: What keeps it from answering; None if it answers.
    """

    inputs: KnownInputs | None = None
    revision: Revision | None = None
    verdict: Problem | Waiting | None = None

    @property
    def hash(self) -> str:
        """Names the revision; empty while that is not known."""
        return "" if self.inputs is None else self.inputs.hash

    @property
    def claim(self) -> str:
        """The PersistentVolumeClaim that it mounts; empty if none."""
        return "" if self.inputs is None else self.inputs.pod.claim

    @property
    def pod(self) -> Mapping[str, Any] | None:
        """Its pod; None if there is none yet."""
        return None if self.revision is None else self.revision.pod

    def is_of(self, pod: Mapping[str, Any]) -> bool:
        """Return whether an observed pod is of this revision."""
        return names.hash_of(pod) == self.hash


@frozen
class _Change:
    """A revision that is not begun yet.

    Args:
        hash: Names it.
        since: Since when it is the one that is wanted, in monotonic seconds.
    """

    hash: str
    since: float


@frozen
class _Failure:
    """The fault that the pod of a revision had last.

    Args:
        hash: Of the revision: that of another one does not count.
        problem: The fault.
    """

    hash: str
    problem: Problem


@define
class _State:
    """What is remembered of one resource.

    Args:
        change: The revision that waits for quiet, or for a slot; None if none does.
        failure: What the pod of the update revision failed at; None if it did not.
    """

    change: _Change | None = None
    failure: _Failure | None = None


class RevisionUpdater:
    """Makes the revision that a server should be, once it may, and says how far it is.

    Args:
        reader: Reads what it is made of.
        workload: Writes snapshot and ReplicaSet.
        slots: Limits how many servers are replaced at the same time.
        states: Holds what is waited for, and what has failed, of each resource.
        clock: The time.
    """

    def __init__(
        self,
        *,
        reader: InputReader,
        workload: WorkloadWriter,
        slots: RolloutSlots,
        states: States,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._workload = workload
        self._slots = slots
        self._clock = clock
        self._state = states.per_object(lambda _: _State())

    def ensure(
        self, current: ReconcileContext, observed: Observed, users: KnownUsers
    ) -> UpdateRevision:
        """Bring up the revision of the inputs as they are now, and return how far it is.

        Args:
            current: The reconcile.
            observed: The children of the server.
            users: What is known of its users, for the record of the revision.

        Raises:
            RetryLater: A child belongs to a deleted namesake of the resource.
            ClientError: The API server could not be reached, or refused something else than the
                revision.
        """
        try:
            known = self._reader.known_inputs(current)
            # Before anything is read: thousands may wait.
            waiting = None if known is None else self._waits_to_start(current, observed, known)
            if waiting is not None:
                return UpdateRevision(known, verdict=waiting)
            inputs, full = self._reader.server_inputs(current, known)
        except InvalidInput as error:
            return UpdateRevision(verdict=Problem.of(error, SERVER_SETUP))
        waiting = None if full is None else self._waits_to_start(current, observed, inputs)
        if waiting is not None:
            return UpdateRevision(inputs, verdict=waiting)
        return self._ensure_revision(current, observed, inputs, full, users)

    def _ensure_revision(
        self,
        current: ReconcileContext,
        observed: Observed,
        inputs: KnownInputs,
        full: ServerInputs | None,
        users: KnownUsers,
    ) -> UpdateRevision:
        """Make the revision of the inputs if it is missing, and examine its pod.

        Args:
            current: The reconcile.
            observed: The children of the server.
            inputs: What is known of the inputs.
            full: The inputs, if they had to be read.
            users: What is known of the users.
        """
        revision = observed.revision(inputs.hash)
        try:
            revision = self._write(current, revision, inputs, full, users)
        except (InvalidInput, Forbidden, WebhookFailed) as error:
            # A label that cannot be leaves the pod that lacks it at work. A quota may be full of
            # ReplicaSets of before: the rest of the reconcile deletes them.
            return UpdateRevision(inputs, revision, unfinished(error))
        if revision is None:
            name = names.versioned_name(current.server, inputs.hash)
            return UpdateRevision(inputs, verdict=podstatus.examine(None, name, inputs.pod))
        found = self._examine(current, observed, revision, inputs)
        return UpdateRevision(inputs, revision, self._lasting(current, inputs.hash, found))

    def _write(
        self,
        current: ReconcileContext,
        revision: Revision | None,
        inputs: KnownInputs,
        full: ServerInputs | None,
        users: KnownUsers,
    ) -> Revision | None:
        known = Known(inputs, users)
        try:
            replica_set = self._workload.ensure_revision(current, full, inputs.hash, known)
        except Exception:
            # What a ReplicaSet that is there lacks, a label say, the next reconcile sees only if
            # it reads all.
            self._reader.drop_known(current)
            raise
        if replica_set is None:
            return revision
        known_pods = Revision(replica_set) if revision is None else revision
        return self._ensure_scaled(current, evolve(known_pods, replica_set=replica_set))

    def _ensure_scaled(self, current: ReconcileContext, revision: Revision) -> Revision:
        """Scale the revision to one pod, unless it could not make use of a claim lately."""
        if revision.is_kept or revision.is_deleted:
            return revision
        left = handover.seconds_until_next_try(revision, self._clock.now())
        if left > 0:
            current.look_again(left)
            return revision
        annotations = {names.ANNOTATION_YIELDED: None, names.ANNOTATION_GAVE_BACK: None}
        scaled = self._workload.scale(current, revision.replica_set, 1, annotations)
        return evolve(revision, replica_set=scaled)

    def _examine(
        self,
        current: ReconcileContext,
        observed: Observed,
        revision: Revision,
        inputs: KnownInputs,
    ) -> Problem | Waiting | None:
        """Return what keeps a revision's pod from serving clients."""
        refusal = revision.refusal()
        if refusal is not None:
            self._nudge(current, revision, refusal)
            return refusals.explain(refusal.get("message", ""), revision.name)
        if not revision.is_kept and revision.time(names.ANNOTATION_GAVE_BACK):
            return handover.not_ready(revision)
        verdict = podstatus.examine(revision.pod, revision.name, inputs.pod)
        claim, now, held = inputs.pod.claim, self._clock.now(), None
        if not claim:
            return verdict
        if podstatus.may_wait_for_claim(revision.pod, verdict, now):
            held = podstatus.held_by_ending_pod(observed.pods, inputs.pod, now)
        pods = (*observed.pods, *observed.legacy_pods)
        return held or handover.waits_for_previous(revision.pod, pods, claim) or verdict

    def _nudge(
        self, current: ReconcileContext, revision: Revision, refusal: Mapping[str, Any]
    ) -> None:
        """Nudge the ReplicaSet controller to try again soon."""
        now, nudged = self._clock.now(), revision.time(names.ANNOTATION_NUDGED)
        since = refusals.refused_since(refusal, revision.time(names.ANNOTATION_REFUSED), nudged)
        left = refusals.nudge_after(refusal, since, nudged, now)
        if left <= 0:
            self._workload.nudge(current, revision.replica_set, now=now, since=since)
            left = retry.MIN_SECONDS
        current.look_again(left)

    def _waits_to_start(
        self, current: ReconcileContext, observed: Observed, inputs: KnownInputs
    ) -> Waiting | None:
        """Return what a server waits for before its revision may be made; None if it may be.

        One that replaces another waits until nothing has changed for a while, and for a slot.
        """
        request, hash_, state = current.request, inputs.hash, self._state.of(current)
        revision = observed.revision(hash_)
        ready = [pod for pod in observed.pods if podstatus.is_ready(pod)]
        if revision is not None:
            state.change = None
            if ready and not any(map(podstatus.is_ready, revision.pods)):
                self._slots.resume(request, hash_)
            return None
        if not ready:
            return None
        now = self._clock.monotonic()
        if state.change is None or state.change.hash != hash_:
            state.change = _Change(hash_, now)
        left = state.change.since + QUIET_SECONDS - now
        if left > 0:
            current.look_again(left)
            return Waiting(SERVER_SETUP, REASON_CHANGES_SETTLING, WAITING_QUIET)
        if self._slots.acquire(request, hash_):
            return None
        current.look_again(self._slots.pause())
        failed = [name_of(one, request.namespace) for one in self._slots.holds(request)]
        return Waiting(SERVER_SETUP, REASON_WAITING_FOR_SLOT, throttle.why_held(failed))

    def settle_slot(
        self,
        current: ReconcileContext,
        update: UpdateRevision,
        active: Mapping[str, Any] | None,
        verdicts: Collection[Problem | Waiting],
    ) -> None:
        """Release the slot of a server that is replaced, or whose replacement has failed.

        A fault that may yet pass by itself is no failure yet.

        Args:
            current: The reconcile.
            update: What `ensure` returned.
            active: The pod that clients reach; None if there is none.
            verdicts: What is reported; a wait stands for a fault that may yet pass.
        """
        is_update = active is not None and update.is_of(active)
        verdict = update.verdict
        if isinstance(verdict, Problem) and verdict not in verdicts:
            return
        if isinstance(verdict, Problem) and verdict.reason in podstatus.OF_THE_NODE:
            self._slots.excuse(current.request)
        elif isinstance(verdict, Problem) and update.hash:
            self._slots.fail(current.request)
        elif active is not None and is_update and podstatus.is_ready(active):
            self._slots.succeed(current.request)
        elif is_update or isinstance(verdict, Problem):
            self._slots.release(current.request)

    def _lasting(
        self, current: ReconcileContext, hash_: str, verdict: Problem | Waiting | None
    ) -> Problem | Waiting | None:
        """Return the fault of a pod, that of the last try while the same pod is tried again."""
        state = self._state.of(current)
        known = state.failure
        failure = known.problem if known is not None and known.hash == hash_ else None
        verdict = podstatus.lasting_problem(failure, verdict)
        state.failure = _Failure(hash_, verdict) if isinstance(verdict, Problem) else None
        return verdict


def unfinished(
    error: InvalidInput | RetryLater | ApiError | DeadlineExceeded,
) -> Problem | Waiting:
    """Return the fault or the wait that ends a reconcile, or a part of it.

    Args:
        error: What was raised.
    """
    if isinstance(error, InvalidInput):
        return Problem.of(error, SERVER_SETUP)
    if isinstance(error, RetryLater):
        return Waiting(SERVER_SETUP, REASON_WAITING_FOR_DELETION, str(error))
    if isinstance(error, DeadlineExceeded):
        message = OUT_OF_TIME.format(message=error)
        return Problem(SERVER_SETUP, REASON_OUT_OF_TIME, message)
    return Problem(SERVER_SETUP, REASON_REFUSED, REFUSED.format(message=error.message))
