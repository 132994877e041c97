"""What Prometheus sees of ActionSets: their states, the age of the last backup, and phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from fakes.actionsets import ActionSetWorld, action, action_set, blueprint, phase
from reconcilers.actionset.informers import trim_action_set
from reconcilers.actionset.status.metrics import ActionSetCollector

if TYPE_CHECKING:
    from controller.resource import Object


def obj(state: str, ended: str = "", *actions: Object) -> Object:
    found = action_set()
    if state:
        progress = {"lastTransitionTime": ended} if ended else {}
        found["status"] = {"state": state, "actions": list(actions), "progress": progress}
    return found


def registry_of(*action_sets: Object) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(ActionSetCollector(lambda: list(action_sets)))
    return registry


def test_actionsets_are_counted_by_state_and_a_state_without_any_is_0() -> None:
    registry = registry_of(obj("running"), obj("running"), obj("complete"), obj(""))

    counts = {
        state: registry.get_sample_value(
            "actionset_action_sets", {"namespace": "kanister", "state": state}
        )
        for state in ("new", "pending", "running", "complete", "failed")
    }
    assert counts == {"new": 1, "pending": 0, "running": 2, "complete": 1, "failed": 0}


def test_the_last_success_is_the_latest_and_a_failure_is_none() -> None:
    registry = registry_of(
        obj("complete", "2026-01-01T00:00:00Z", action()),
        obj("complete", "2026-01-03T00:00:00Z", action(), action("delete")),
        obj("failed", "2026-01-09T00:00:00Z", action()),
        obj("complete", "2026-01-02T00:00:00Z", action()),
    )

    labels = {"blueprint": "db", "namespace": "app", "object": "statefulset/db"}
    name = "actionset_last_success_timestamp_seconds"
    last = {
        one: registry.get_sample_value(name, {**labels, "action": one})
        for one in ("backup", "delete", "restore")
    }
    assert last == {"backup": 1767398400, "delete": 1767398400, "restore": None}


def test_an_object_that_is_named_by_its_resource_keeps_its_series_once_trimmed() -> None:
    target = {"apiVersion": "v1", "resource": "configmaps", "namespace": "app", "name": "db"}
    found = obj("complete", "2026-01-01T00:00:00Z", action(object=target))
    labels = {"blueprint": "db", "action": "backup", "namespace": "app", "object": "configmaps/db"}

    registry = registry_of(trim_action_set(found))

    name = "actionset_last_success_timestamp_seconds"
    assert registry.get_sample_value(name, labels) == 1767225600


@pytest.mark.parametrize(("fail", "result"), [("", "complete"), ("no room", "failed")])
def test_phases_are_counted_and_timed_by_function_and_result(fail: str, result: str) -> None:
    plan = blueprint(backup={"phases": [phase("dump"), phase("a", "Step", fail=fail)]})
    world = ActionSetWorld(plan=plan)
    world.reconcile()
    world.clock.step(20)
    world.run()

    def sample(name: str, function: str, outcome: str) -> float | None:
        labels = {"function": function, "result": outcome}
        return world.registry.get_sample_value(f"actionset_{name}", labels)

    assert sample("phases_total", "Pod", "complete") == 1
    assert sample("phase_duration_seconds_sum", "Pod", "complete") == 20
    assert sample("phases_total", "Step", result) == 1


def test_a_second_collector_of_the_same_families_is_noticed() -> None:
    registry = registry_of()

    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry.register(ActionSetCollector(list))
