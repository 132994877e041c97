"""What `kubectl describe actionset` tells of an ActionSet, and a Blueprint for two stories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from e2e.cluster import CLIENTS, NAMESPACE, Cluster
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.resource import Object

BLUEPRINT: Final = "stories"
#: Until there is this Secret, the deferPhase of action `wait` does not begin to run.
GATE: Final = "tidy-may-end"
#: The first process of a container has to say what a signal does.
WAITS: Final = "trap 'exit 1' TERM; sleep 3600 & wait"
#: In one stream: of two, the container runtime reads either first.
FAILS: Final = "echo connecting >&2; echo 'FATAL: no such database' >&2; exit 3"


def actions(cluster: Cluster) -> dict[str, Any]:
    """Return the actions of the Blueprint: one that fails, and one that waits to be cancelled."""
    gate = {"name": "GATE", "valueFrom": {"secretKeyRef": {"name": GATE, "key": "open"}}}
    override = {"containers": [{"name": "container", "env": [gate]}]}
    return {
        "fail": {
            "phases": [_phase(cluster, "dump", ["sh", "-c", FAILS])],
            "deferPhase": _phase(cluster, "tidy", ["true"]),
        },
        "wait": {
            "phases": [_phase(cluster, "dump", ["sh", "-c", WAITS])],
            "deferPhase": _phase(cluster, "tidy", ["true"], podOverride=override),
        },
    }


def action(name: str) -> Object:
    """Return an action of an ActionSet."""
    target = {"kind": "Namespace", "name": CLIENTS, "namespace": CLIENTS}
    return {"name": name, "blueprint": BLUEPRINT, "object": target}


def open_gate(cluster: Cluster) -> None:
    """Let the deferPhase of action `wait` run."""
    body = {"metadata": {"name": GATE}, "stringData": {"open": "yes"}}
    cluster.client.create(resources.SECRETS, CLIENTS, body)


def wait_told(cluster: Cluster, name: str, parts: Sequence[str]) -> None:
    """Wait until kubectl says all of something of an ActionSet: events come after the status.

    Args:
        cluster: Where.
        name: Of the ActionSet.
        parts: What is to be said, with one space where kubectl has several.
    """

    def missing() -> list[str]:
        text = cluster.kubectl.run("describe", f"--namespace={NAMESPACE}", f"actionset/{name}")
        told = " ".join(text.split())
        return [part for part in parts if part not in told]

    wait_for(f"kubectl to tell the story of {name}", missing, lambda left: not left)


def _phase(cluster: Cluster, name: str, command: list[str], **more: Any) -> Object:
    image = cluster.controller_image
    args = {"namespace": CLIENTS, "image": image, "command": command, **more}
    return {"name": name, "func": "KubeTask", "args": args}
