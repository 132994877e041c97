"""Deletion and time limits: what runs is ended, the deferPhase has its turn, nothing hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import Forbidden, TransportError
from fakes.actionsets import UID, ActionSetWorld, PodFunction, action_set, blueprint, phase
from fakes.apiclient import Action
from reconcilers.actionset.api import ACTION_SETS, FINALIZER_RUNNING
from reconcilers.actionset.engine.limits import CANCEL_SECONDS, DEFER_SECONDS
from reconcilers.actionset.engine.refusals import PATIENCE_SECONDS
from reconcilers.actionset.function import PhaseRun, Running, Step
from reconcilers.resources import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = blueprint(
    backup={"phases": [phase("a"), phase("b")], "deferPhase": phase("last")},
)
DELETED = "the ActionSet was deleted before the phase had ended"


def test_a_deletion_ends_the_phase_that_runs_and_no_later_one_begins_but_the_defer_phase() -> None:
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()

    world.delete()
    world.reconcile()
    meanwhile = world.phases()
    world.end_pods()
    world.reconcile()

    assert meanwhile == ["a failed", "b pending", "last running"]
    assert world.phases() == ["a failed", "b pending", "last complete"]
    assert (world.state(), world.error()) == ("failed", f"action backup, phase a: {DELETED}")
    assert world.pod_names() == []
    assert world.stored()["metadata"]["finalizers"] == [], "the API server lets it go now"


def test_a_deletion_between_two_phases_begins_none() -> None:
    world = ActionSetWorld(plan=blueprint(backup={"phases": [phase("a"), phase("b")]}))
    world.reconcile()
    world.end_pods()
    world.delete()
    world.reconcile()

    assert world.phases() == ["a failed", "b pending"]
    assert "create pods 5a1e-0-b" not in world.taken()


def test_one_that_is_deleted_before_it_has_begun_is_let_go() -> None:
    world = ActionSetWorld()
    world.edit({"metadata": {"finalizers": [FINALIZER_RUNNING, "other"]}})
    world.delete()

    world.reconcile()

    assert world.stored()["metadata"]["finalizers"] == ["other"]
    assert world.state() == ""


def test_a_defer_phase_of_a_deleted_actionset_does_not_take_for_ever() -> None:
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    world.delete()
    world.reconcile()
    world.clock.step(DEFER_SECONDS - 1)
    left = world.reconcile().requeue_after
    world.clock.step(1)
    world.reconcile()

    assert left == 1

    assert world.phases() == ["a failed", "b pending", "last failed"]
    assert "the 600 s that a deferPhase has once its ActionSet is deleted" in world.error()
    assert world.stored()["metadata"]["finalizers"] == []


def test_a_phase_that_runs_longer_than_its_limit_is_ended_and_its_action_fails() -> None:
    world = ActionSetWorld(action_set(timeout="a=30m"), PLAN)

    left = world.reconcile().requeue_after
    world.clock.step(1800)
    world.run()

    assert left == 10, "it is looked at earlier: to say what it waits for"
    assert world.phases() == ["a failed", "b pending", "last complete"]
    assert world.error() == (
        "action backup, phase a: it ran longer than 1800 s (annotation"
        " actionset.cr.kanister.io/timeout) and was ended"
    )


def test_a_phase_that_has_succeeded_while_no_engine_ran_is_complete_however_late_that_is_seen() -> (
    None
):
    world = ActionSetWorld(action_set(timeout="30m"), PLAN)
    world.reconcile()
    world.end_pods()
    world.clock.step(7200)
    world.restart()

    world.reconcile()

    assert world.phases()[0] == "a complete"


def test_the_limit_begins_with_the_phase_and_survives_a_restart() -> None:
    world = ActionSetWorld(action_set(timeout="30m"), PLAN)
    world.reconcile()
    world.clock.step(1799)
    world.restart()

    world.reconcile()
    before = world.phases()[0]
    world.clock.step(1)
    world.reconcile()

    assert (before, world.phases()[0]) == ("a running", "a failed")


def test_what_was_ended_by_its_limit_says_so_and_not_by_which_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = ActionSetWorld(action_set(timeout="30m"), PLAN)
    world.reconcile()
    world.clock.step(1800)
    with monkeypatch.context() as patched:
        patched.setattr(PodFunction, "cancel", lambda *_: Running(waits_for="its end"))
        world.reconcile()
    meanwhile = world.phases()[0]
    world.restart()
    world.end_pods("ended by signal 15, after somebody has deleted the pod")

    world.reconcile()

    assert meanwhile == "a running"
    assert world.error().endswith("/timeout) and was ended")


def test_what_could_not_be_begun_within_its_limit_is_not_begun_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = ActionSetWorld(action_set(timeout="30s"), PLAN)
    with monkeypatch.context() as patched:
        patched.setattr(PodFunction, "advance", refuses)
        world.reconcile()
    world.clock.step(30)
    world.taken()

    world.reconcile()

    assert world.phases()[0] == "a failed"
    assert "create pods 5a1e-0-a" not in world.taken()


def test_a_repeatable_phase_is_not_run_again_once_its_limit_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []
    advance = PodFunction.advance

    def watched(function: PodFunction, run: PhaseRun, arguments: Any) -> Step:
        seen.append(run.repeatable)
        return advance(function, run, arguments)

    monkeypatch.setattr(PodFunction, "advance", watched)
    world = ActionSetWorld(action_set(timeout="a=30m", repeatable="a"), PLAN)
    world.reconcile()
    before = set(seen)
    seen.clear()
    world.clock.step(1800)

    world.reconcile()

    assert (before, seen[0]) == ({True}, False)


def refuses(_function: PodFunction, _run: PhaseRun, _arguments: Any) -> Step:
    """Stand for a function that may not do what it has to."""
    raise Forbidden(403, "Forbidden", "pods is forbidden")


def test_what_does_not_end_is_given_up_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def stays(_function: PodFunction, _run: PhaseRun) -> Step:
        return Running(waits_for="node x is away")

    monkeypatch.setattr(PodFunction, "cancel", stays)
    world = ActionSetWorld(plan=blueprint(backup={"phases": [phase("a")]}))
    world.reconcile()
    world.delete()
    world.reconcile()
    before = world.state()

    world.clock.step(CANCEL_SECONDS)
    world.reconcile()

    assert before == "running"
    assert world.error().endswith(
        f"{DELETED}; what is left of it has not ended for 600 s: node x is away"
    )
    (stored,) = world.status()["actions"][0]["phases"]
    assert stored["output"] == {"pod": "5a1e-0-a"}, "what it has put out so far"
    assert world.stored()["metadata"]["finalizers"] == []


def test_of_one_that_is_gone_the_pods_are_swept_up() -> None:
    world = ActionSetWorld()
    world.reconcile()
    world.api.drop(ACTION_SETS, "kanister", "backup-x7k2p")
    world.taken()

    world.reconcile()

    assert [request.name for request in world.pods.swept] == ["backup-x7k2p"]
    assert world.taken() == []


def test_of_a_phase_whose_end_is_refused_for_too_long_the_outputs_so_far_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody could delete the backups that it has made otherwise."""

    def refused(_function: PodFunction, _run: PhaseRun) -> Step:
        raise Forbidden(403, "Forbidden", "pods is forbidden")

    monkeypatch.setattr(PodFunction, "cancel", refused)
    world = ActionSetWorld(plan=blueprint(backup={"phases": [phase("a")]}))
    world.reconcile()
    world.delete()
    world.reconcile()
    world.clock.step(PATIENCE_SECONDS)
    world.reconcile()

    (stored,) = world.status()["actions"][0]["phases"]
    assert (stored["state"], stored["output"]) == ("failed", {"pod": "5a1e-0-a"})


