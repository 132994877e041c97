"""Begins an ActionSet, or stores why it cannot begin: now, or at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from controller.conditions import parse_time
from controller.events import WARNING
from reconcilers.actionset.api import ANNOTATION_WAITS_FOR
from reconcilers.actionset.engine import notes, refusals
from reconcilers.actionset.engine.attempts import Refused, attempt, given_up
from reconcilers.actionset.engine.notes import Note
from reconcilers.actionset.engine.writer import Desired
from reconcilers.actionset.function import Failed
from reconcilers.actionset.memo import Memos
from reconcilers.actionset.status import document

if TYPE_CHECKING:
    from datetime import datetime

    from controller.clock import Clock, Deadline
    from controller.resource import Object
    from reconcilers.actionset.engine.claims import Claimer
    from reconcilers.actionset.engine.writer import Writer
    from reconcilers.actionset.frozen import FrozenAction


@frozen
class Begun:
    """What came of it.

    Args:
        obj: The ActionSet as it is now.
        frozen: What is kept of its actions; None if it does not run.
        notes: What happened.
        again_after: Seconds until another try; None if none is due.
        error: To be raised, so that the queue tries again; None if there is none.
    """

    obj: Object
    frozen: tuple[FrozenAction, ...] | None = None
    notes: tuple[Note, ...] = ()
    again_after: float | None = None
    error: Exception | None = None


class Beginner:
    """Begins ActionSets.

    Args:
        claimer: Checks and claims.
        writer: Stores why one cannot begin.
        clock: The time.
    """

    def __init__(self, *, claimer: Claimer, writer: Writer, clock: Clock) -> None:
        self._claimer = claimer
        self._writer = writer
        self._clock = clock

    def begin(self, obj: Object, deadline: Deadline) -> Begun:
        """Claim an ActionSet of which nothing runs yet.

        What the API server refuses is tried again for `refusals.PATIENCE_SECONDS`, while the
        ActionSet is `pending` and says what it waits for. Then it is `failed`.

        Args:
            obj: The ActionSet.
            deadline: Of the reconcile.

        Raises:
            ClientError: As a client raises it.
        """
        now = self._clock.now()
        since = _waits_since(obj)
        found = attempt(lambda: self._claimer.claim(obj, deadline))
        if isinstance(found, Refused):
            found = given_up(found, since, now) or found
        if isinstance(found, Refused):
            return self._put_off(obj, found, since, now, deadline)
        if isinstance(found, Failed):
            self._claimer.discard(obj, deadline)
            status = document.refused(found.message, now=now)
            obj = self._writer.write(obj, _unclaimed(status), deadline)
            return Begun(obj, notes=(Note(WARNING, notes.NOT_BEGUN, found.message),))
        started = tuple(notes.started_action(action.name) for action in found.actions)
        warned = tuple(Note(WARNING, notes.WARNED, text) for text in found.warnings)
        return Begun(found.obj, found.frozen, notes=(*started, *warned))

    def withdraw(self, obj: Object, deadline: Deadline) -> None:
        """Release an ActionSet that is deleted before it has begun."""
        desired = _unclaimed(obj.get("status") or {})
        self._writer.write(obj, desired, deadline)

    def _put_off(
        self,
        obj: Object,
        refused: Refused,
        since: datetime | None,
        now: datetime,
        deadline: Deadline,
    ) -> Begun:
        if not refused.message:
            return Begun(obj, error=refused.error)
        if refused.away:
            # The status stays: its time says since when it is refused.
            if _age(obj, now) >= refusals.QUIET_SECONDS:
                status = obj.get("status") or {}
                obj = self._writer.write(obj, _unclaimed(status, refused.message), deadline)
            return Begun(obj, error=refused.error)
        status = document.waiting(now=now) if since is None else obj["status"]
        obj = self._writer.write(obj, _unclaimed(status, refused.message), deadline)
        first = (Note(WARNING, notes.REFUSED, refused.message),) if since is None else ()
        again = refusals.RETRY_SECONDS
        return Begun(obj, notes=first, again_after=again, error=refused.error)


def _unclaimed(status: Object, waits_for: str = "") -> Desired:
    return Desired(status=status, memos=Memos(), claimed=False, waits_for=waits_for)


def _age(obj: Object, now: datetime) -> float:
    """Return the seconds since an ActionSet was created."""
    created = obj["metadata"].get("creationTimestamp")
    return (now - parse_time(created)).total_seconds() if created else 0.0


def _waits_since(obj: Object) -> datetime | None:
    """Return since when the beginning of an ActionSet is refused; None if it is not."""
    annotations = obj["metadata"].get("annotations") or {}
    last = ((obj.get("status") or {}).get("progress") or {}).get("lastTransitionTime")
    return parse_time(last) if last and ANNOTATION_WAITS_FOR in annotations else None
