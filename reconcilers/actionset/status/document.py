"""Makes and changes the status document of an ActionSet.

Every function returns a new document and leaves the one that it was given. Field names, states and
their order are Kanister's (pkg/apis/cr/v1alpha1/types.go, pkg/controller/controller.go). Other than
there, `failed` is the last state of an ActionSet: it is written when every action has ended, its
deferPhase included (docs/decisions/actionset-states.md). The message of an error is there as soon
as something has failed.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from controller.conditions import timestamp
from reconcilers.actionset.api import FINALIZER_RUNNING, State
from reconcilers.actionset.memo import DEFER, Position
from reconcilers.actionset.status.summary import summarised

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from controller.resource import Object
    from reconcilers.actionset.blueprint import BlueprintAction
    from reconcilers.actionset.function import Complete, Failed, Progress

#: The fields of a phase's progress that a function can report (types.go, PhaseProgress).
SIZES: Final = (
    "sizeDownloadedB",
    "sizeUploadedB",
    "estimatedDownloadSizeB",
    "estimatedUploadSizeB",
)
#: Bytes of an error's message at most: an object has no room for more of several actions.
MAX_MESSAGE_BYTES: Final = 8192

FAILURE: Final = "{action}, phase {phase}: {message}"
ARTIFACTS_FAILURE: Final = "{action}, output artifacts: {message}"
_SEPARATOR: Final = "; "
_LAST: Final = frozenset({State.COMPLETE, State.FAILED})
_CUT: Final = " …"


def initial(
    actions: Iterable[tuple[Mapping[str, Any], BlueprintAction]], *, now: datetime
) -> Object:
    """Return the status of an ActionSet of which nothing runs yet.

    Args:
        actions: Of each action what the spec of the ActionSet says, and what the Blueprint does.
        now: The time.
    """
    status: Object = {
        "state": State.PENDING.value,
        "actions": [_initial_action(spec, planned) for spec, planned in actions],
        "progress": {"lastTransitionTime": timestamp(now)},
    }
    return summarised(status, now=now)


def refused(message: str, *, now: datetime) -> Object:
    """Return the status of an ActionSet that cannot begin.

    Args:
        message: Why.
        now: The time.
    """
    return {
        "state": State.FAILED.value,
        "error": {"message": _cut(message)},
        "progress": {"runningPhase": "", "lastTransitionTime": timestamp(now)},
    }


def waiting(*, now: datetime) -> Object:
    """Return the status of an ActionSet that is not refused, but cannot begin yet."""
    return {
        "state": State.PENDING.value,
        "progress": {"runningPhase": "", "lastTransitionTime": timestamp(now)},
    }


def begun(status: Object, *, now: datetime) -> Object:
    """Return the status of an ActionSet that has been claimed."""
    changed = copy.deepcopy(status)
    changed["state"] = State.RUNNING.value
    return summarised(changed, now=now)


def phase_running(
    status: Object, position: Position, *, progress: Progress | None, now: datetime
) -> Object:
    """Return the status while a phase runs.

    Args:
        status: That of before.
        position: The phase.
        progress: How far it is; None if that has not changed.
        now: The time.
    """
    changed = _copied(status, position.action)
    phase = phase_at(changed, position)
    phase["state"] = State.RUNNING.value
    if progress is not None:
        _set_progress(phase, _progress(progress), now)
    return summarised(changed, now=now)


def phase_complete(status: Object, position: Position, step: Complete, *, now: datetime) -> Object:
    """Return the status once a phase has succeeded."""
    changed = _copied(status, position.action)
    phase = phase_at(changed, position)
    phase["state"] = State.COMPLETE.value
    _set_output(phase, step.outputs)
    _set_progress(phase, {"progressPercent": "100"}, now)
    return summarised(changed, now=now)


def phase_failed(status: Object, position: Position, step: Failed, *, now: datetime) -> Object:
    """Return the status once a phase has failed. The phases after it stay pending."""
    changed = _copied(status, position.action)
    phase = phase_at(changed, position)
    phase["state"] = State.FAILED.value
    _set_output(phase, step.outputs)
    words = {"action": _named(changed, position.action), "phase": phase["name"]}
    _add_error(changed, FAILURE.format(message=step.message, **words))
    return summarised(changed, now=now)


def with_artifacts(
    status: Object, action: int, artifacts: Mapping[str, Any], *, now: datetime
) -> Object:
    """Return the status with the output artifacts of an action as they were rendered."""
    changed = _copied(status, action)
    changed["actions"][action]["artifacts"] = dict(artifacts)
    return summarised(changed, now=now)


def artifacts_failed(status: Object, action: int, message: str, *, now: datetime) -> Object:
    """Return the status once the output artifacts of an action could not be rendered.

    They are taken out: a template is no artifact to restore from.
    """
    changed = _copied(status, action)
    changed["actions"][action].pop("artifacts", None)
    named = _named(changed, action)
    _add_error(changed, ARTIFACTS_FAILURE.format(action=named, message=message))
    return summarised(changed, now=now)


def ended(status: Object, *, now: datetime) -> Object:
    """Return the status once every action has ended: `failed` if there is an error."""
    changed = copy.deepcopy(status)
    has_failed = (changed.get("error") or {}).get("message")
    changed["state"] = State.FAILED.value if has_failed else State.COMPLETE.value
    if has_failed:
        # Templates of an action that has failed are no artifacts.
        for action in changed["actions"]:
            if any(phase["state"] != State.COMPLETE for phase in phases_of(action)):
                action.pop("artifacts", None)
    return summarised(changed, now=now)


def abandoned(
    status: Object, message: str, *, unrendered: Collection[int], now: datetime
) -> Object:
    """Return the status of an ActionSet that ran and cannot go on at all: `failed`.

    Args:
        status: That of before. Somebody may have changed it.
        message: Why.
        unrendered: The indices of the actions whose artifacts are templates still.
        now: The time.
    """
    changed = copy.deepcopy(status)
    for index, action in enumerate(changed.get("actions") or ()):
        if index in unrendered:
            action.pop("artifacts", None)
        for phase in phases_of(action):
            if phase.get("state") == State.COMPLETE:
                continue
            is_deferred = phase is action.get("deferPhase")
            if is_deferred or all(
                one.get("state") != State.FAILED for one in action.get("phases") or ()
            ):
                phase["state"] = State.FAILED.value
    _add_error(changed, message)
    return ended(changed, now=now)


def phase_at(status: Object, position: Position) -> Object:
    """Return the phase of a position, as it stands in the document."""
    action: Object = status["actions"][position.action]
    phase: Object = action["deferPhase"] if position.deferred else action["phases"][position.phase]
    return phase


def has_phase(status: Object, position: Position) -> bool:
    """Return whether a position is that of a phase in the document."""
    actions = status.get("actions") or ()
    if not 0 <= position.action < len(actions):
        return False
    action = actions[position.action]
    if position.deferred:
        return bool((action.get("deferPhase") or {}).get("name"))
    return 0 <= position.phase < len(action.get("phases") or ())


def phases_of(action: Mapping[str, Any]) -> list[Object]:
    """Return the phases of an action's status, the deferPhase last."""
    deferred = action.get("deferPhase") or {}
    return [*(action.get("phases") or ()), *([deferred] if deferred.get("name") else ())]


