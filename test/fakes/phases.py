"""Phases of ActionSets, and the pods that a kubelet makes of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from controller.clock import Deadline
from controller.reconcile import Request
from fakes.clock import FakeClock
from reconcilers.actionset.api import Action, ObjectReference
from reconcilers.actionset.function import PhaseRun
from reconcilers.actionset.phases import names
from reconcilers.actionset.phases.model import PhasePod

Object = dict[str, Any]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OWN, APP = "kanister", "shop"
REQUEST = Request(OWN, "backup-1")
ACTION_SET: Object = {
    "apiVersion": "cr.kanister.io/v1alpha1",
    "kind": "ActionSet",
    "metadata": {"namespace": OWN, "name": "backup-1", "uid": "uid-of-actionset"},
}
ACTION = Action(
    index=0,
    name="backup",
    blueprint="postgres",
    object=ObjectReference("db", APP, "statefulset"),
)


def phase_run(clock: FakeClock | None = None, **changes: Any) -> PhaseRun:
    """Return a phase; by keyword what is different of it, or of its action."""
    of_action = {name: changes.pop(name) for name in list(changes) if hasattr(ACTION, name)}
    run = PhaseRun(
        request=REQUEST,
        action_set=ACTION_SET,
        action=evolve(ACTION, **of_action),
        phase="dump",
        deferred=False,
        parameters={},
        memo={},
        started_at=NOW,
        repeatable=False,
        keep_failed_pod=False,
        deadline=Deadline.after(clock or FakeClock(), 120.0),
    )
    return evolve(run, **changes)


def wanted(**changes: Any) -> PhasePod:
    """Return the pod that a function wants; by keyword what is different of it."""
    containers = [{"name": "container", "image": "tools:1", "command": ["dump"]}]
    pod = PhasePod(namespace=APP, spec={"containers": containers}, main="container")
    return evolve(pod, **changes)


def made(*, containers: tuple[str, ...] = ("container",), **status: Any) -> Object:
    """Return the pod of `phase_run`, as the API server has it."""
    run = phase_run()
    name = names.pod_name(run)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": APP,
            "name": name,
            "uid": "uid-of-pod",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": names.own_labels(run),
            "annotations": names.own_annotations(run, containers),
        },
        "spec": {
            "nodeName": "node-a",
            "containers": [{"name": container} for container in (*containers, "injected")],
        },
        "status": status,
    }


def state(name: str = "container", **state_: Any) -> Object:
    """Return the status of a container: `running={}`, `waiting={...}` or `terminated={...}`."""
    return {"name": name, "state": state_}


def exited(name: str = "container", code: int = 0, **more: Any) -> Object:
    """Return the status of a container that has ended."""
    return state(name, terminated={"exitCode": code, "finishedAt": "2026-01-01T00:00:10Z", **more})
