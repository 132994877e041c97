"""Removes what an ActionSet leaves: pods of phases that are over, frozen Secrets, our finalizer."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from controller.errors import NotFound
from controller.events import WARNING
from reconcilers import resources
from reconcilers.actionset.api import Action, State
from reconcilers.actionset.engine import notes, refusals
from reconcilers.actionset.engine.attempts import Refused, attempt
from reconcilers.actionset.engine.writer import Desired
from reconcilers.actionset.frozen import kept_name, secret_name
from reconcilers.actionset.function import Failed, PhaseRun
from reconcilers.actionset.memo import Memos
from reconcilers.actionset.parse import reference
from reconcilers.actionset.settings import read_settings
from reconcilers.actionset.status.document import has_phase, phase_at

if TYPE_CHECKING:
    from controller.clock import Clock, Deadline
    from controller.reconcile import Request
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.engine.notes import Note
    from reconcilers.actionset.engine.writer import Writer
    from reconcilers.actionset.memo import Entry, Position
    from reconcilers.actionset.services import PhasePods

KEPT: Final = "the pod of phase {phase} is left behind: {reason}"


@frozen
class Released:
    """What came of releasing phases that are over.

    Args:
        memos: What is left.
        again_after: Seconds until another try; None if an event tells when, or nothing is left.
        notes: What happened.
        error: Why something could not be done, to be raised; None if nothing is in the way.
    """

    memos: Memos
    again_after: float | None = None
    notes: tuple[Note, ...] = ()
    error: Exception | None = None


class Cleaner:
    """Cleans up after phases and ActionSets.

    Args:
        client: Deletes Secrets.
        pods: Releases the pods of phases.
        writer: Takes the finalizer off.
        clock: The time.
    """

    def __init__(self, *, client: Client, pods: PhasePods, writer: Writer, clock: Clock) -> None:
        self._client = client
        self._pods = pods
        self._writer = writer
        self._clock = clock

    def release(self, request: Request, obj: Object, memos: Memos, deadline: Deadline) -> Released:
        """Remove what is left of the phases whose result is stored.

        What the API server refuses for too long is left behind, with an event: an ActionSet that
        could not be deleted would block the deletion of its namespace.

        Args:
            request: The ActionSet.
            obj: The same, with the results.
            memos: Of its phases.
            deadline: Of the reconcile.
        """
        released = Released(memos)
        for position, entry in memos.over():
            if not has_phase(obj["status"], position):
                # The artifacts, or what somebody has written by hand: no pod belongs to it.
                released = evolve(released, memos=released.memos.without(position))
                continue
            released = self._release_one(released, request, obj, position, entry, deadline)
        return released

    def finish(self, obj: Object, deadline: Deadline) -> Object:
        """Delete the frozen Secrets of an ActionSet that has ended, then take our finalizer off.

        Args:
            obj: The ActionSet, of which nothing runs any more.
            deadline: Of the reconcile.

        Returns:
            The ActionSet as it is now.

        Raises:
            ClientError: As a client raises it.
        """
        metadata = obj["metadata"]
        actions = range(len(obj["status"].get("actions") or ()))
        names = [secret_name(metadata["uid"], index) for index in actions]
        if metadata.get("deletionTimestamp"):
            names += [kept_name(metadata["uid"], index) for index in actions]
        for name in names:
            with contextlib.suppress(NotFound):
                self._client.delete(
                    resources.SECRETS, metadata["namespace"], name, deadline=deadline
                )
        desired = Desired(status=obj["status"], memos=Memos(), claimed=False)
        return self._writer.write(obj, desired, deadline)

    def _release_one(  # noqa: PLR0917 - what one phase is
        self,
        released: Released,
        request: Request,
        obj: Object,
        position: Position,
        entry: Entry,
        deadline: Deadline,
    ) -> Released:
        now = self._clock.now()
        run = _run(request, obj, position, entry, deadline)
        found = attempt(lambda: self._pods.release(run, failed=entry.over == State.FAILED))
        if isinstance(found, Refused) and (found.away or not found.message):
            return evolve(released, error=released.error or found.error)
        if isinstance(found, Refused):
            since = entry.refused_since or now
            if not refusals.is_over(since, now):
                kept = released.memos.with_entry(position, evolve(entry, refused_since=since))
                return evolve(
                    released,
                    memos=kept,
                    again_after=refusals.RETRY_SECONDS,
                    error=released.error or found.error,
                )
            found = Failed(found.message)
        if isinstance(found, Failed):
            text = KEPT.format(phase=run.phase, reason=found.message)
            left = notes.Note(WARNING, notes.LEFT_BEHIND, text)
            return evolve(
                released,
                memos=released.memos.without(position),
                notes=(*released.notes, left),
            )
        if found:
            return evolve(released, memos=released.memos.without(position))
        return released


def _run(
    request: Request, obj: Object, position: Position, entry: Entry, deadline: Deadline
) -> PhaseRun:
    """Return a phase that is over. The frozen Secret may be lost: the status is enough."""
    found = obj["status"]["actions"][position.action]
    settings = read_settings(obj["metadata"].get("annotations") or {})
    return PhaseRun(
        request=request,
        action_set=obj,
        action=Action(
            index=position.action,
            name=found.get("name", ""),
            blueprint=found.get("blueprint", ""),
            object=reference(found.get("object") or {}),
        ),
        phase=phase_at(obj["status"], position)["name"],
        deferred=position.deferred,
        parameters={},
        memo=entry.memo,
        started_at=entry.started_at,
        repeatable=False,
        keep_failed_pod=settings.keep_failed_pod,
        deadline=deadline,
    )
