"""The engine is killed at every request, before it and after it: nothing is lost or done twice."""

from __future__ import annotations

import pytest

from fakes.actionsets import ActionSetWorld, action, action_set, blueprint, phase
from fakes.killing import Killed, KillingClient
from reconcilers.actionset.status.invariants import violations

PLAN = blueprint(
    backup={
        "phases": [phase("scale", "Step"), phase("dump", say="{{ .Phases.scale.Output.before }}")],
        "deferPhase": phase("back", "Step"),
        "outputArtifacts": {"dump": {"keyValue": {"path": "{{ .Phases.dump.Output.said }}"}}},
    },
    broken={
        "phases": [phase("first"), phase("fails", "Step", fail="no room"), phase("never")],
        "deferPhase": phase("last"),
    },
)


def world_of(client: KillingClient) -> ActionSetWorld:
    return ActionSetWorld(action_set(action("backup"), action("broken")), PLAN, client=client)


def phase_effects(client: KillingClient) -> list[str]:
    """Return what phases did, without what belongs to the engine itself."""
    ours = ("actionsets", "secrets")
    return sorted(one for one in client.effects if not any(name in one for name in ours))


UNHARMED = KillingClient()
EXPECTED = world_of(UNHARMED)
EXPECTED.run()


def test_the_run_that_all_others_are_compared_with_is_what_it_should_be() -> None:
    assert (EXPECTED.phases(0), EXPECTED.phases(1)) == (
        ["scale complete", "dump complete", "back complete"],
        ["first complete", "fails failed", "never pending", "last complete"],
    )
    assert EXPECTED.status()["actions"][0]["artifacts"] == {
        "dump": {"keyValue": {"path": "nobody"}}
    }
    assert phase_effects(UNHARMED) == [
        "create pods 5a1e-0-dump",
        "create pods 5a1e-1-first",
        "create pods 5a1e-1-last",
        "patch configmaps scale",
        "patch configmaps scale",
    ]


@pytest.mark.parametrize("reaches", [False, True], ids=["before it", "before its answer"])
@pytest.mark.parametrize("kill_at", range(UNHARMED.count))
def test_killed_at_a_request_the_next_process_brings_it_to_the_same_end(
    kill_at: int, *, reaches: bool
) -> None:
    client = KillingClient(kill_at=kill_at, reaches=reaches)
    world = world_of(client)

    with pytest.raises(Killed):
        world.run()
    world.restart()
    world.run()

    assert world.status() == EXPECTED.status()
    assert violations(world.status(), actions=2) == []
    assert phase_effects(client) == phase_effects(UNHARMED)
    assert world.pod_names() == [], "no pod is left behind"
    assert world.stored()["metadata"]["finalizers"] == []
    assert "secrets" not in [
        resource.plural for resource, store in client.stores.items() if len(store)
    ]


def test_killed_before_every_reconcile_it_comes_to_the_same_end() -> None:
    client = KillingClient()
    world = world_of(client)

    world.run(restart=True)

    assert world.status() == EXPECTED.status()
    assert phase_effects(client) == phase_effects(UNHARMED)