FROZEN = f"actionset-{UID}-0"


def collected_in_foreground(world: ActionSetWorld) -> None:
    """Delete what the ActionSet owns, as for `--cascade=foreground`."""
    for secret in world.api.store(SECRETS).list():
        if secret["metadata"].get("ownerReferences"):
            world.api.drop(SECRETS, "kanister", secret["metadata"]["name"])


def orphaned(world: ActionSetWorld) -> None:
    """Take the owner off what the ActionSet owns, as for `--cascade=orphan`."""
    for secret in world.api.store(SECRETS).list():
        metadata = {key: v for key, v in secret["metadata"].items() if key != "ownerReferences"}
        world.api.put(SECRETS, {**secret, "metadata": metadata})


@pytest.mark.parametrize("collected", [collected_in_foreground, orphaned])
@pytest.mark.parametrize("restarts", [False, True])
def test_a_defer_phase_outlives_the_garbage_collector_and_a_restart(
    collected: Callable[[ActionSetWorld], None], *, restarts: bool
) -> None:
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    world.delete()
    world.reconcile()
    collected(world)
    if restarts:
        world.restart()
    meanwhile = world.reconcile().requeue_after
    world.end_pods()
    world.reconcile()

    assert meanwhile is not None
    assert world.phases() == ["a failed", "b pending", "last complete"]
    assert world.error() == f"action backup, phase a: {DELETED}"
    assert world.is_over()
    assert world.api.store(SECRETS).list() == [], "its options may hold a password"


@pytest.mark.parametrize("at", [Action("create", "secrets", f"{FROZEN}-deleted"), None])
def test_what_a_defer_phase_needs_is_kept_by_the_next_process_as_well(at: Action | None) -> None:
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    world.delete()
    if at is not None:
        world.api.failures[at] = TransportError("killed")
        with pytest.raises(TransportError):
            world.reconcile()
        world.api.failures.clear()
    else:
        world.reconcile()
    world.restart()
    world.reconcile()
    collected_in_foreground(world)
    world.restart()
    world.end_pods()
    world.reconcile()

    assert world.phases()[-1] == "last complete"


def test_where_it_may_not_be_kept_the_defer_phase_runs_all_the_same() -> None:
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    world.delete()
    refused = Forbidden(403, "Forbidden", "exceeded quota: secrets")
    world.api.failures[Action("create", "secrets", f"{FROZEN}-deleted")] = refused
    world.run()

    assert world.phases()[-1] == "last complete"


def test_what_somebody_else_has_put_in_its_place_is_made_anew() -> None:
    """It would decide what the deferPhase runs."""
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    evil = {"metadata": {"namespace": "kanister", "name": f"{FROZEN}-deleted"}, "data": {"x": ""}}
    world.api.put(SECRETS, evil)
    world.delete()
    world.reconcile()

    kept = world.api.store(SECRETS).get("kanister", f"{FROZEN}-deleted")
    assert kept is not None
    assert "action.json" in kept["data"]


def test_nothing_is_kept_where_no_defer_phase_needs_it() -> None:
    world = ActionSetWorld(plan=blueprint(backup={"phases": [phase("a"), phase("b")]}))
    world.reconcile()
    world.delete()
    world.taken()
    world.run()

    assert f"create secrets {FROZEN}-deleted" not in world.taken()


def test_of_one_that_has_ended_what_an_earlier_process_has_left_is_looked_for() -> None:
    """The pod of a phase that has failed may be kept, in the namespace of the application."""
    world = ActionSetWorld()
    world.run()
    world.restart()
    world.taken()

    world.reconcile()

    assert world.pods.looked_after == {"kanister", "app"}
    assert world.taken() == []
