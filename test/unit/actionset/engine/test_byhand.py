"""What somebody has changed by hand: nothing of the ActionSet is left, and it can be deleted."""

from __future__ import annotations

import json

import pytest

from fakes.actionsets import ActionSetWorld, blueprint, phase
from reconcilers import resources
from reconcilers.actionset.api import ANNOTATION_MEMO
from reconcilers.actionset.parameters.lookup import RightMissing

PLAN = blueprint(backup={"phases": [phase("a"), phase("b")]})
RIGHT = RightMissing(verb="get", resource="secrets", namespace="app", field="f")


def with_artifacts() -> ActionSetWorld:
    artifacts = {"dump": {"keyValue": {"path": "x"}}}
    return ActionSetWorld(
        plan=blueprint(backup={"phases": [phase("a")], "outputArtifacts": artifacts})
    )


@pytest.mark.parametrize("state", ["failed", "complete"])
def test_a_state_that_ends_it_ends_what_runs(state: str) -> None:
    """As users of Kanister end one that would stay `running` for ever."""
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    world.edit({"status": {"state": state}})

    world.reconcile()

    assert world.is_over()
    assert world.pod_names() == []
    assert ANNOTATION_MEMO not in world.stored()["metadata"]["annotations"]


def test_artifacts_that_were_not_rendered_when_its_secret_is_gone() -> None:
    world = with_artifacts()
    world.reconcile()
    world.end_pods()
    world.parameters.failures = [RIGHT] * 9
    world.reconcile()
    for secret in world.api.store(resources.SECRETS).list():
        metadata = secret["metadata"]
        world.api.drop(resources.SECRETS, metadata["namespace"], metadata["name"])
    world.restart()

    world.reconcile()

    assert world.is_over()
    assert "is gone; it cannot go on" in world.error()
    assert "artifacts" not in world.status()["actions"][0], "a template is none"


@pytest.mark.parametrize("over", ["", "failed"])
def test_a_memo_of_a_phase_that_there_is_not(over: str) -> None:
    world = ActionSetWorld(plan=PLAN)
    world.reconcile()
    annotations = world.stored()["metadata"]["annotations"]
    entries = json.loads(annotations[ANNOTATION_MEMO])
    entries["7/0"] = {**entries["0/0"], "over": over}
    world.edit({"metadata": {"annotations": {ANNOTATION_MEMO: json.dumps(entries)}}})

    world.run()

    assert world.state() == "complete"
