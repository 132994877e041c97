"""A step whose result the API server does not take: the largest part of it becomes a failure.

Without this, an action that has put out too much would be tried again for ever: its status says
`running`, and never anything else.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import evolve

from reconcilers.actionset.api import State
from reconcilers.actionset.engine import notes
from reconcilers.actionset.engine.advance import PhaseEnd
from reconcilers.actionset.function import Failed
from reconcilers.actionset.memo import ARTIFACTS, Entry, Memos, Position
from reconcilers.actionset.status import document

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from controller.resource import Object
    from reconcilers.actionset.engine.advance import Advanced
    from reconcilers.actionset.engine.notes import Note
    from reconcilers.actionset.engine.phaserunner import Situation


def largest_first(situation: Situation, memos: Memos, advanced: Advanced) -> list[int]:
    """Return the actions to which a step adds something, the one with the most first.

    Args:
        situation: The ActionSet before the step.
        memos: Those before the step.
        advanced: What came of the step.
    """
    desired = advanced.desired
    added = {
        index: _size(desired.status, desired.memos, index)
        - _size(situation.obj["status"], memos, index)
        for index in range(len(situation.plans))
    }
    return sorted((index for index in added if added[index] > 0), key=lambda index: -added[index])


def without_result(  # noqa: PLR0917 - what a step is
    situation: Situation,
    memos: Memos,
    advanced: Advanced,
    action: int,
    message: str,
    now: datetime,
) -> Advanced:
    """Return a step in which what an action was to store is a failure.

    Args:
        situation: The ActionSet before the step.
        memos: Those before the step.
        advanced: What came of the step.
        action: The index of the action.
        message: Why it fails.
        now: The time.
    """
    before, plan = situation.obj["status"], situation.plans[action]
    actions = list(advanced.desired.status["actions"])
    actions[action] = before["actions"][action]
    # Whether all have ended is for the next step to say.
    status = {**advanced.desired.status, "state": before["state"], "actions": actions}
    unwanted = [notes.ended(situation.obj, advanced.desired.status)]
    ends = tuple(end for end in advanced.ends if end.position.action != action)
    position = document.due_phase(before, action)
    if position is None:
        status = document.artifacts_failed(status, action, message, now=now)
        left = advanced.desired.memos.without(Position(action, ARTIFACTS))
        name = notes.ARTIFACTS
    else:
        status = document.phase_failed(status, position, Failed(message), now=now)
        entry = memos.get(position) or Entry(started_at=now)
        left = advanced.desired.memos.with_entry(position, entry)
        left = left.ended(position, State.FAILED.value)
        phase = plan.phase_at(position)
        name = phase.name
        seconds = (now - entry.started_at).total_seconds()
        ends = (*ends, PhaseEnd(position, phase.func, State.FAILED.value, seconds))
        unwanted.append(notes.completed(name, deferred=position.deferred))
    kept = _without(advanced.notes, unwanted)
    return evolve(
        advanced,
        desired=evolve(advanced.desired, status=status, memos=left),
        at_once=True,
        notes=(*kept, notes.failed(plan.action.name, name, message)),
        ends=ends,
    )


def _size(status: Object, memos: Memos, action: int) -> int:
    of_memos = sum(
        len(json.dumps(entry.memo)) for at, entry in memos.entries.items() if at.action == action
    )
    return len(json.dumps(status["actions"][action])) + of_memos


def _without(found: Iterable[Note], unwanted: Iterable[Note]) -> list[Note]:
    """Return notes without one of each that is unwanted: phases of two actions may be called so."""
    kept = list(found)
    for one in unwanted:
        if one in kept:
            kept.remove(one)
    return kept
