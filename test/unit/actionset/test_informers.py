"""What the cache keeps of an ActionSet: all of one that runs, little of one that is over."""

from __future__ import annotations

import copy
import gc
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from controller.cache.store import Store
from controller.jsonvalue import interned
from fakes.actionsets import NAME, NAMESPACE, UID, action, action_set
from reconcilers.actionset.api import FINALIZER_RUNNING
from reconcilers.actionset.informers import trim_action_set
from reconcilers.actionset.retention import digest

if TYPE_CHECKING:
    from controller.resource import Object

ARTIFACTS = {"dump": {"keyValue": {"path": "p" * 200}}}
PHASES = [{"name": f"phase-{n}", "state": "complete", "output": {"o": "x" * 200}} for n in range(6)]


def finished(**changes: Any) -> Object:
    obj = action_set(action(options={"o": "x" * 500}), ttl="1h", memo="m")
    obj["metadata"] |= {"resourceVersion": "7", "labels": {"l": "x" * 100}, "managedFields": [{}]}
    status = {**action(), "phases": PHASES, "artifacts": ARTIFACTS}
    progress = {"lastTransitionTime": "2026-01-01T00:00:00Z", "percentCompleted": "100"}
    obj["status"] = {"state": "complete", "actions": [status], "progress": progress}
    return {**obj, **changes}


def test_of_one_that_is_over_is_kept_what_metrics_and_its_time_limit_need() -> None:
    assert trim_action_set(finished()) == {
        "apiVersion": "cr.kanister.io/v1alpha1",
        "kind": "ActionSet",
        "metadata": {
            "name": NAME,
            "namespace": NAMESPACE,
            "uid": UID,
            "resourceVersion": "7",
            "annotations": {"actionset.cr.kanister.io/ttl": "1h"},
        },
        "status": {
            "state": "complete",
            "progress": {"lastTransitionTime": "2026-01-01T00:00:00Z"},
            "actions": [action()],
        },
        "putOut": [digest(ARTIFACTS)],
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"status": {"state": "running"}}, id="it runs"),
        pytest.param({"status": {}}, id="it has not begun"),
        pytest.param(
            {"metadata": {"finalizers": [FINALIZER_RUNNING]}},
            id="it has ended, and its pods are still there",
        ),
    ],
)
def test_all_others_are_kept_whole(change: dict[str, Any]) -> None:
    obj = finished(**change)
    obj["metadata"].pop("managedFields", None)

    assert trim_action_set(copy.deepcopy(obj)) == obj


def test_ten_thousand_that_are_over_take_at_most_20_mib() -> None:
    number, limit = 2000, 2048
    store = Store()
    gc.collect()
    tracemalloc.start()
    for n in range(number):
        obj = copy.deepcopy(finished())
        obj["metadata"] |= {
            "name": f"backup-db-{n:05d}",
            "uid": f"{n:08x}-0000-4000-8000-00000000",
            "resourceVersion": str(1000000 + n),
        }
        store.add(interned(trim_action_set(obj)))
    del obj
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert taken / number < limit
