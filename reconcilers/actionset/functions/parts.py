"""A phase that has a pod for each of several pods of the workload: so many at a time. Pure.

What is known of each is in the phase's memo, so that a later process goes on where it was:

    {"names": ["db-0", "db-1"], "parts": {"db-0": {"outputs": {...}}, "db-1": {"memo": {...}}}}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, field, frozen

from controller.errors import ClientError
from reconcilers.actionset.function import Complete, Failed, Progress, Running, Step
from reconcilers.actionset.phases.memo import MEMO, MOST_PARTS, NAMES, PARTS
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from reconcilers.actionset.function import PhaseRun

REASON_TOO_MANY: Final = "TooManyPods"
TOO_MANY: Final = (
    "argument pods: {number} pods are more than {most}, which one phase takes; name them in "
    "several phases"
)

_OUTPUTS: Final = "outputs"
_FAILED: Final = "failed"


@frozen
class Ended:
    """What came of all parts.

    Args:
        done: The outputs of those that have succeeded, by name.
        failures: Why the others have failed, by name.
    """

    done: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str] = field(factory=dict)

    @property
    def message(self) -> str:
        """What has failed, in the words of the program `repository-server-functions`."""
        reasons = "; ".join(f"{name}: {why}" for name, why in self.failures.items())
        succeeded = f"; done for {', '.join(self.done)}" if self.done else ""
        return f"failed for {', '.join(self.failures)} ({reasons}){succeeded}"


def names_of(run: PhaseRun) -> tuple[str, ...]:
    """Return the names of the parts, as an earlier call has stored them; none at the first."""
    return tuple(run.memo.get(NAMES) or ())


def done(run: PhaseRun) -> dict[str, Mapping[str, Any]]:
    """Return the outputs of the parts that have succeeded so far, by name."""
    known = run.memo.get(PARTS) or {}
    return {
        name: known[name][_OUTPUTS] for name in names_of(run) if _OUTPUTS in known.get(name, {})
    }


def begin(names: Sequence[str]) -> Running:
    """Return the step that stores which parts there are.

    Args:
        names: Their names; one that is there twice is one part.

    Raises:
        InvalidInput: They are too many.
    """
    unique = list(dict.fromkeys(names))
    if len(unique) > MOST_PARTS:
        message = TOO_MANY.format(number=len(unique), most=MOST_PARTS)
        raise InvalidInput(REASON_TOO_MANY, message)
    return Running(memo={NAMES: unique, PARTS: {}})


def advance(run: PhaseRun, one: Callable[[PhaseRun, str], Step], *, limit: int) -> Running | Ended:
    """Advance each part that runs, and begin others.

    A part that cannot be asked holds up no other: what came of those is stored first.

    Args:
        run: The phase, whose memo `begin` has made.
        one: Advances a part, by its run, which has its memo, and its name.
        limit: How many at the same time.

    Raises:
        ClientError: As the part raises it, once all else is stored.
    """
    before: Mapping[str, Mapping[str, Any]] = run.memo[PARTS]
    after = dict(before)
    waits: list[str] = []
    again: list[float] = []
    percents: list[int] = []
    errors: list[ClientError] = []
    begun = sum(1 for part in before.values() if MEMO in part)
    for name in names_of(run):
        if name in before and MEMO not in before[name]:
            continue
        if name not in before:
            if begun >= limit:
                continue
            begun += 1
        try:
            step = _advanced(run, name, one)
        except ClientError as error:
            errors.append(error)
            continue
        after[name] = _stored(step, before.get(name, {}))
        if isinstance(step, Running):
            waits += [f"{name}: {step.waits_for}"] if step.waits_for else []
            again += [step.again_after] if step.again_after is not None else []
            percents += [step.progress.percent] if step.progress is not None else []
    if errors and after == before:
        raise errors[0]
    ended = [part for part in after.values() if MEMO not in part]
    if len(ended) == len(names_of(run)):
        return Ended(
            {name: part[_OUTPUTS] for name, part in after.items() if _OUTPUTS in part},
            {name: part[_FAILED] for name, part in after.items() if _FAILED in part},
        )
    return Running(
        waits_for="; ".join(waits),
        memo={**run.memo, PARTS: after} if after != before else None,
        progress=Progress((100 * len(ended) + sum(percents)) // len(names_of(run))),
        again_after=min(again, default=None),
    )


def cancel(run: PhaseRun, one: Callable[[PhaseRun, str], Step]) -> Step | None:
    """End each part early.

    Args:
        run: The phase.
        one: Ends a part, by its run, which has its memo, and its name.

    Returns:
        What came of the first that is not over, or else of the last; None if none was begun.
    """
    step: Step | None = None
    # Those of which no memo is stored as well: they may have been begun all the same.
    for name in names_of(run):
        step = one(part_of(run, name), name)
        if isinstance(step, Running):
            return step
    return step


def part_of(run: PhaseRun, name: str) -> PhaseRun:
    """Return the run with the memo of one part.

    Args:
        run: The phase.
        name: Of the part.
    """
    part = (run.memo.get(PARTS) or {}).get(name) or {}
    return evolve(run, memo=part.get(MEMO) or {})


def _advanced(run: PhaseRun, name: str, one: Callable[[PhaseRun, str], Step]) -> Step:
    try:
        return one(part_of(run, name), name)
    except InvalidInput as error:
        # Of this part: the others go on.
        return Failed(error.message)


def _stored(step: Step, before: Mapping[str, Any]) -> dict[str, Any]:
    match step:
        case Complete():
            return {_OUTPUTS: dict(step.outputs or {})}
        case Failed():
            return {_FAILED: step.message}
        case Running():
            memo = before.get(MEMO, {}) if step.memo is None else step.memo
            return {MEMO: dict(memo)}
