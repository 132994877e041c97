"""A status that the API server does not take: what put too much into it fails, and it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from controller.errors import ApiError, Invalid, ServerUnavailable
from fakes.actionsets import ActionSetWorld, action, action_set, blueprint, phase
from reconcilers.actionset.api import ACTION_SETS
from reconcilers.actionset.status.invariants import violations
from reconcilers.actionset.templates.errors import RendererUnavailable

if TYPE_CHECKING:
    from controller.resource import Object, Resource

LARGE = "x" * 3000
ROOM = 4000

TOO_LARGE = (
    "its result cannot be stored: the ActionSet would be larger than the API server takes; put out"
    " less, and store what is large elsewhere"
)

#: As the API server and etcd say it.
ANSWERS = [
    pytest.param(
        ServerUnavailable(500, "", "etcdserver: request is too large"), TOO_LARGE, id="by etcd"
    ),
    pytest.param(
        ServerUnavailable(
            500,
            "",
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max"
            " (2100000 vs. 2097152)",
        ),
        TOO_LARGE,
        id="by etcd's client",
    ),
    pytest.param(
        ApiError(413, "RequestEntityTooLarge", "limit is 3145728"), TOO_LARGE, id="as a request"
    ),
    pytest.param(
        Invalid(422, "Invalid", 'metadata.annotations: Too long: may not be more than 262144: "x"'),
        "its result cannot be stored: the API server calls these fields wrong:"
        " metadata.annotations; put out less, and store what is large elsewhere",
        id="the annotations",
    ),
]


def refuse_large(world: ActionSetWorld, error: Exception) -> None:
    def admit(resource: Resource, obj: Object) -> None:
        if resource is ACTION_SETS and len(json.dumps(obj)) > ROOM:
            raise error

    world.api.admission = admit


@pytest.mark.parametrize(("error", "message"), ANSWERS)
def test_a_phase_that_puts_out_too_much_fails_and_the_defer_phase_runs(
    error: Exception, message: str
) -> None:
    phases = [phase("first", say="a"), phase("dump", say=LARGE), phase("never")]
    plan = blueprint(backup={"phases": phases, "deferPhase": phase("last", say="b")})
    world = ActionSetWorld(plan=plan)
    refuse_large(world, error)

    world.run()

    assert world.phases() == ["first complete", "dump failed", "never pending", "last complete"]
    assert world.error() == f"action backup, phase dump: {message}"
    assert violations(world.status(), actions=1) == []
    assert f"Warning ActionSetFailed Action: backup: dump: {message}" in world.recorder.lines()
    assert "Normal Ended Phase: Completed phase dump" not in world.recorder.lines()
    assert world.pod_names() == []
    failed = {"function": "Pod", "result": "failed"}
    assert world.registry.get_sample_value("actionset_phases_total", failed) == 1


def test_of_two_that_end_at_once_the_larger_one_fails() -> None:
    plan = blueprint(
        backup={"phases": [phase("dump", say=LARGE)]}, other={"phases": [phase("dump", say="a")]}
    )
    world = ActionSetWorld(action_set(action(), action("other")), plan)
    refuse_large(world, ServerUnavailable(500, "", "etcdserver: request is too large"))

    world.run()

    assert (world.phases(0), world.phases(1)) == (["dump failed"], ["dump complete"])
    assert world.error() == f"action backup, phase dump: {TOO_LARGE}"
    assert world.recorder.lines().count("Normal Ended Phase: Completed phase dump") == 1


def test_artifacts_that_are_too_large_fail_with_the_phase_that_they_are_stored_with() -> None:
    artifacts = {"out": {"keyValue": {"path": "{{ .Phases.dump.Output.said }}" * 2}}}
    plan = blueprint(
        backup={"phases": [phase("dump", say="y" * 1500)], "outputArtifacts": artifacts}
    )
    world = ActionSetWorld(plan=plan)
    refuse_large(world, ServerUnavailable(500, "", "etcdserver: request is too large"))

    world.run()

    assert world.phases() == ["dump failed"]
    assert "artifacts" not in world.status()["actions"][0]


def test_artifacts_that_are_rendered_later_fail_alone() -> None:
    artifacts = {"out": {"keyValue": {"path": "{{ .Phases.dump.Output.said }}" * 2}}}
    plan = blueprint(
        backup={"phases": [phase("dump", say="y" * 1500)], "outputArtifacts": artifacts}
    )
    world = ActionSetWorld(plan=plan)
    refuse_large(world, ServerUnavailable(500, "", "etcdserver: request is too large"))
    world.parameters.failures = [None, None, RendererUnavailable("it does not start")]

    world.run()

    assert world.phases() == ["dump complete"]
    assert (world.state(), world.error()) == (
        "failed",
        f"action backup, output artifacts: {TOO_LARGE}",
    )
    assert "artifacts" not in world.status()["actions"][0]


def test_an_api_server_that_is_away_is_no_reason() -> None:
    world = ActionSetWorld()
    world.reconcile()
    world.end_pods()
    world.api.admission = _away

    with pytest.raises(ServerUnavailable):
        world.reconcile()
    world.api.admission = lambda *_: None
    world.run()

    assert world.state() == "complete"


def _away(_resource: Resource, _obj: Object) -> None:
    raise ServerUnavailable(503, "", "etcdserver: leader changed")
