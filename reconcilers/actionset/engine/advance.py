"""Takes every action of an ActionSet one step further: one step each, then one write.

A function is not called again before what came of the last call is stored, so a process that is
killed anywhere leaves the next one nothing to guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from controller.conditions import parse_time
from controller.events import WARNING
from reconcilers.actionset.api import State
from reconcilers.actionset.engine import notes, refusals
from reconcilers.actionset.engine.attempts import Refused, attempt, given_up
from reconcilers.actionset.engine.limits import Limit
from reconcilers.actionset.engine.writer import Desired
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.memo import ARTIFACTS, Entry, Memos, Position
from reconcilers.actionset.status import document

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from controller.clock import Clock
    from controller.resource import Object
    from reconcilers.actionset.engine.notes import Note
    from reconcilers.actionset.engine.phaserunner import PhaseRunner, Situation
    from reconcilers.actionset.function import Step

#: Seconds between two writes of a status of which only the progress differs (Kanister
#: pkg/progress/action.go).
PROGRESS_SECONDS: Final = 5.0

WAITS: Final = "phase {phase}: {reason}"
WAITS_ARTIFACTS: Final = "output artifacts of action {action}: {reason}"


@frozen
class PhaseEnd:
    """A phase that is over.

    Args:
        position: Which.
        function: The name of its function.
        result: `complete` or `failed`.
        seconds: How long it ran.
    """

    position: Position
    function: str
    result: str
    seconds: float


@frozen
class Advanced:
    """What came of one step of every action.

    Args:
        desired: What is to be stored.
        at_once: Whether another step is due once that is stored.
        again_after: Seconds until another step is due without an event; None if none is.
        notes: What happened, for events.
        ends: The phases that have ended.
        error: Why some action could not be asked; None if all could. To be raised once the rest is
            stored.
    """

    desired: Desired
    at_once: bool = False
    again_after: float | None = None
    notes: tuple[Note, ...] = ()
    ends: tuple[PhaseEnd, ...] = ()
    error: Exception | None = None


@frozen
class _Stage:
    """The document and what came of it so far; each action makes the next one of it."""

    status: Object
    memos: Memos
    at_once: bool = False
    again_after: tuple[float, ...] = ()
    notes: tuple[Note, ...] = ()
    ends: tuple[PhaseEnd, ...] = ()
    waits_for: tuple[str, ...] = ()
    errors: tuple[Exception, ...] = ()

    def again(self, seconds: float | None) -> _Stage:
        return self if seconds is None else evolve(self, again_after=(*self.again_after, seconds))

    def noted(self, *more: Note) -> _Stage:
        return evolve(self, notes=(*self.notes, *more))

    def failed(self, error: Exception | None) -> _Stage:
        return self if error is None else evolve(self, errors=(*self.errors, error))


@frozen
class _Turn:
    """The turn of one phase, or of the artifacts, in a step.

    Args:
        position: Which.
        entry: What is kept of it.
        now: The time.
    """

    position: Position
    entry: Entry
    now: datetime


class Advancer:
    """Takes actions one step further.

    Args:
        runner: Calls functions.
        clock: The time.
    """

    def __init__(self, runner: PhaseRunner, clock: Clock) -> None:
        self._runner = runner
        self._clock = clock

    def advance(self, situation: Situation, memos: Memos) -> Advanced:
        """Take every action one step further.

        Args:
            situation: The ActionSet, which has been claimed and has not ended.
            memos: What its running phases know.
        """
        now = self._clock.now()
        stage = _Stage(situation.obj["status"], memos)
        for index in range(len(situation.plans)):
            stage = self._advance_action(situation, stage, index, now)
        if all(_is_over(stage, index) for index in range(len(situation.plans))):
            status = document.ended(stage.status, now=now)
            stage = evolve(stage, status=status).noted(notes.ended(situation.obj, status))
        return Advanced(
            desired=Desired(
                status=stage.status,
                memos=stage.memos,
                claimed=True,
                waits_for="; ".join(stage.waits_for),
            ),
            at_once=stage.at_once,
            again_after=min(stage.again_after, default=None),
            notes=stage.notes,
            ends=stage.ends,
            error=next(iter(stage.errors), None),
        )

    def _advance_action(
        self, situation: Situation, stage: _Stage, index: int, now: datetime
    ) -> _Stage:
        position = document.due_phase(stage.status, index)
        if position is not None:
            return self._advance_phase(situation, stage, position, now)
        if stage.memos.get(Position(index, ARTIFACTS)) is not None:
            return self._render_artifacts(situation, stage, index, now)
        return stage

    def _advance_phase(
        self, situation: Situation, stage: _Stage, position: Position, now: datetime
    ) -> _Stage:
        phase = document.phase_at(stage.status, position)
        turn = _Turn(position, stage.memos.get(position) or Entry(started_at=now), now)
        limit = Limit.of(situation, position, phase["name"], turn.entry)
        is_pending = phase["state"] == State.PENDING
        is_first = is_pending and stage.memos.get(position) is None
        found = attempt(lambda: self._step(situation, turn, limit, is_pending=is_pending))
        if isinstance(found, Refused):
            found = (
                given_up(found, turn.entry.refused_since, now)
                or _given_up_away(found, turn, limit)
                or found
            )
            if isinstance(found, Refused) and not found.message:
                return stage.failed(found.error)
        if is_first:
            stage = stage.noted(notes.started(phase["name"], deferred=position.deferred))
        if isinstance(found, Refused):
            status = document.phase_running(stage.status, position, progress=None, now=now)
            waits = WAITS.format(phase=phase["name"], reason=found.message)
            return _put_off(evolve(stage, status=status), turn, found, waits)
        turn = evolve(turn, entry=evolve(turn.entry, refused_since=None, away_since=None))
        if isinstance(found, Running):
            if limit.is_over(now):
                turn = evolve(turn, entry=evolve(turn.entry, cancelled=True))
            return _running(stage, turn, found).again(limit.seconds_left(now))
        if isinstance(found, Failed) and found.outputs is None:
            found = evolve(found, outputs=self._so_far(situation, turn))
        return self._end_phase(situation, stage, turn, found)

    def _step(self, situation: Situation, turn: _Turn, limit: Limit, *, is_pending: bool) -> Step:
        """Call the function of a phase, to go on or to end early."""
        is_over = limit.is_over(turn.now)
        # One of which nothing is known may not even have begun.
        if is_over and (limit.ends_unseen or not turn.entry.memo):
            if is_pending and limit.ends_unseen:
                return Failed(limit.message)
            return self._cancelled(situation, turn, limit)
        step = self._runner.advance(situation, turn.position, turn.entry, may_repeat=not is_over)
        if isinstance(step, Running) and is_over:
            return self._cancelled(situation, turn, limit)
        if isinstance(step, Failed) and turn.entry.cancelled:
            # By which signal it has ended is not why.
            return Failed(limit.message, step.outputs)
        return step

    def _cancelled(self, situation: Situation, turn: _Turn, limit: Limit) -> Step:
        step = self._runner.cancel(situation, turn.position, turn.entry)
        if isinstance(step, Failed):
            return Failed(limit.message, step.outputs)
        if isinstance(step, Running) and limit.is_hopeless(turn.now):
            return Failed(limit.hopeless(step.waits_for))
        return step

    def _so_far(self, situation: Situation, turn: _Turn) -> Mapping[str, Any] | None:
        """Return the outputs of a phase that has failed without a word of its function."""
        found = attempt(lambda: self._runner.so_far(situation, turn.position, turn.entry))
        return None if isinstance(found, Failed | Refused) else found

    def _end_phase(
        self, situation: Situation, stage: _Stage, turn: _Turn, step: Complete | Failed
    ) -> _Stage:
        position, now = turn.position, turn.now
        plan = situation.plans[position.action]
        phase = plan.phase_at(position)
        if isinstance(step, Complete):
            state = State.COMPLETE
            status = document.phase_complete(stage.status, position, step, now=now)
            note = notes.completed(phase.name, deferred=position.deferred)
        else:
            state = State.FAILED
            status = document.phase_failed(stage.status, position, step, now=now)
            note = notes.failed(plan.action.name, phase.name, step.message)
        memos = stage.memos.with_entry(position, turn.entry).ended(position, state.value)
        seconds = (now - turn.entry.started_at).total_seconds()
        end = PhaseEnd(position, phase.func, state.value, seconds)
        stage = evolve(
            stage, status=status, memos=memos, at_once=True, ends=(*stage.ends, end)
        ).noted(note)
        if plan.planned.artifacts and document.has_succeeded(status, position.action):
            # Stored with the result of the phase, unless they cannot be rendered just now.
            return self._render_artifacts(situation, stage, position.action, now)
        return stage

    def _render_artifacts(
        self, situation: Situation, stage: _Stage, index: int, now: datetime
    ) -> _Stage:
        position = Position(index, ARTIFACTS)
        turn = _Turn(position, stage.memos.get(position) or Entry(started_at=now), now)
        name = situation.plans[index].action.name
        found = attempt(lambda: self._runner.artifacts(situation, index, stage.status))
        if isinstance(found, Refused):
            found = given_up(found, turn.entry.refused_since, now) or found
        if isinstance(found, Refused):
            waits = WAITS_ARTIFACTS.format(action=name, reason=found.message)
            stage = evolve(stage, memos=stage.memos.with_entry(position, turn.entry))
            return (
                _put_off(stage, turn, found, waits) if found.message else stage.failed(found.error)
            )
        stage = evolve(stage, memos=stage.memos.without(position))
        if isinstance(found, Failed):
            status = document.artifacts_failed(stage.status, index, found.message, now=now)
            note = notes.failed(name, notes.ARTIFACTS, found.message)
            return evolve(stage, status=status).noted(note)
        return evolve(stage, status=document.with_artifacts(stage.status, index, found, now=now))


def _given_up_away(refused: Refused, turn: _Turn, limit: Limit) -> Failed | None:
    """Return the failure of a phase beyond its limit while the API server is away; else None."""
    since = turn.entry.away_since
    if refused.away and since is not None and limit.is_hopeless(turn.now, since=since):
        return Failed(limit.hopeless(refused.message))
    return None


def _put_off(stage: _Stage, turn: _Turn, refused: Refused, waits: str) -> _Stage:
    """Return the stage after something was refused, which is tried again."""
    if refused.away:
        return _put_off_away(stage, turn, waits).failed(refused.error)
    is_first = turn.entry.refused_since is None
    since = turn.entry.refused_since or turn.now
    entry = evolve(turn.entry, refused_since=since, away_since=None)
    stage = evolve(
        stage,
        memos=stage.memos.with_entry(turn.position, entry),
        waits_for=(*stage.waits_for, waits),
    )
    if is_first:
        stage = stage.noted(notes.Note(WARNING, notes.REFUSED, waits))
    return stage.failed(refused.error).again(refusals.RETRY_SECONDS)


def _put_off_away(stage: _Stage, turn: _Turn, waits: str) -> _Stage:
    """Return the stage while the API server is away. One request that fails is no news."""
    since = turn.entry.away_since or turn.now
    entry = evolve(turn.entry, away_since=since)
    is_told = (turn.now - since).total_seconds() >= refusals.QUIET_SECONDS
    return evolve(
        stage,
        memos=stage.memos.with_entry(turn.position, entry),
        waits_for=(*stage.waits_for, *((waits,) if is_told else ())),
    )


def _running(stage: _Stage, turn: _Turn, step: Running) -> _Stage:
    """Return the stage after a step of a phase that is not over."""
    entry, position, now = turn.entry, turn.position, turn.now
    phase = document.phase_at(stage.status, position)
    at_once = step.memo is not None and dict(step.memo) != dict(entry.memo)
    if step.memo is not None:
        entry = evolve(entry, memo=dict(step.memo))
    progress, left = step.progress, _progress_seconds_left(phase, now)
    if progress is not None and left > 0 and not at_once:
        progress, stage = None, stage.again(left)
    waits: tuple[str, ...] = ()
    if step.waits_for:
        quiet = refusals.QUIET_SECONDS - (now - entry.started_at).total_seconds()
        if quiet > 0:
            stage = stage.again(quiet)
        else:
            waits = (WAITS.format(phase=phase["name"], reason=step.waits_for),)
    return evolve(
        stage,
        status=document.phase_running(stage.status, position, progress=progress, now=now),
        memos=stage.memos.with_entry(position, entry),
        at_once=stage.at_once or at_once,
        waits_for=(*stage.waits_for, *waits),
    ).again(step.again_after)


def _progress_seconds_left(phase: Object, now: datetime) -> float:
    last = (phase.get("progress") or {}).get("lastTransitionTime")
    return PROGRESS_SECONDS - (now - parse_time(last)).total_seconds() if last else 0.0


def _is_over(stage: _Stage, index: int) -> bool:
    is_rendered = stage.memos.get(Position(index, ARTIFACTS)) is None
    return document.due_phase(stage.status, index) is None and is_rendered
