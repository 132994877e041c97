"""What holds whatever happens: each function returns a complaint, or nothing."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from fakes.simulation.actionsets import works
from fakes.simulation.actionsets.author import DEFER
from fakes.simulation.actionsets.programs import program_of
from reconcilers import resources
from reconcilers.actionset import memo
from reconcilers.actionset.api import (
    ACTION_SETS,
    ANNOTATION_MEMO,
    FINALIZER_RESULT,
    LABEL_UID,
    State,
)
from reconcilers.actionset.status.document import phases_of
from reconcilers.actionset.status.invariants import violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.resource import Object
    from fakes.simulation.actionsets.author import Wanted
    from fakes.simulation.actionsets.kubelet import Life
    from fakes.simulation.apiserver import Change
    from fakes.simulation.client import Sent
    from unit.actionset.simulation.history import History

#: Pods of a phase that may run again, at most.
MOST_RUNS = 3
OVER = (State.COMPLETE, State.FAILED)


def runs_once(history: History, life: Life) -> str:
    """A phase runs once, unless it is repeatable and something else has ended it."""
    program = life.program
    before = history.runs.get((program.token, program.phase), [])
    wanted, index = history.cluster.author.of_token(program.token)
    named = f"{program.token} {program.phase}"
    if not before:
        return ""
    if program.phase not in wanted.plans[index].repeatable:
        return f"{named} runs twice"
    if len(before) >= MOST_RUNS:
        return f"{named} runs for the {len(before) + 1}. time"
    ended = before[-1].code not in (0, None) or before[-1].pod["metadata"]["uid"] in (
        history.disturbed
    )
    unheard = before[-1].code is not None and (program.token, program.phase) in history.lost
    return "" if ended or unheard else f"{named} runs again beside or after a good run"


def comes_in_order(history: History, life: Life) -> str:
    """A phase runs after those before it are stored as complete; a deferPhase after all."""
    program = life.program
    wanted, index = history.cluster.author.of_token(program.token)
    obj = history.action_set(wanted.uid)
    named = f"{program.token} {program.phase}"
    if obj is None:
        return f"{named} runs without an ActionSet"
    action = obj["status"]["actions"][index]
    before: list[str] = []
    for phase in action["phases"]:
        if phase["name"] == program.phase:
            break
        before.append(phase["state"])
    if program.phase == DEFER:
        over = State.FAILED in before or all(state == State.COMPLETE for state in before)
        return "" if over else f"{named} runs after {before}"
    return "" if all(state == State.COMPLETE for state in before) else f"{named}: {before}"


def is_as_it_was_frozen(history: History, life: Life) -> str:
    """All phases of an action are of one version of the Blueprint, and get what was put out."""
    program = life.program
    runs = [
        run for (token, _), some in history.runs.items() if token == program.token for run in some
    ]
    versions = {run.program.version for run in runs} | {program.version}
    if len(versions - {""}) > 1:
        return f"{program.token} {program.phase} is of another version"
    given = life.pod["spec"]["containers"][0]["command"][5:]
    said = {run.program.said for run in runs if run.code == 0}
    return "" if set(given) <= said else f"{program.token} {program.phase} is given {given}"


def is_known_before(history: History, life: Life) -> str:
    """What another process could not find again runs once it is stored that it may have."""
    program = life.program
    wanted, index = history.cluster.author.of_token(program.token)
    plan, obj = wanted.plans[index], history.action_set(wanted.uid)
    if obj is None or plan.all[program.phase] in (works.TASK, works.CONTAINERS):
        return ""
    memos = memo.parse((obj["metadata"].get("annotations") or {}).get(ANNOTATION_MEMO, ""))
    number = memo.DEFER if program.phase == DEFER else plan.names.index(program.phase)
    entry = memos.get(memo.Position(index, number))
    stored = entry.memo.get("attempt", 1) if entry is not None and entry.memo else 0
    runs = len(history.runs.get((program.token, program.phase), ()))
    if plan.all[program.phase] == works.COMMAND and stored <= runs:
        return f"{program.token} {program.phase} runs for the {runs + 1}. time, {stored} stored"
    return "" if stored else f"{program.token} {program.phase} runs, and nothing is stored"


AT_A_START: tuple[Callable[[History, Life], str], ...] = (
    runs_once,
    comes_in_order,
    is_as_it_was_frozen,
    is_known_before,
)


def is_well_formed(_history: History, change: Change) -> str:
    """A status is as Kanister's readers expect it."""
    status = (change.new or {}).get("status") or {}
    if change.new is None or not status.get("actions"):
        return ""
    return "; ".join(violations(status, actions=len(change.new["spec"]["actions"])))


def goes_forward(_history: History, change: Change) -> str:
    """What is over stays as it is."""
    if change.new is None or change.old is None:
        return ""
    before, after = change.old.get("status") or {}, change.new.get("status") or {}
    if before.get("state") in OVER and before != after:
        return f"{before} became {after}"
    for old, new in zip(_phases(before), _phases(after), strict=False):
        if old["state"] in OVER and old != new:
            return f"{old} became {new}"
        if old["state"] == State.RUNNING and new["state"] == State.PENDING:
            return f"{old} became {new}"
    return ""


def tells_what_ran(history: History, change: Change) -> str:
    """A phase is complete if its program was, with what that put out; failed if it was not."""
    if change.new is None:
        return ""
    wanted = history.cluster.author.wanted.get(change.new["metadata"]["uid"])
    if wanted is None:
        return ""
    status = change.new.get("status") or {}
    for token, action in zip(wanted.tokens, status.get("actions") or (), strict=False):
        for phase in phases_of(action):
            complaint = _tells_what_ran(history, wanted, token, phase)
            if complaint:
                return complaint
    return ""


