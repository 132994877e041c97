"""Until when a phase may run: by its time limit, and by the deletion of its ActionSet."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.conditions import parse_time
from reconcilers.actionset.api import ANNOTATION_TIMEOUT

if TYPE_CHECKING:
    from datetime import datetime

    from reconcilers.actionset.engine.phaserunner import Situation
    from reconcilers.actionset.memo import Entry, Position

#: Seconds that a deferPhase without a limit of its own has once its ActionSet is deleted: a
#: deletion that waits for ever blocks that of the namespace.
DEFER_SECONDS: Final = 600.0
#: Seconds after which the engine stops waiting for the end of a phase that it has cancelled: a pod
#: on a node that is lost does not go.
CANCEL_SECONDS: Final = 600.0

TIMED_OUT: Final = "it ran longer than {seconds:g} s (annotation {annotation}) and was ended"
DEFER_TIMED_OUT: Final = (
    "it ran longer than the {seconds:g} s that a deferPhase has once its ActionSet is deleted, and"
    " was ended"
)
DELETED: Final = "the ActionSet was deleted before the phase had ended"
HOPELESS: Final = "{message}; what is left of it has not ended for {seconds:g} s: {waits_for}"
_SOMETHING: Final = "see its pod"


@frozen
class Limit:
    """When a phase has to end.

    Args:
        at: The time; None for never.
        message: Why it had to.
        ends_unseen: Whether to end it without asking first whether it has succeeded by itself.
    """

    at: datetime | None = None
    message: str = ""
    ends_unseen: bool = False

    @classmethod
    def of(cls, situation: Situation, position: Position, phase: str, entry: Entry) -> Limit:
        """Return the limit of a phase.

        Args:
            situation: The ActionSet.
            position: Of the phase.
            phase: Its name.
            entry: What is kept of it.
        """
        seconds = situation.settings[position.action].timeout_of(phase)
        message = TIMED_OUT
        if situation.deleted:
            deleted_at = parse_time(situation.obj["metadata"]["deletionTimestamp"])
            if not position.deferred:
                return cls(deleted_at, DELETED, ends_unseen=True)
            if seconds is None:
                at = max(deleted_at, entry.started_at) + timedelta(seconds=DEFER_SECONDS)
                return cls(at, DEFER_TIMED_OUT.format(seconds=DEFER_SECONDS))
        if seconds is None:
            return cls()
        text = message.format(seconds=seconds, annotation=ANNOTATION_TIMEOUT)
        return cls(entry.started_at + timedelta(seconds=seconds), text)

    def is_over(self, now: datetime) -> bool:
        """Return whether the phase has to end."""
        return self.at is not None and (self.ends_unseen or now >= self.at)

    def is_hopeless(self, now: datetime, *, since: datetime | None = None) -> bool:
        """Return whether the end has been waited for long enough.

        Args:
            now: The time.
            since: Since when it cannot even be asked for. Default: None, it can.
        """
        if self.at is None:
            return False
        begun = self.at if since is None else max(self.at, since)
        return (now - begun).total_seconds() >= CANCEL_SECONDS

    def hopeless(self, waits_for: str) -> str:
        """Return the message of a phase whose end was not waited for any longer."""
        return HOPELESS.format(
            message=self.message, seconds=CANCEL_SECONDS, waits_for=waits_for or _SOMETHING
        )

    def seconds_left(self, now: datetime) -> float | None:
        """Return the seconds until something is due by the limit; None for never."""
        if self.at is None:
            return None
        left = (self.at - now).total_seconds()
        return left if left > 0 else max(0.0, left + CANCEL_SECONDS)