def due_phase(status: Object, action: int) -> Position | None:
    """Return the phase of an action that runs, or is to run next; None if the action has ended.

    The phases come in their order until one fails, then the deferPhase in any case.
    """
    found = status["actions"][action]
    for index, phase in enumerate(found.get("phases") or ()):
        if phase["state"] == State.FAILED:
            break
        if phase["state"] != State.COMPLETE:
            return Position(action, index)
    deferred = found.get("deferPhase") or {}
    if deferred.get("name") and deferred["state"] in (State.PENDING, State.RUNNING):
        return Position(action, DEFER)
    return None


def has_succeeded(status: Object, action: int) -> bool:
    """Return whether all phases of an action are complete, its deferPhase included."""
    return all(phase["state"] == State.COMPLETE for phase in phases_of(status["actions"][action]))


def is_over(obj: Object) -> bool:
    """Return whether an ActionSet has ended and nothing of ours is left to clean up."""
    return has_ended(obj) and FINALIZER_RUNNING not in (obj["metadata"].get("finalizers") or ())


def has_ended(obj: Object) -> bool:
    """Return whether the state of an ActionSet is its last one."""
    return (obj.get("status") or {}).get("state") in _LAST


def _initial_action(spec: Mapping[str, Any], planned: BlueprintAction) -> Object:
    action: Object = {
        "name": spec["name"],
        "object": dict(spec["object"]),
        "blueprint": spec["blueprint"],
        "phases": [{"name": phase.name, "state": State.PENDING.value} for phase in planned.phases],
    }
    if planned.artifacts:
        action["artifacts"] = copy.deepcopy(dict(planned.artifacts))
    if planned.defer is not None:
        action["deferPhase"] = {"name": planned.defer.name, "state": State.PENDING.value}
    return action


def _copied(status: Object, action: int) -> Object:
    """Return a document of which an action may be changed. The others stay those of before."""
    actions = list(status["actions"])
    actions[action] = copy.deepcopy(actions[action])
    return {**status, "actions": actions}


def _progress(progress: Progress) -> Object:
    fields: Object = {"progressPercent": str(max(0, min(100, progress.percent)))}
    fields |= {name: progress.sizes[name] for name in SIZES if name in progress.sizes}
    if progress.seconds_left is not None:
        fields["estimatedTimeSeconds"] = progress.seconds_left
    return fields


def _set_progress(phase: Object, fields: Mapping[str, Any], now: datetime) -> None:
    before = phase.get("progress") or {}
    after = {**before, **fields}
    if fields.get("progressPercent") == "100":
        after.pop("estimatedTimeSeconds", None)
    if after != before:
        phase["progress"] = {**after, "lastTransitionTime": timestamp(now)}


def _set_output(phase: Object, outputs: Mapping[str, Any] | None) -> None:
    if outputs is not None:
        phase["output"] = dict(outputs)


def _named(status: Object, action: int) -> str:
    """Return the name of an action, with its object where several actions have the name."""
    found = status["actions"][action]
    if [one["name"] for one in status["actions"]].count(found["name"]) == 1:
        return f"action {found['name']}"
    target = found["object"]
    place = "/".join(filter(None, (target.get("namespace"), target.get("name"))))
    return f"action {found['name']} of {place}"


def _add_error(status: Object, message: str) -> None:
    before = (status.get("error") or {}).get("message") or ""
    text = _SEPARATOR.join(filter(None, (before, message)))
    status["error"] = {"message": _cut(text)}


def _cut(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= MAX_MESSAGE_BYTES:
        return text
    room = MAX_MESSAGE_BYTES - len(_CUT.encode())
    # Drop a character that the cut has split.
    return encoded[:room].decode(errors="ignore") + _CUT
