"""Which ActionSets begin, which are refused with field and fix, and which are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes.actionsets import (
    NAMESPACE,
    UID,
    ActionSetWorld,
    action,
    action_set,
    blueprint,
    phase,
)
from reconcilers import resources
from reconcilers.actionset.api import BLUEPRINTS, FINALIZER_RUNNING
from reconcilers.actionset.frozen import parse_secret

if TYPE_CHECKING:
    from controller.resource import Object

FROZEN = f"actionset-{UID}-0"
NO_BLUEPRINT = (
    f"Blueprint other is not in namespace {NAMESPACE}; a Blueprint must be where the ActionSet is"
)
BAD_TTL = (
    "annotation actionset.cr.kanister.io/ttl: 'soon' is not a duration such as 90s, 30m, 2h30m or"
    " 7d"
)
BAD_VERSION = (
    "action backup, phase dump: function Pod: 'one' is not a version, such as v1.0.0-alpha; ask"
    " for: v0.0.0"
)
NOTHING = blueprint(backup={"phases": [phase("a", "Nothing")]})


@pytest.mark.parametrize(
    ("obj", "plan", "message"),
    [
        pytest.param(
            {**action_set(), "spec": None},
            None,
            "spec.actions is empty; name at least one action",
            id="no spec: upstream says nothing",
        ),
        pytest.param(
            action_set(action("delete")),
            None,
            "Blueprint db has no action delete; it has: backup",
            id="an action that the Blueprint lacks",
        ),
        pytest.param(
            action_set(action(blueprint="other")),
            None,
            NO_BLUEPRINT,
            id="a Blueprint that is not there",
        ),
        pytest.param(
            action_set(),
            NOTHING,
            "action backup, phase a: there is no function Nothing; there are: Pod, Step",
            id="a function that is not there",
        ),
        pytest.param(
            action_set(action(preferredVersion="one")),
            None,
            BAD_VERSION,
            id="a version that is none",
        ),
        pytest.param(action_set(ttl="soon"), None, BAD_TTL, id="an annotation that cannot be read"),
        pytest.param(
            action_set(action(), action(blueprint="other")),
            None,
            NO_BLUEPRINT,
            id="the second action: upstream runs the first",
        ),
    ],
)
def test_what_cannot_run_has_failed_at_once_and_nothing_of_it_ran(
    obj: Object, plan: Object | None, message: str
) -> None:
    world = ActionSetWorld(obj, plan)

    world.reconcile()

    assert (world.state(), world.error()) == ("failed", message)
    assert world.recorder.lines() == [f"Warning ActionSetFailed: {message}"]
    assert not [line for line in world.taken() if line.startswith("create")]
    assert "finalizers" not in world.stored()["metadata"]


def test_a_blueprint_is_read_as_it_is_when_the_actionset_begins() -> None:
    """Whoever applies both at once would get the one before from a cache: they are two watches."""
    world = ActionSetWorld()

    world.reconcile()

    assert "get blueprints db" in world.taken()
    assert world.state() == "running"


def test_an_edited_blueprint_changes_nothing_for_an_actionset_that_runs() -> None:
    world = ActionSetWorld()
    world.reconcile()
    world.api.put(BLUEPRINTS, blueprint(backup={"phases": [phase("else")]}))
    world.edit({"spec": {"actions": [action(blueprint="other")]}})

    world.run(restart=True)

    assert (world.state(), world.phases()) == ("complete", ["dump complete", "upload complete"])


@pytest.mark.parametrize("state", ["pending", ""])
def test_one_that_nobody_has_claimed_begins(state: str) -> None:
    status = {"state": state, "actions": [{"name": "left by another engine"}]} if state else {}
    world = ActionSetWorld({**action_set(), "status": status})

    world.run()

    assert (world.state(), world.phases()) == ("complete", ["dump complete", "upload complete"])


def test_one_that_another_engine_runs_is_left_alone_and_told_once() -> None:
    running = {"state": "running", "actions": [{"name": "backup"}]}
    world = ActionSetWorld({**action_set(), "status": running})

    world.reconcile()
    world.reconcile()

    assert world.taken() == []
    assert [line.split(":")[0] for line in world.recorder.lines()] == ["Warning NotOurs"]


def test_what_it_began_with_is_lost_so_it_ends_as_failed_and_leaves_nothing() -> None:
    plan = blueprint(backup={"phases": [phase("a"), phase("b")], "deferPhase": phase("last")})
    world = ActionSetWorld(plan=plan)
    world.reconcile()
    world.api.drop(resources.SECRETS, NAMESPACE, FROZEN)
    world.restart()

    world.reconcile()

    assert world.phases() == ["a failed", "b pending", "last failed"]
    assert (world.state(), world.error()) == (
        "failed",
        (
            f"Secret {FROZEN}, which holds what the action began with, is gone; it cannot go on,"
            " create the ActionSet again"
        ),
    )
    assert (world.pod_names(), world.stored()["metadata"]["finalizers"]) == ([], [])


def test_a_secret_of_that_name_that_is_somebody_elses_is_no_place_for_parameters() -> None:
    world = ActionSetWorld()
    metadata = {"name": FROZEN, "namespace": NAMESPACE}
    world.api.put(resources.SECRETS, {"metadata": metadata, "immutable": True, "data": {}})

    world.reconcile()

    assert world.error() == (
        f"Secret {FROZEN} is in the way: it is not of this ActionSet; delete it, and create the"
        " ActionSet again"
    )


def test_a_cache_that_lags_behind_another_process_touches_nothing_of_one_that_runs() -> None:
    world = ActionSetWorld()
    outdated = world.stored()
    world.reconcile()
    secret = world.api.store(resources.SECRETS).get(NAMESPACE, FROZEN)
    world.taken()

    class Behind:
        def get(self, *_: Any) -> Object:
            return outdated

    world.reconciler._action_sets = Behind()  # type: ignore[assignment]  # noqa: SLF001
    result = world.reconcile()

    assert result.requeue
    assert world.api.store(resources.SECRETS).get(NAMESPACE, FROZEN) == secret
    assert not [line for line in world.taken() if line.startswith(("delete", "patch"))]


def test_finalizers_of_others_stay() -> None:
    world = ActionSetWorld()
    world.edit({"metadata": {"finalizers": ["other"]}})

    world.reconcile()
    running = world.stored()["metadata"]["finalizers"]
    for _ in range(2):
        world.end_pods()
        world.reconcile()

    assert running == ["other", FINALIZER_RUNNING]
    assert world.stored()["metadata"]["finalizers"] == ["other"]


def test_the_objects_of_a_phase_are_rendered_with_what_templates_can_name() -> None:
    """What is stored has more than that, which the renderer refuses."""
    objects = {"login": {"kind": "Secret", "name": "{{ .Options.secret }}"}}
    plan = blueprint(backup={"phases": [{**phase("dump"), "objects": objects}]})
    world = ActionSetWorld(action_set(action(options={"secret": "db-login"})), plan)

    world.reconcile()

    assert world.error() == ""
    frozen = world.api.store(resources.SECRETS).get(NAMESPACE, FROZEN)
    assert frozen is not None
    assert parse_secret(frozen, world.stored()).objects == {
        "dump": {"login": {"kind": "Secret", "name": "db-login"}}
    }


def test_a_phase_that_an_annotation_names_and_no_action_has_is_told() -> None:
    annotations = {"timeout": "dump=2h,verfy=10m", "repeatable": "upload,*,again"}
    world = ActionSetWorld(action_set(**annotations))

    world.run()

    assert world.state() == "complete"
    (warning,) = world.recorder.warnings()
    assert warning == (
        "Warning Warning: the annotations timeout and repeatable name phases that no action has:"
        " again, verfy; correct their names"
    )


def test_all_phases_are_no_unknown_one() -> None:
    world = ActionSetWorld(action_set(timeout="dump=2h", repeatable="*"))

    world.run()

    assert world.recorder.warnings() == []
