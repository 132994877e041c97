"""The reconcile loop of a RepositoryServer: gather, decide, act, write the status once.

Nothing here waits. What is not there yet is told in the status, and the event that brings it wakes
the resource again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.clock import Deadline, DeadlineExceeded
from controller.conditions import conditions_of, get_condition
from controller.controller import Request, Result
from controller.errors import Conflict, Forbidden, Invalid
from reconcilers.repositoryserver import api, children, resources, status
from reconcilers.repositoryserver.applier import ChildApplier
from reconcilers.repositoryserver.context import (
    INDEX_OWNER,
    KnownFailure,
    Memory,
    Pass,
    recorded_users,
)
from reconcilers.repositoryserver.errors import InvalidInput, Problem
from reconcilers.repositoryserver.inputs import InputReader
from reconcilers.repositoryserver.registration import UserRegistrar
from reconcilers.repositoryserver.statuswriter import StatusWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.client import Client
    from controller.clock import Clock
    from reconcilers.repositoryserver.context import Caches, KnownAccess
    from reconcilers.repositoryserver.registration import Executor
    from reconcilers.repositoryserver.statuswriter import Recorder
    from reconcilers.repositoryserver.users import PasswordHasher

# The status of a failed reconcile must still be written when its time for work is over.
STATUS_GRACE_SECONDS = 10.0
# While a server is not Ready it is looked at this often even if no event comes.
UNREADY_RECHECK_SECONDS = 30.0

# What fails in Kopia is tried again after a tenth of the time it has been failing, within these
# bounds. The kubelet's restart delay grows to five minutes; whoever mends a storage should not have
# to wait that long, so a pod whose container keeps ending is replaced.
RETRY_MIN_SECONDS = 5.0
RETRY_MAX_SECONDS = 60.0

# Of a server that comes up the stages are told no more often than this.
STAGE_PAUSE_SECONDS = 2.0

REASON_REFUSED = "ApiRequestRefused"
REFUSED = "the API server refuses a request of the controller: {message}"
REASON_OUT_OF_TIME = "ReconcileOutOfTime"
OUT_OF_TIME = "a reconcile ran out of time and is tried again: {message}"


class RepositoryServerReconciler:
    """Brings one RepositoryServer to its desired state; see the module's docstring."""

    def __init__(
        self,
        *,
        client: Client,
        executor: Executor,
        caches: Caches,
        recorder: Recorder,
        hasher: PasswordHasher,
        clock: Clock,
        image: str,
    ) -> None:
        """Take the dependencies.

        Args:
            client: For reads of Secrets by name, and for writes.
            executor: Runs Kopia in the server's container.
            caches: What the informers hold.
            recorder: Takes events.
            hasher: Makes and verifies Kopia's password hashes.
            clock: The time.
            image: Image with Kopia for the server pods.
        """
        self._caches = caches
        self._clock = clock
        self._writer = StatusWriter(
            client=client, servers=caches.servers, recorder=recorder, clock=clock
        )
        self._reader = InputReader(client=client, caches=caches, clock=clock, image=image)
        self._applier = ChildApplier(client=client, caches=caches, tell=self._writer.tell)
        self._registrar = UserRegistrar(
            client=client,
            executor=executor,
            pods=caches.pods,
            reader=self._reader,
            writer=self._writer,
            tell=self._writer.tell,
            hasher=hasher,
            clock=clock,
        )
        # By request, with the uid of the resource: a namesake must not inherit.
        self._memories: dict[Request, tuple[str, Memory]] = {}

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        """Reconcile one resource.

        Args:
            request: Its namespace and name.
            deadline: Until when all must be done, the status included.

        Returns:
            When to look again without an event.

        Raises:
            ClientError: The API server could not be reached or refused; the queue tries again.
        """
        obj = self._caches.servers.get(request.namespace, request.name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            # The owner references do the rest.
            self._memories.pop(request, None)
            return Result()
        try:
            return self._reconcile(request, obj, deadline)
        except Conflict:
            return Result(requeue=True)

    def _reconcile(self, request: Request, obj: dict[str, Any], deadline: Deadline) -> Result:
        try:
            current = self._begin(request, obj, deadline)
            outcome = self._bring_about(current)
        except InvalidInput as error:
            problem = error.problem(status.SERVER_SETUP)
            self._writer.write(obj, self._unexamined(obj, problem), deadline)
            return Result(requeue_after=UNREADY_RECHECK_SECONDS)
        except (Forbidden, Invalid, DeadlineExceeded) as error:
            problem = _unfinished(error)
            self._writer.write(obj, self._unexamined(obj, problem), deadline)
            raise
        left = self._stage_pause(current, outcome)
        if left > 0:
            current.look_again(left)
        else:
            self._writer.write(obj, outcome, deadline)
            current.memory.told_at = self._clock.monotonic()
        if outcome.verdicts or not outcome.serving:
            current.look_again(UNREADY_RECHECK_SECONDS)
        return Result(requeue_after=current.requeue_after)

    def _stage_pause(self, current: Pass, outcome: status.Outcome) -> float:
        """Return the seconds for which the next stage of a server that comes up may go untold.

        It passes four within seconds. Each write costs the API server as much as a child does.
        """
        before = current.obj.get("status") or {}
        told_at = current.memory.told_at
        if told_at is None or not status.is_stage(before, outcome, current.server.generation):
            return 0.0
        return told_at + STAGE_PAUSE_SECONDS - self._clock.monotonic()

    def _begin(self, request: Request, obj: dict[str, Any], deadline: Deadline) -> Pass:
        server = api.parse(obj)
        uid, memory = self._memories.get(request, ("", Memory()))
        if uid != server.uid:
            memory = Memory()
            self._memories[request] = (server.uid, memory)
        return Pass(
            obj=obj,
            server=server,
            memory=memory,
            deadline=Deadline(self._clock, deadline.at - STATUS_GRACE_SECONDS),
            owned_users=recorded_users(obj),
            retry_pause=self._retry_pause(obj),
        )

    def _bring_about(self, current: Pass) -> status.Outcome:
        """Act on children and users, and say what was found."""
        server = current.server
        # First, so that no pod is ever without its protection.
        self._applier.ensure(current, resources.NETWORK_POLICIES, children.network_policy(server))
        access = self._access(current)
        digest = ""
        verdict: Problem | status.Waiting | None
        try:
            inputs, full = self._reader.server_inputs(current)
        except InvalidInput as error:
            verdict = error.problem(status.SERVER_SETUP)
        else:
            digest = inputs.digest
            pod = self._applier.ensure_pod(current, full, digest)
            name = children.versioned_name(server, digest)
            verdict = status.examine_pod(pod, name, inputs.pod)
            if pod is not None and status.takes_users(pod) and not isinstance(access, Problem):
                setting = inputs.pod.setting
                verdict = self._registrar.ensure(current, pod, access, setting) or verdict
            elif pod is not None and verdict is not None:
                self._retry_crashed(current, pod)
            verdict = _lasting(current.memory, digest, verdict)
        serving = self._serving(server, digest)
        service = self._ensure_service(current, serving, digest)
        self._prune(current, serving, digest)
        problem = access if isinstance(access, Problem) else None
        metadata = serving["metadata"] if serving is not None else {}
        return status.Outcome(
            verdicts=tuple(v for v in (verdict, problem) if v is not None),
            serving=serving is not None and status.pod_ready(serving),
            pod_name=metadata.get("name", ""),
            service_name=service,
            network_policy_name=children.stable_name(server),
            fingerprint=metadata.get("annotations", {}).get(children.ANNOTATION_FINGERPRINT, ""),
            registered_users=tuple(sorted(current.owned_users)),
        )

    def _access(self, current: Pass) -> KnownAccess | Problem:
        try:
            access = self._reader.access(current)
        except InvalidInput as error:
            return error.problem(status.CLIENT_USER_INITIALIZED)
        # Into the status before they are registered, so that a crash leaves no stranger behind.
        current.owned_users |= access.names
        return access

    def _serving(self, server: api.RepositoryServer, digest: str) -> dict[str, Any] | None:
        """Choose the pod that the Service routes to.

        The newest as soon as it is Ready; until then another that is; without any, the newest.
        """
        pods = [
            pod
            for pod in self._caches.pods.by_index(INDEX_OWNER, server.uid)
            if children.LABEL_DIGEST in pod["metadata"].get("labels", {})
        ]
        newest = [pod for pod in pods if _digest(pod) == digest]
        ready = [pod for pod in (*newest, *pods) if status.pod_ready(pod)]
        return next(iter((*ready, *newest, *pods)), None)

    def _ensure_service(self, current: Pass, serving: Mapping[str, Any] | None, digest: str) -> str:
        """Let the Service route to the serving pod; return its name, empty if there is none yet."""
        target = digest if serving is None else _digest(serving)
        if not target:
            return ""
        desired = children.service(current.server, target)
        self._applier.ensure(current, resources.SERVICES, desired)
        return children.stable_name(current.server)

    def _prune(self, current: Pass, serving: Mapping[str, Any] | None, digest: str) -> None:
        if not digest:
            return
        keep = {
            children.versioned_name(current.server, digest),
            children.stable_name(current.server),
        }
        settled = False
        if serving is not None:
            keep.add(serving["metadata"]["name"])
            settled = _digest(serving) == digest and status.pod_ready(serving)
        self._applier.prune(current, keep, settled=settled)

    def _retry_crashed(self, current: Pass, pod: Mapping[str, Any]) -> None:
        """Replace a pod whose container the kubelet would start again much later."""
        ended = status.crash_looping(pod)
        if ended is None or pod["metadata"].get("deletionTimestamp"):
            return
        since = (self._clock.now() - ended).total_seconds()
        if since < current.retry_pause:
            current.look_again(current.retry_pause - since)
        else:
            self._applier.delete(
                current, resources.PODS, pod, "its container keeps ending", grace_seconds=0
            )

    def _retry_pause(self, obj: Mapping[str, Any]) -> float:
        ready = get_condition(conditions_of(obj), status.READY)
        if ready is None:
            return RETRY_MIN_SECONDS
        failing = self._clock.now() - status.parse_time(ready["lastTransitionTime"])
        return min(max(failing.total_seconds() / 10, RETRY_MIN_SECONDS), RETRY_MAX_SECONDS)

    def _unexamined(self, obj: Mapping[str, Any], problem: Problem) -> status.Outcome:
        """Return the outcome of a pass that ended before it had looked at the children."""
        pods = self._caches.pods.by_index(INDEX_OWNER, obj["metadata"]["uid"])
        return status.Outcome(
            verdicts=(problem,),
            serving=any(status.pod_ready(pod) for pod in pods),
            registered_users=tuple(recorded_users(obj)),
        )


def _lasting(
    memory: Memory, digest: str, verdict: Problem | status.Waiting | None
) -> Problem | status.Waiting | None:
    """Let a fault of the same pod last while it is tried again, and remember it."""
    known = memory.failure
    failure = known.problem if known is not None and known.digest == digest else None
    verdict = status.lasting_problem(failure, verdict)
    memory.failure = KnownFailure(digest, verdict) if isinstance(verdict, Problem) else None
    return verdict


def _unfinished(error: Forbidden | Invalid | DeadlineExceeded) -> Problem:
    if isinstance(error, DeadlineExceeded):
        message = OUT_OF_TIME.format(message=error)
        return Problem(status.SERVER_SETUP, REASON_OUT_OF_TIME, message)
    return Problem(status.SERVER_SETUP, REASON_REFUSED, REFUSED.format(message=error.message))


def _digest(pod: Mapping[str, Any]) -> str:
    digest: str = pod["metadata"]["labels"][children.LABEL_DIGEST]
    return digest
