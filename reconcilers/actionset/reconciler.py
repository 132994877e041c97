"""The reconcile loop of an ActionSet: claim, one step of every action, one write, clean up.

Nothing here waits. The events of pods and commands, and the times that functions ask for, bring an
ActionSet back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import frozen

from controller.errors import AlreadyExists, ApiError, Conflict
from controller.events import WARNING
from controller.reconcile import Result
from reconcilers.actionset import memo, places
from reconcilers.actionset.api import (
    ANNOTATION_MEMO,
    FINALIZER_RUNNING,
    State,
)
from reconcilers.actionset.engine import notes, refusals, unstorable
from reconcilers.actionset.engine.advance import Advancer
from reconcilers.actionset.engine.begin import Beginner
from reconcilers.actionset.engine.claims import Claimer, is_claimable
from reconcilers.actionset.engine.cleanup import Cleaner
from reconcilers.actionset.engine.expiry import Expiry
from reconcilers.actionset.engine.phaserunner import PhaseRunner, Situation
from reconcilers.actionset.engine.plans import Plans
from reconcilers.actionset.engine.writer import Desired, Vanished, Writer
from reconcilers.actionset.settings import read_settings
from reconcilers.actionset.status import document
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Deadline
    from controller.reconcile import Request
    from controller.resource import Object
    from reconcilers.actionset.engine.advance import Advanced
    from reconcilers.actionset.engine.cleanup import Released
    from reconcilers.actionset.engine.collaborators import Cache, Parameters, Recorder
    from reconcilers.actionset.engine.notes import Note
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.memo import Memos
    from reconcilers.actionset.services import Services
    from reconcilers.actionset.status.metrics import PhaseMetrics
    from reconcilers.datafunctions.registry import Registry

#: Steps in one reconcile at most. A function that asks for one after the other must not keep a
#: worker.
MAX_STEPS: Final = 20

NOT_OURS: Final = (
    "it is running, but not by this engine: another one has claimed it, or had when it stopped;"
    " it is left alone, create it again to run it"
)


_log = structlog.get_logger()


@frozen
class _Step:
    """What came of one step.

    Args:
        obj: The ActionSet as it is now.
        at_once: Whether the next step is due.
        again_after: Seconds until it is due without an event; None if it is not.
    """

    obj: Object
    at_once: bool = False
    again_after: float | None = None


class ActionSetReconciler:
    """Runs one ActionSet as far as it can; see the module's docstring.

    Args:
        services: What functions work with.
        functions: All functions.
        action_sets: The ActionSets, finished ones trimmed.
        parameters: Gathers what templates can name.
        recorder: Takes events.
        metrics: Counts phases.
    """

    def __init__(
        self,
        *,
        services: Services,
        functions: Registry[Function[Any]],
        action_sets: Cache,
        parameters: Parameters,
        recorder: Recorder,
        metrics: PhaseMetrics,
    ) -> None:
        client, clock = services.client, services.clock
        self._action_sets = action_sets
        self._services = services
        self._recorder = recorder
        self._metrics = metrics
        self._clock = clock
        # The ActionSets of other engines that were reported, by uid.
        self._left: dict[Request, str] = {}
        self._writer = Writer(client)
        self._plans = Plans(client)
        claimer = Claimer(
            client=client,
            functions=functions,
            parameters=parameters,
            renderer=services.renderer,
            writer=self._writer,
            clock=clock,
        )
        self._beginner = Beginner(claimer=claimer, writer=self._writer, clock=clock)
        runner = PhaseRunner(functions, parameters, services.renderer)
        self._advancer = Advancer(runner, clock)
        self._cleaner = Cleaner(client=client, pods=services.pods, writer=self._writer, clock=clock)
        self._expiry = Expiry(client=client, action_sets=action_sets, clock=clock)

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        """Reconcile one ActionSet.

        Args:
            request: Its namespace and name.
            deadline: Until when all must be done.

        Returns:
            When to look again without an event.

        Raises:
            ClientError: The API server could not be reached or refused; the queue tries again.
        """
        try:
            return self._reconcile(request, deadline)
        except (Conflict, AlreadyExists):
            # Somebody was faster; the cache will show it.
            return Result(requeue=True)
        except Vanished:
            # Its event comes.
            return Result()

    def _reconcile(self, request: Request, deadline: Deadline) -> Result:
        obj = self._action_sets.get(request.namespace, request.name)

        # 1. Sweep up after one that is gone.
        if obj is None:
            self._drop(request)
            self._services.pods.sweep(request, deadline)
            return Result()

        # 2. Leave one that has ended alone, until its time is over.
        if document.is_over(obj):
            self._drop(request)
            self._services.pods.look_after(places.namespaces_of_all(obj), deadline)
            return self._expiry.ensure(obj, deadline)

        # 3. Leave alone what another engine has begun.
        is_ours = FINALIZER_RUNNING in (obj["metadata"].get("finalizers") or ())
        if not is_ours and not is_claimable(obj):
            self._leave(request, obj)
            return Result()

        # 4. Begin one that is new.
        if is_claimable(obj):
            if obj["metadata"].get("deletionTimestamp"):
                self._beginner.withdraw(obj, deadline)
                return Result()
            begun = self._beginner.begin(obj, deadline)
            self._note(obj, *begun.notes)
            _raise_first(begun.error)
            if begun.frozen is None:
                return Result(requeue_after=begun.again_after)
            obj = begun.obj
            self._plans.keep(request, obj, begun.frozen)

        # 5. Take its actions step by step, and store what came of each.
        return self._run(request, obj, deadline)

    def _run(self, request: Request, obj: Object, deadline: Deadline) -> Result:
        for _ in range(MAX_STEPS):
            step = self._step(request, obj, deadline)
            obj = step.obj
            if not step.at_once:
                return Result(requeue_after=step.again_after)
        # Others get their turn first.
        return Result(requeue_after=0.0)

    def _step(self, request: Request, obj: Object, deadline: Deadline) -> _Step:
        # a. Remove what is left of the phases whose result is stored.
        memos = memo.parse((obj["metadata"].get("annotations") or {}).get(ANNOTATION_MEMO, ""))
        if document.has_ended(obj):
            # Somebody may have set the state by hand, to end what runs.
            memos = memos.all_ended(State.FAILED.value)
        released = self._cleaner.release(request, obj, memos, deadline)
        self._note(obj, *released.notes)

        # b. Let go of one that has ended, once nothing is left of its phases.
        if document.has_ended(obj):
            return self._let_go(request, obj, released, deadline)

        # c. Take one step of every action.
        try:
            situation = self._situation(request, obj, deadline)
        except InvalidInput as error:
            return self._abandon(obj, released.memos, error, deadline)
        advanced = self._advancer.advance(situation, released.memos)

        # d. Store what came of it, then tell.
        obj, advanced = self._store(situation, released.memos, advanced, deadline)
        self._note(obj, *advanced.notes)
        for end in advanced.ends:
            self._metrics.phase_ended(end.function, end.result, end.seconds)
        _raise_first(advanced.error, released.error)
        times = [one for one in (advanced.again_after, released.again_after) if one is not None]
        at_once = advanced.at_once or document.has_ended(obj)
        return _Step(obj, at_once=at_once, again_after=min(times, default=None))

    def _store(
        self, situation: Situation, memos: Memos, advanced: Advanced, deadline: Deadline
    ) -> tuple[Object, Advanced]:
        """Store what came of a step, as a failure where the API server will never take it."""
        obj = situation.obj
        for action in unstorable.largest_first(situation, memos, advanced):
            try:
                return self._writer.write(obj, advanced.desired, deadline), advanced
            except ApiError as error:
                message = refusals.unstorable(error)
                if not message:
                    raise
            advanced = unstorable.without_result(
                situation, memos, advanced, action, message, self._clock.now()
            )
        return self._writer.write(obj, advanced.desired, deadline), advanced

    def _let_go(
        self, request: Request, obj: Object, released: Released, deadline: Deadline
    ) -> _Step:
        if released.memos.entries:
            desired = Desired(status=obj["status"], memos=released.memos, claimed=True)
            obj = self._writer.write(obj, desired, deadline)
            _raise_first(released.error)
            return _Step(obj, again_after=released.again_after)
        obj = self._cleaner.finish(obj, deadline)
        self._drop(request)
        # Its time may be limited: that is decided by what the cache keeps of it.
        return _Step(obj, again_after=0.0 if read_settings(_annotations(obj)).ttl else None)

    def _situation(self, request: Request, obj: Object, deadline: Deadline) -> Situation:
        plans = self._plans.of(request, obj, deadline)
        annotations = _annotations(obj)
        return Situation(
            request=request,
            obj=obj,
            plans=plans,
            settings=tuple(read_settings(annotations, plan.repeatable) for plan in plans),
            deadline=deadline,
        )

    def _abandon(self, obj: Object, memos: Memos, error: InvalidInput, deadline: Deadline) -> _Step:
        """End an ActionSet that cannot go on: what it began with is lost."""
        now = self._clock.now()
        unrendered = {at.action for at in memos.entries if at.phase == memo.ARTIFACTS}
        status = document.abandoned(obj["status"], error.message, unrendered=unrendered, now=now)
        memos = memos.all_ended(State.FAILED.value)
        desired = Desired(status=status, memos=memos, claimed=True)
        obj = self._writer.write(obj, desired, deadline)
        self._note(obj, notes.Note(WARNING, notes.NOT_BEGUN, error.message))
        return _Step(obj, at_once=True)

    def _leave(self, request: Request, obj: Object) -> None:
        """Say once of an ActionSet of another engine that it is left alone."""
        uid = obj["metadata"]["uid"]
        if self._left.get(request) != uid:
            self._left[request] = uid
            self._note(obj, notes.Note(WARNING, notes.NOT_OURS, NOT_OURS))

    def _drop(self, request: Request) -> None:
        self._plans.drop(request)
        self._left.pop(request, None)

    def _note(self, obj: Object, *events: Note) -> None:
        for one in events:
            _log.info(one.text, reason=one.reason)
            self._recorder.event(obj, one.type_, one.reason, one.text, notes.ACTION)


def _annotations(obj: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def _raise_first(*errors: Exception | None) -> None:
    for error in errors:
        if error is not None:
            raise error
