"""What holds in the end, once nothing is amiss any more and all has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.simulation.actionsets.author import DEFER
from fakes.simulation.actionsets.programs import program_of
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, LABEL_UID, State
from reconcilers.actionset.status.document import has_succeeded, is_over, phases_of
from unit.actionset.simulation.invariants import has_our_finalizer, is_of_phase

UNKNOWN = "outcome unknown"

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from unit.actionset.simulation.history import History


def all_have_ended(history: History) -> str:
    """Every ActionSet has ended, and nothing of ours is on it."""
    left = [
        f"{obj['metadata']['name']} is {(obj.get('status') or {}).get('state')}"
        for obj in history.cluster.api.list(ACTION_SETS)
        if not is_over(obj) or "deletionTimestamp" in obj["metadata"]
    ]
    return ", ".join(left)


def the_state_is_that_of_the_phases(history: History) -> str:
    """An ActionSet whose programs have all succeeded is complete, unless it was disturbed."""
    author = history.cluster.author
    for obj in history.cluster.api.list(ACTION_SETS):
        wanted = author.wanted[obj["metadata"]["uid"]]
        good = all(
            (life := history.last(token, name)) is not None and life.code == 0
            for token, plan in zip(wanted.tokens, wanted.plans, strict=True)
            for name in plan.names
        )
        complete = obj["status"]["state"] == State.COMPLETE
        if complete != good and not _excused(history, obj):
            return f"{obj['metadata']['name']} is {obj['status']['state']}"
    return ""


def artifacts_are_what_was_put_out(history: History) -> str:
    """The artifacts of an action that has succeeded are what its last phase has put out."""
    author = history.cluster.author
    for obj in history.cluster.api.list(ACTION_SETS):
        wanted = author.wanted[obj["metadata"]["uid"]]
        for index, action in enumerate(obj["status"].get("actions") or ()):
            plan, token = wanted.plans[index], wanted.tokens[index]
            if not plan.artifact or not has_succeeded(obj["status"], index):
                continue
            life = history.last(token, list(plan.phases)[-1])
            said = "" if life is None else life.program.said
            found = action.get("artifacts")
            if found is None and obj["status"]["state"] == State.FAILED and _excused(history, obj):
                # They could not be rendered for want of a right.
                continue
            if found != {"data": {"keyValue": {"path": said}}}:
                return f"{token} has {found} in place of {said}"
    return ""


def every_defer_phase_has_run(history: History) -> str:
    """Where a phase has run, the deferPhase has, unless something was in its way."""
    author = history.cluster.author
    for wanted in author.wanted.values():
        for token, plan in zip(wanted.tokens, wanted.plans, strict=True):
            begun = any(history.last(token, name) for name in plan.phases)
            ran = history.last(token, DEFER) is not None
            excused = wanted.timeout or wanted.uid in history.excused
            excused = excused or (token, DEFER) in history.lost
            if plan.deferred and begun and not ran and not excused:
                return f"that of {token} has not"
    return ""


def no_pod_is_left(history: History) -> str:
    """No pod is left but those of failed phases that were to stay, without our finalizer.

    Where the engine lacks a right for long, it says what it leaves behind.
    """
    for pod in filter(is_of_phase, history.cluster.api.list(resources.PODS)):
        program = program_of(pod)
        wanted, _ = history.cluster.author.of_token(program.token)
        life = history.last(program.token, program.phase)
        named = f"the pod of {program.token} {program.phase}"
        if wanted.uid in history.powerless:
            continue
        if has_our_finalizer(pod):
            return f"{named} has our finalizer"
        if not wanted.keeps_failed or (life is not None and life.code == 0):
            return f"{named} is left"
    return ""


def no_frozen_secret_is_left(history: History) -> str:
    """What an ActionSet worked with is gone, unless the right to Secrets was away for long."""
    names = [
        obj["metadata"]["name"]
        for obj in history.cluster.api.list(resources.SECRETS)
        if obj["metadata"]["name"].startswith("actionset-")
        and obj["metadata"]["labels"][LABEL_UID] not in history.untidy
    ]
    return ", ".join(names)


def what_nobody_knows_is_said(history: History) -> str:
    """A phase that has failed since nobody knows what came of it says so."""
    for obj in history.cluster.api.list(ACTION_SETS):
        wanted = history.cluster.author.wanted[obj["metadata"]["uid"]]
        failed = [
            (token, phase["name"])
            for token, action in zip(
                wanted.tokens, obj["status"].get("actions") or (), strict=False
            )
            for phase in phases_of(action)
            if phase["state"] == State.FAILED
        ]
        if _excused(history, obj, lost=False) or len(failed) != 1:
            continue
        life = history.last(*failed[0])
        unknown = failed[0] in history.lost and (life is None or life.code == 0)
        message = obj["status"]["error"]["message"]
        if unknown and UNKNOWN not in message:
            return f"{obj['metadata']['name']} says {message}"
    return ""


def _excused(history: History, obj: Object, *, lost: bool = True) -> bool:
    """Return whether an ActionSet may have failed though its programs have not.

    Args:
        history: Where.
        obj: The ActionSet.
        lost: Whether that counts of which nobody knows what came of it.
    """
    uid = obj["metadata"]["uid"]
    wanted = history.cluster.author.wanted[uid]
    unknown = lost and any(token in wanted.tokens for token, _ in history.lost)
    return unknown or wanted.timeout or uid in history.excused


IN_THE_END: tuple[Callable[[History], str], ...] = (
    all_have_ended,
    the_state_is_that_of_the_phases,
    artifacts_are_what_was_put_out,
    every_defer_phase_has_run,
    no_pod_is_left,
    no_frozen_secret_is_left,
    what_nobody_knows_is_said,
)
