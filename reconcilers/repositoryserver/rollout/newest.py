"""The newest revision of a server: what its inputs ask for, brought up and examined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from controller.clock import DeadlineExceeded
from controller.errors import Forbidden, WebhookFailed
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.context import KnownFailure
from reconcilers.repositoryserver.rollout import handover, podstatus, refusals, retry
from reconcilers.repositoryserver.rollout.plan import Newest
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.verdict import (
    REASON_CHANGES_SETTLING,
    REASON_WAITING_FOR_SLOT,
    SERVER_SETUP,
    Problem,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from controller.clock import Clock
    from controller.errors import ApiError
    from reconcilers.repositoryserver.children.secrets import ServerInputs
    from reconcilers.repositoryserver.children.workload import WorkloadWriter
    from reconcilers.repositoryserver.context import KnownInputs, Memory, ReconcileContext
    from reconcilers.repositoryserver.inputs.reader import InputReader
    from reconcilers.repositoryserver.rollout.revisions import Revision
    from reconcilers.repositoryserver.rollout.router import ServiceRouter
    from reconcilers.repositoryserver.rollout.throttle import RolloutSlots
    from reconcilers.repositoryserver.status.sharing import Repositories

#: Who rotates two Secrets, or edits twice, wants one new pod. A server that serves waits until its
#: inputs have not changed for so long.
QUIET_SECONDS: Final = 2.0

REASON_REFUSED: Final = "ApiRequestRefused"
REFUSED: Final = (
    "the API server rejects a request of the controller: {message}; check the controller's Role, "
    "the quotas and the webhooks"
)
REASON_OUT_OF_TIME: Final = "ReconcileOutOfTime"
OUT_OF_TIME: Final = (
    "the reconcile ran out of time and will be retried: {message}; see the controller's log"
)


class NewestRevision:
    """Makes the revision that a server should be, once it may, and says how far it is.

    Args:
        reader: Reads what it is made of.
        repositories: Is told which repository each server has.
        router: Knows the revisions that there are.
        workload: Writes snapshot and ReplicaSet.
        slots: Limits how many servers are replaced at the same time.
        clock: The time.
    """

    def __init__(
        self,
        *,
        reader: InputReader,
        repositories: Repositories,
        router: ServiceRouter,
        workload: WorkloadWriter,
        slots: RolloutSlots,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._repositories = repositories
        self._router = router
        self._workload = workload
        self._slots = slots
        self._clock = clock

    def ensure(self, current: ReconcileContext) -> Newest:
        """Bring up the revision of the inputs as they are now, and return how far it is.

        Args:
            current: The reconcile.

        Raises:
            RetryLater: A child belongs to a deleted namesake of the resource.
            ClientError: The API server could not be reached, or refused something else than the
                revision.
        """
        try:
            known = self._reader.known_inputs(current)
            # Before anything is read: thousands may wait.
            waits = None if known is None else self._waits_to_start(current, known)
            if waits is not None:
                return waits
            inputs, full = self._reader.server_inputs(current, known)
        except InvalidInput as error:
            self._repositories.failed(current.request)
            return Newest(verdict=Problem.of(error, SERVER_SETUP))
        current.memory.setting = inputs.pod.setting
        repository = "" if current.server.read_only else inputs.repository
        self._repositories.examined(current.request, repository)
        waits = None if full is None else self._waits_to_start(current, inputs)
        return waits or self._ensure_revision(current, inputs, full)

    def _ensure_revision(
        self, current: ReconcileContext, inputs: KnownInputs, full: ServerInputs | None
    ) -> Newest:
        """Make the revision of the inputs if it is missing, and examine its pod.

        Args:
            current: The reconcile.
            inputs: What is known of them.
            full: The inputs, if they had to be read.
        """
        server, digest, claim = current.server, inputs.digest, inputs.pod.claim
        try:
            self._apply_revision(current, full, digest)
        except (InvalidInput, Forbidden, WebhookFailed) as error:
            # A label that cannot be leaves the pod that lacks it at work. A quota may be full of
            # ReplicaSets of before: the rest of the pass deletes them.
            problem = unfinished(error)
            revision = self._router.revision(server, digest)
            if revision is None:
                return Newest(digest, verdict=problem, claim=claim)
            return Newest(digest, revision.replica_set, revision.pod, problem, claim)
        revision = self._router.revision(server, digest)
        if revision is None:
            name = names.versioned_name(server, digest)
            return Newest(digest, verdict=podstatus.examine(None, name, inputs.pod), claim=claim)
        verdict = self._examine(current, revision, inputs)
        verdict = _lasting(current.memory, digest, verdict)
        return Newest(digest, revision.replica_set, revision.pod, verdict, claim)

    def _apply_revision(
        self, current: ReconcileContext, full: ServerInputs | None, digest: str
    ) -> None:
        try:
            replica_set = self._workload.ensure_revision(current, full, digest)
        except Exception:
            # What a ReplicaSet that is there lacks, a label say, the next pass sees only if it
            # reads all.
            current.memory.inputs = None
            raise
        if replica_set is not None:
            self._router.ensure_wanted(current, replica_set)

    def _examine(
        self, current: ReconcileContext, revision: Revision, inputs: KnownInputs
    ) -> Problem | Waiting | None:
        """Return what keeps a revision's pod from serving clients."""
        now = self._clock.now()
        refusal = revision.refusal()
        if refusal is not None:
            self._nudge(current, revision, refusal)
            return refusals.explain(refusal.get("message", ""), revision.name)
        if not revision.is_kept and revision.time(names.ANNOTATION_GAVE_BACK):
            return handover.not_ready(revision)
        verdict = podstatus.examine(revision.pod, revision.name, inputs.pod)
        if verdict is not None and inputs.pod.claim:
            pods = self._router.pods(current.server)
            return podstatus.held_by_ending_pod(pods, inputs.pod, now) or verdict
        return verdict

    def _nudge(
        self, current: ReconcileContext, revision: Revision, refusal: Mapping[str, Any]
    ) -> None:
        """Nudge the ReplicaSet controller to try again soon."""
        now, nudged = self._clock.now(), revision.time(names.ANNOTATION_NUDGED)
        left = refusals.nudge_after(refusal, nudged, now)
        if left <= 0:
            self._workload.nudge(current, revision.replica_set, now)
            left = retry.MIN_SECONDS
        current.look_again(left)

    def _waits_to_start(self, current: ReconcileContext, inputs: KnownInputs) -> Newest | None:
        """Return what a server waits for before its revision may be made; None if it may be.

        One that replaces another waits until nothing has changed for a while, and for a slot.
        """
        request, digest, memory = current.request, inputs.digest, current.memory
        revision = self._router.revision(current.server, digest)
        pods = self._router.pods(current.server)
        serves = any(podstatus.is_ready(pod) for pod in pods)
        if revision is not None:
            memory.changing = None
            others_serve = any(
                podstatus.is_ready(pod) and names.digest_of(pod) != digest for pod in pods
            )
            if others_serve and not any(map(podstatus.is_ready, revision.pods)):
                self._slots.resume(request, digest)
            return None
        if not serves:
            return None
        now = self._clock.monotonic()
        if memory.changing is None or memory.changing[0] != digest:
            memory.changing = (digest, now)
        left = memory.changing[1] + QUIET_SECONDS - now
        if left > 0:
            current.look_again(left)
            waiting = Waiting(SERVER_SETUP, REASON_CHANGES_SETTLING, status.WAITING_QUIET)
            return Newest(digest, verdict=waiting, claim=inputs.pod.claim)
        if self._slots.acquire(request, digest):
            return None
        current.look_again(self._slots.pause())
        failed = [one.name for one in self._slots.holds(request)]
        message = status.held_back(failed) if failed else status.WAITING_TURN
        waiting = Waiting(SERVER_SETUP, REASON_WAITING_FOR_SLOT, message)
        return Newest(digest, verdict=waiting, claim=inputs.pod.claim)

    def settle_slot(
        self, current: ReconcileContext, newest: Newest, serving: Mapping[str, Any] | None
    ) -> None:
        """Free the slot of a server that is replaced, or whose replacement has failed.

        Args:
            current: The reconcile.
            newest: What `ensure` returned.
            serving: The pod that clients reach; None if there is none.
        """
        is_newest = serving is not None and newest.is_(serving)
        if isinstance(newest.verdict, Problem) and newest.digest:
            self._slots.fail(current.request)
        elif serving is not None and is_newest and podstatus.is_ready(serving):
            self._slots.succeed(current.request)
        elif is_newest or isinstance(newest.verdict, Problem):
            self._slots.release(current.request)


def _lasting(
    memory: Memory, digest: str, verdict: Problem | Waiting | None
) -> Problem | Waiting | None:
    """Return the fault of a pod, the former one while the same pod is tried again; remember it."""
    known = memory.failure
    failure = known.problem if known is not None and known.digest == digest else None
    verdict = podstatus.lasting_problem(failure, verdict)
    memory.failure = KnownFailure(digest, verdict) if isinstance(verdict, Problem) else None
    return verdict


def unfinished(error: InvalidInput | ApiError | DeadlineExceeded) -> Problem:
    """Return the fault that ends a reconcile, or a part of it.

    Args:
        error: What was raised.
    """
    if isinstance(error, InvalidInput):
        return Problem.of(error, SERVER_SETUP)
    if isinstance(error, DeadlineExceeded):
        message = OUT_OF_TIME.format(message=error)
        return Problem(SERVER_SETUP, REASON_OUT_OF_TIME, message)
    return Problem(SERVER_SETUP, REASON_REFUSED, REFUSED.format(message=error.message))
