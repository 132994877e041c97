"""What holds of every status that the engine writes.

Those of Kanister (pkg/validate validate.go), which its own tools rely on, and ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.actionset.api import State
from reconcilers.actionset.status.document import phases_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object

UNKNOWN_STATE: Final = "{what} has the unknown state {state}"
ACTIONS: Final = "the status has {have} actions, the spec has {want}"
LATER_NOT_PENDING: Final = "action {action}: a phase after one that is not complete is not pending"
NOT_OVER: Final = "the state is {state}, but action {action} has a phase that is not over"
FAILED_WITHOUT_ERROR: Final = "the state is failed without an error"
ERROR_WITHOUT_FAILED: Final = "the state is complete with an error"
INCOMPLETE: Final = "the state is complete, but action {action} has a phase that is not"

_STATES: Final = frozenset(State)
_OVER: Final = frozenset({State.COMPLETE, State.FAILED})


def violations(status: Object, *, actions: int) -> list[str]:
    """Return what is wrong with a status; an empty list if nothing is.

    Args:
        status: The document, of an ActionSet that has begun.
        actions: How many actions its spec has.
    """
    return list(_violations(status, actions))


def _violations(status: Object, actions: int) -> Iterator[str]:
    state = status.get("state")
    if state not in _STATES:
        yield UNKNOWN_STATE.format(what="the ActionSet", state=state)
    found = status.get("actions") or []
    if len(found) != actions:
        yield ACTIONS.format(have=len(found), want=actions)
    for index, action in enumerate(found):
        yield from _of_action(index, action)
    error = (status.get("error") or {}).get("message")
    if state == State.FAILED and not error:
        yield FAILED_WITHOUT_ERROR
    if state == State.COMPLETE and error:
        yield ERROR_WITHOUT_FAILED
    if state in _OVER:
        for index, action in enumerate(found):
            yield from _at_end(index, action, str(state))


def _of_action(index: int, action: Object) -> Iterator[str]:
    for phase in phases_of(action):
        if phase.get("state") not in _STATES:
            what = f"action {index}, phase {phase.get('name')}"
            yield UNKNOWN_STATE.format(what=what, state=phase.get("state"))
    states = [phase.get("state") for phase in action.get("phases") or ()]
    not_complete = next((i for i, s in enumerate(states) if s != State.COMPLETE), len(states))
    if any(later != State.PENDING for later in states[not_complete + 1 :]):
        yield LATER_NOT_PENDING.format(action=index)


def _at_end(index: int, action: Object, state: str) -> Iterator[str]:
    states = [phase.get("state") for phase in action.get("phases") or ()]
    if state == State.COMPLETE:
        if any(phase.get("state") != State.COMPLETE for phase in phases_of(action)):
            yield INCOMPLETE.format(action=index)
        return
    deferred = (action.get("deferPhase") or {}).get("name") and action["deferPhase"].get("state")
    stuck = State.RUNNING in states or (State.PENDING in states and State.FAILED not in states)
    if stuck or (deferred and deferred not in _OVER):
        yield NOT_OVER.format(state=state, action=index)
