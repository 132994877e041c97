"""The events of an ActionSet, in Kanister's words (pkg/controller/controller.go).

No note has a value of an argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from controller.events import NORMAL, WARNING
from reconcilers.actionset.api import State

if TYPE_CHECKING:
    from controller.resource import Object

#: What the engine was doing, for the field `action` of all its events.
ACTION: Final = "Run"

STARTED_ACTION: Final = "Started Action"
STARTED_PHASE: Final = "Started Phase"
ENDED_PHASE: Final = "Ended Phase"
STARTED_DEFER: Final = "Started deferPhase"
ENDED_DEFER: Final = "Ended deferPhase"
COMPLETED: Final = "Update Complete"
FAILED: Final = "ActionSetFailed Action: {action}"
#: Ours, of ActionSets that cannot begin, or that end as failed.
NOT_BEGUN: Final = "ActionSetFailed"
#: Ours: something is in the way, and the engine tries again.
REFUSED: Final = "Refused"
#: Ours: what the user should know although nothing has failed.
WARNED: Final = "Warning"
#: Ours: an ActionSet that another engine runs, or ran.
NOT_OURS: Final = "NotOurs"
#: Ours: something of a phase is left behind.
LEFT_BEHIND: Final = "LeftBehind"

#: In place of the name of a phase.
ARTIFACTS: Final = "output artifacts"
#: Characters of the name of an action that a reason has room for (events: 128).
_MAX_NAME: Final = 90


@frozen
class Note:
    """An event.

    Args:
        type_: `NORMAL` or `WARNING`.
        reason: In Kanister's words, which may have spaces.
        text: For people.
    """

    type_: str
    reason: str
    text: str


def started_action(name: str) -> Note:
    """Return the event of an action that begins."""
    return Note(NORMAL, STARTED_ACTION, f"Executing action {name}")


def started(phase: str, *, deferred: bool) -> Note:
    """Return the event of a phase that begins."""
    if deferred:
        return Note(NORMAL, STARTED_DEFER, f"Executing deferPhase {phase}")
    return Note(NORMAL, STARTED_PHASE, f"Executing phase {phase}")


def completed(phase: str, *, deferred: bool) -> Note:
    """Return the event of a phase that has succeeded."""
    if deferred:
        return Note(NORMAL, ENDED_DEFER, f"Completed deferPhase {phase}")
    return Note(NORMAL, ENDED_PHASE, f"Completed phase {phase}")


def failed(action: str, phase: str, message: str) -> Note:
    """Return the event of a phase that has failed."""
    return Note(WARNING, FAILED.format(action=action[:_MAX_NAME]), f"{phase}: {message}")


def ended(obj: Object, status: Object) -> Note:
    """Return the event of an ActionSet that has ended."""
    name, state = obj["metadata"]["name"], status["state"]
    text = f"Updated ActionSet '{name}' Status->{state}"
    if state == State.COMPLETE:
        return Note(NORMAL, COMPLETED, text)
    return Note(WARNING, NOT_BEGUN, text)