def goes_when_it_is_over(_history: History, change: Change) -> str:
    """An ActionSet that has begun is gone no sooner than it has ended, deferPhases too."""
    if change.new is not None:
        return ""
    status = change.obj.get("status") or {}
    begun = bool(status.get("actions"))
    return "" if not begun or status["state"] in OVER else f"it was {status['state']}"


AT_A_CHANGE: tuple[Callable[[History, Change], str], ...] = (
    is_well_formed,
    goes_forward,
    tells_what_ran,
    goes_when_it_is_over,
)


def keeps_what_is_not_stored(history: History, sent: Sent) -> str:
    """A pod goes once its result is stored, or is wanted no more; its finalizer goes then too."""
    if sent.resource != resources.PODS or sent.verb not in ("delete", "patch"):
        return ""
    pod = history.cluster.api.find(resources.PODS, sent.namespace, sent.name)
    if pod is None:
        return ""
    if not is_of_phase(pod):
        return f"{sent.verb} of the pod {sent.name}, which is none of ours"
    program = program_of(pod)
    wanted, index = history.cluster.author.of_token(program.token)
    obj = history.action_set(wanted.uid)
    if obj is None or _state(obj, index, program.phase) in OVER:
        return ""
    repeats = program.phase in wanted.plans[index].repeatable
    ends_early = wanted.timeout or "deletionTimestamp" in obj["metadata"]
    if (repeats and pod["metadata"]["uid"] in history.disturbed) or (
        sent.verb == "delete" and ends_early
    ):
        return ""
    return f"{sent.verb} of the pod of {program.token} {program.phase}, which is not over"


def keeps_secrets(history: History, sent: Sent) -> str:
    """No value of a Secret is written but into the command that has it."""
    if sent.resource == resources.PODS:
        return ""
    texts = [json.dumps(sent.body)]
    if sent.resource == resources.SECRETS:
        texts += [
            base64.b64decode(value).decode() for value in (sent.body.get("data") or {}).values()
        ]
    return confidential_in(history, " ".join(texts))


def leaves_alone_what_is_over(history: History, sent: Sent) -> str:
    """Nothing is written to an ActionSet that has ended and that is let go of."""
    if (sent.resource, sent.verb) != (ACTION_SETS, "patch"):
        return ""
    obj = history.cluster.api.find(ACTION_SETS, sent.namespace, sent.name)
    if obj is None or obj["metadata"].get("finalizers"):
        return ""
    meant = sent.body["metadata"].get("uid")
    current = sent.body["metadata"].get("resourceVersion") == obj["metadata"]["resourceVersion"]
    over = (obj.get("status") or {}).get("state") in OVER
    same = meant == obj["metadata"]["uid"] and current
    return f"{sent.name} is written again" if over and same else ""


OF_EACH_REQUEST: tuple[Callable[[History, Sent], str], ...] = (
    keeps_what_is_not_stored,
    keeps_secrets,
    leaves_alone_what_is_over,
)


def confidential_in(history: History, text: str) -> str:
    """Return what a text holds of Secrets."""
    return ", ".join(one for one in sorted(history.cluster.author.confidential) if one in text)


def _tells_what_ran(history: History, wanted: Wanted, token: str, phase: Object) -> str:
    name = phase["name"]
    named = f"{token} {name}"
    plan = wanted.plans[wanted.tokens.index(token)]
    life, lost = history.last(token, name), (token, name) in history.lost
    if phase["state"] == State.COMPLETE:
        if life is None or life.code != 0:
            return f"{named} is complete, but its program is not"
        if lost and plan.all[name] == works.COMMAND and name not in plan.repeatable:
            return f"{named} is complete, and nobody has heard that"
        said = str((phase.get("output") or {}).get(plan.work(name).output))
        if said != life.program.said:
            return f"{named} has {phase.get('output')}"
        return _not_scaled(history, token, name) if plan.all[name] == works.SCALE else ""
    excused = wanted.timeout or lost or wanted.uid in history.excused
    if phase["state"] == State.FAILED and not excused and (life is None or life.code in (0, None)):
        return f"{named} has failed, but its program has not"
    return ""


def _not_scaled(history: History, token: str, phase: str) -> str:
    """Return what a workload lacks whose phase is just complete; later it may lose a pod."""
    name = works.object_name(works.SCALED, token, phase)
    if (token, phase) in history.scaled:
        return ""
    history.scaled.add((token, phase))
    pods = [
        pod
        for pod in history.cluster.api.list(resources.PODS)
        if (pod["metadata"].get("labels") or {}).get("app") == name
    ]
    return "" if len(pods) == works.WANTED else f"{name} has {len(pods)} pods"


def _state(obj: Object, index: int, phase: str) -> str:
    action = obj["status"]["actions"][index]
    return next((one["state"] for one in phases_of(action) if one["name"] == phase), "")


def _phases(status: Object) -> Iterator[Object]:
    for action in status.get("actions") or ():
        yield from phases_of(action)


def has_our_finalizer(pod: Object) -> bool:
    """Return whether a pod is kept by us."""
    return FINALIZER_RESULT in (pod["metadata"].get("finalizers") or ())


def is_of_phase(pod: Object) -> bool:
    """Return whether a pod is that of a phase, and not one of the application's."""
    return LABEL_UID in (pod["metadata"].get("labels") or {})
