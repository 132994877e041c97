"""The pods of phases: made once, followed, read when they have ended, and removed.

A pod has a computed name and a finalizer of ours. Until its result is stored it cannot vanish but
by force, and after a kill at any point the next process finds it: by its memo, or by its name. A
pod with a memo that is gone all the same may have done its work: it is never made again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import evolve, field, frozen

from controller.errors import AlreadyExists, Forbidden, Invalid, NotFound
from reconcilers.actionset import api, places
from reconcilers.actionset.function import Failed, Running
from reconcilers.actionset.phases import builder, cache, ended, judge, names, refusals
from reconcilers.actionset.phases.ended import Ended, Waiting
from reconcilers.actionset.phases.judge import Found
from reconcilers.actionset.phases.memo import Memo, of_parts
from reconcilers.actionset.phases.model import outputs_of_log
from reconcilers.actionset.phases.podview import PodView
from reconcilers.actionset.phases.reading import Source, Unread
from reconcilers.errors import InvalidInput
from reconcilers.resources import PODS, SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from controller.clock import Clock, Deadline
    from controller.errors import ClientError
    from controller.reconcile import Request
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Progress, Step
    from reconcilers.actionset.phases.builder import Policy
    from reconcilers.actionset.phases.follower import Follower
    from reconcilers.actionset.phases.model import PhasePod, PodResult

#: Seconds until another look at a pod that no informer shows.
LOOK_SECONDS: Final = 5.0

REASON_REFUSED: Final = "PodRefused"

WAITS_FOR_LOG: Final = "the log of pod {pod} is being read"
WAITS_FOR_LOG_AGAIN: Final = "the log of pod {pod} cannot be read, and is tried again: {why}"
STARTS_AGAIN: Final = "another pod is made, since the phase may run again: {cause}"
CANCELLED: Final = "cancelled before it has ended"
WAITS_FOR_CANCEL: Final = "pod {pod} is being deleted"


class Pods(Protocol):
    """The informer of the phases' pods, as `controller.cache.shared.SharedInformer`."""

    def has_synced(self, namespace: str = "") -> bool:
        """Return whether the pods of a namespace are known."""

    def get(self, namespace: str, name: str) -> Object | None:
        """Return a pod with own writes, None if there is none."""

    def follows(self, namespace: str) -> bool:
        """Return whether the pods of a namespace are followed."""

    def refusal(self) -> ClientError | None:
        """Return why the pods of some namespace are not shown; None if all are."""

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the pods with a value in an index."""


@frozen(kw_only=True)
class PhasePods:
    """Runs the pods of phases. It keeps no state of one: the API server has it, and the memo.

    Args:
        client: Writes pods and Secrets, and asks for a pod that the informer does not show.
        pods: Their informer, with `cache.SELECTION` and `cache.INDEXERS`.
        follow: Called with each namespace in which there may be pods, again and again: has the
            informer follow it.
        follower: Reads their logs.
        policy: What is allowed.
        clock: The time.
        start_seconds: How long a pod may take until its containers run. Default: 15 min.
        looked_after: Namespaces in which there was nothing, or that may not be listed.
    """

    client: Client
    pods: Pods
    follow: Callable[[str], None]
    follower: Follower
    policy: Policy
    clock: Clock
    start_seconds: float = ended.START_SECONDS
    looked_after: set[str] = field(factory=set)

    def advance(
        self,
        run: PhaseRun,
        make: Callable[[], PhasePod],
        result: Callable[[PodResult], Step] | None = None,
        *,
        part: str = "",
    ) -> Step:
        """Make the pod of a phase, or look how far it is. Never wait.

        Args:
            run: The phase. `run.memo` is what this method has returned last.
            make: Returns the pod as it should be. Called only where there is none yet.
            result: Returns what came of a pod that has ended. Default: its outputs by the lines of
                its log (`outputs_of_log`).
            part: Tells the pods of a phase with several apart. Its function keeps a memo of each,
                and hands it on in `run.memo`. Default: none, it has one.

        Raises:
            InvalidInput: The pod cannot be made as it is wanted; what `make` raises.
            ClientError: The API server refuses or does not answer.
        """
        memo = _remembered(run, part)
        if not memo.uid:
            return self._start(run, make, memo, part)
        self.follow(memo.namespace)
        cached = self._cached(memo)
        pod = cached or self._live(memo.namespace, memo.pod, run.deadline)
        found = Found(run, memo, pod, self.clock.now(), self.start_seconds)
        verdict = judge.judge(found)
        # Nobody wakes the ActionSet of a pod that the informer does not show.
        look = None if cached is not None else LOOK_SECONDS
        if isinstance(verdict, Waiting):
            return self._wait(found, verdict, look)
        if not verdict.container:
            # Nobody asks for its log any more.
            self.follower.forget(memo.uid)
        if not judge.may_run_again(verdict, run, memo):
            return self._end(found, verdict, result or outputs_of_log)
        if pod is not None and pod["metadata"]["uid"] == memo.uid:
            self._remove(pod, run.deadline)
        again = Memo(attempt=memo.attempt + 1)
        return Running(STARTS_AGAIN.format(cause=verdict.cause), memo=again.json())

    def cancel(self, run: PhaseRun, *, part: str = "") -> Step:
        """Delete the pod of a phase. Never wait.

        Args:
            run: The phase.
            part: As in `advance`.

        Returns:
            Running until nothing of the pod runs any more, then Failed.

        Raises:
            ClientError: The API server refuses or does not answer.
        """
        pod = self._existing(run, _remembered(run, part), part)
        if pod is None:
            return Failed(CANCELLED)
        view = PodView.of(pod)
        if not view.deleted:
            with suppress(NotFound):
                self._delete(pod, run.deadline)
        elif not view.runs:
            return Failed(CANCELLED)
        elif view.is_lost(self.clock.now()):
            return Failed(ended.lost_cause(view))
        return Running(WAITS_FOR_CANCEL.format(pod=_key(pod)), again_after=LOOK_SECONDS)

    def release(self, run: PhaseRun, *, failed: bool) -> bool:
        """Remove the pods of a phase that is over and whose result is stored. Never wait.

        Args:
            run: The phase.
            failed: Whether it has failed: then its pods stay if `run.keep_failed_pod` says so,
                without our finalizer.

        Returns:
            Whether nothing is left that needs another call.

        Raises:
            ClientError: The API server refuses or does not answer.
        """
        pods = {pod["metadata"]["uid"]: pod for pod in self._of_phase(run)}
        pods |= {pod["metadata"]["uid"]: pod for pod in self._not_shown(run, set(pods))}
        for pod in pods.values():
            if failed and run.keep_failed_pod:
                self._take_off_finalizer(pod, run.deadline)
            else:
                self._remove(pod, run.deadline)
        return True

    def look_after(self, namespaces: Iterable[str], deadline: Deadline) -> None:
        """Follow the pods that earlier processes have left. Does not wait for them.

        It costs a request for each namespace that is not followed, once in the life of a process. A
        namespace without such pods is not followed for that: there may be thousands, long gone.

        Args:
            namespaces: Where they may be.
            deadline: Of the reconcile.

        Raises:
            ClientError: The API server does not answer.
        """
        for namespace in namespaces:
            if namespace in self.looked_after or self.pods.follows(namespace):
                continue
            found: list[Object] = []
            with suppress(Forbidden):
                labels = cache.SELECTION.labels
                found = self.client.list(
                    PODS, namespace, label_selector=labels, limit=1, deadline=deadline
                )["items"]
            if found:
                self.follow(namespace)
            else:
                self.looked_after.add(namespace)

    def sweep(self, request: Request, deadline: Deadline) -> None:
        """Remove the pods of an ActionSet that is gone, as far as the informer shows them.

        Args:
            request: The ActionSet, which does not exist any more.
            deadline: Of the reconcile.

        Raises:
            ClientError: The API server refuses or does not answer.
        """
        for pod in self.pods.by_index(cache.INDEX_ACTION_SET, names.key_of(request)):
            self._remove(pod, deadline)

    def _start(self, run: PhaseRun, make: Callable[[], PhasePod], memo: Memo, part: str) -> Step:
        """Make the pod and its Secret; what is there already was made before a kill."""
        wanted = make()
        name = names.pod_name(run, attempt=memo.attempt, part=part)
        body = builder.pod(run, wanted, name, self.policy)
        self.follow(wanted.namespace)
        is_new = True
        try:
            pod = self._create(body, run.deadline)
        except AlreadyExists:
            is_new = False
            pod = self.client.get(PODS, wanted.namespace, name, deadline=run.deadline)
            if not names.belongs_to(pod, run):
                return Failed(judge.FOREIGN.format(pod=_key(pod)))
        if wanted.secret is not None:
            secret = builder.secret(pod, wanted.secret)
            try:
                self.client.create(SECRETS, wanted.namespace, secret, deadline=run.deadline)
            except AlreadyExists:
                # That of a pod made before a kill is there already, that of a new one cannot be.
                if is_new:
                    self._remove(pod, run.deadline)
                    return Failed(judge.FOREIGN_DATA.format(secret=_key(pod)))
        made = evolve(memo, namespace=wanted.namespace, pod=name, uid=pod["metadata"]["uid"])
        return Running(ended.WAITS_FOR_START.format(pod=_key(pod)), memo=made.json())

    def _create(self, body: Object, deadline: Deadline) -> Object:
        """Create a pod, restricted where its namespace asks for that.

        Raises:
            InvalidInput: It can never be created.
        """
        namespace = body["metadata"]["namespace"]
        try:
            try:
                return self.client.create(PODS, namespace, body, deadline=deadline)
            except Forbidden as error:
                if not refusals.asks_for_restricted(error):
                    raise
            body = builder.restricted(body)
            return self.client.create(PODS, namespace, body, deadline=deadline)
        except (Invalid, NotFound) as error:
            message = refusals.explain(error, namespace)
            raise InvalidInput(REASON_REFUSED, message) from error

    def _wait(self, found: Found, waiting: Waiting, look: float | None) -> Step:
        """Return that a pod is not over, and have its log followed once there may be one."""
        pauses = [look]
        memo: Mapping[str, Any] | None = None
        progress: Progress | None = None
        if waiting.container:
            source = _source(found.memo, waiting.container)
            known = found.memo.first_line
            unread = self.follower.follow(found.run.request, source, first=known)
            pauses.append(unread.again_after)
            progress = self.follower.progress(source)
            first = self.follower.first_line(source)
            if first is not None and known is None:
                memo = evolve(found.memo, first_line=first).json()
        if waiting.until is not None:
            pauses.append((waiting.until - found.now).total_seconds())
        again_after = min((pause for pause in pauses if pause is not None), default=None)
        return Running(waiting.why, memo=memo, progress=progress, again_after=again_after)

    def _end(self, found: Found, end: Ended, result: Callable[[PodResult], Step]) -> Step:
        """Return what came of a pod, once its log was read."""
        main = "" if found.pod is None else names.containers_of(found.pod)[0]
        if not end.container:
            return result(judge.result_of(found.name, main, end, None))
        source = _source(found.memo, end.container)
        # Of another container than the main one nobody has remembered the first line.
        first = found.memo.first_line if end.container == main else None
        ended_at = None if found.pod is None else PodView.of(found.pod).ended_at(end.container)
        log = self.follower.read(found.run.request, source, first=first, ended_at=ended_at)
        if not isinstance(log, Unread):
            return result(judge.result_of(found.name, main, end, log))
        if end.succeeded or not log.why:
            return _unread(found.name, log)
        # For the last lines of a failure nobody waits for a node that is away.
        return result(judge.result_of(found.name, main, end, None))

    def _cached(self, memo: Memo) -> Object | None:
        """Return the pod of a memo as the informer shows it; None if it shows none or another."""
        pod = self.pods.get(memo.namespace, memo.pod)
        return pod if pod is not None and pod["metadata"]["uid"] == memo.uid else None

    def _live(self, namespace: str, name: str, deadline: Deadline) -> Object | None:
        try:
            return self.client.get(PODS, namespace, name, deadline=deadline)
        except NotFound:
            return None

    def _existing(self, run: PhaseRun, memo: Memo, part: str) -> Object | None:
        """Return the pod of a phase, also one whose memo was never stored."""
        if memo.uid:
            self.follow(memo.namespace)
            pod = self._cached(memo) or self._live(memo.namespace, memo.pod, run.deadline)
            return pod if pod is not None and pod["metadata"]["uid"] == memo.uid else None
        name = names.pod_name(run, attempt=memo.attempt, part=part)
        for namespace in places.namespaces_of(run):
            pod = self._live(namespace, name, run.deadline)
            if pod is not None and names.belongs_to(pod, run):
                return pod
        return None

    def _of_phase(self, run: PhaseRun) -> Iterator[Object]:
        """Yield the pods of a phase: all attempts and parts."""
        selector = names.selector(run)
        label, _, value = selector.partition("=")
        known = self.pods.by_index(cache.INDEX_ACTION_SET, names.key_of(run.request))
        for namespace in places.namespaces_of(run):
            self.follow(namespace)
            pods = [one for one in known if one["metadata"]["namespace"] == namespace]
            if not self.pods.has_synced(namespace):
                pods = self.client.list(
                    PODS, namespace, label_selector=selector, deadline=run.deadline
                )["items"]
            for pod in pods:
                if (pod["metadata"].get("labels") or {}).get(label) == value:
                    yield pod

    def _not_shown(self, run: PhaseRun, shown: set[str]) -> Iterator[Object]:
        """Yield the pods of a phase that no informer shows, for lack of a right.

        Args:
            run: The phase.
            shown: The uids of those that are shown.
        """
        for part, stored in [("", run.memo), *of_parts(run.memo)]:
            of_part = evolve(run, memo=stored)
            memo = _remembered(of_part, part)
            if memo.uid and memo.uid not in shown:
                self.follower.forget(memo.uid)
                tries = [memo]
            elif part and not memo.uid and self.pods.refusal() is not None:
                # Which attempt has ended is not stored.
                tries = [Memo(attempt=attempt) for attempt in range(judge.MAX_ATTEMPTS)]
            else:
                continue
            found = (self._existing(of_part, one, part) for one in tries)
            yield from (pod for pod in found if pod is not None)

    def _remove(self, pod: Mapping[str, Any], deadline: Deadline) -> None:
        """Delete a pod whose result is stored, then let it go."""
        with suppress(NotFound):
            if not pod["metadata"].get("deletionTimestamp"):
                self._delete(pod, deadline)
        self._take_off_finalizer(pod, deadline)

    def _delete(self, pod: Mapping[str, Any], deadline: Deadline) -> None:
        metadata = pod["metadata"]
        self.client.delete(
            PODS, metadata["namespace"], metadata["name"], uid=metadata["uid"], deadline=deadline
        )

    def _take_off_finalizer(self, pod: Mapping[str, Any], deadline: Deadline) -> None:
        metadata = pod["metadata"]
        self.follower.forget(metadata["uid"])
        finalizers = metadata.get("finalizers") or []
        if api.FINALIZER_RESULT not in finalizers:
            return
        kept = [one for one in finalizers if one != api.FINALIZER_RESULT]
        # The uid keeps a successor of the same name out of it.
        body = {"metadata": {"uid": metadata["uid"], "finalizers": kept or None}}
        with suppress(NotFound):
            self.client.merge_patch(
                PODS, metadata["namespace"], metadata["name"], body, deadline=deadline
            )


def _unread(pod: str, unread: Unread) -> Running:
    template = WAITS_FOR_LOG_AGAIN if unread.why else WAITS_FOR_LOG
    return Running(template.format(pod=pod, why=unread.why), again_after=unread.again_after)


def _source(memo: Memo, container: str) -> Source:
    return Source(memo.namespace, memo.pod, memo.uid, container)


def _remembered(run: PhaseRun, part: str = "") -> Memo:
    """Return the memo of a pod. An annotation can be changed by hand: it leads to no other pod."""
    memo = Memo.read(run.memo)
    is_own = memo.pod == names.pod_name(
        run, attempt=memo.attempt, part=part
    ) and memo.namespace in places.namespaces_of(run)
    return memo if is_own else Memo(attempt=memo.attempt)


def _key(pod: Mapping[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
