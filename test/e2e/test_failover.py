"""Two replicas as installed: what a user sees when the one that leads goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.clock import SystemClock
from e2e.cluster import NAMESPACE
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.server import Server

# What the manifests leave the lease at, and what a busy machine adds.
LEASE_SECONDS = 15.0
SLACK_SECONDS = 5.0

GONE = "another replica led after"


def delete_pod(controller: Controller, _node: Node) -> None:
    name = controller.pod()["metadata"]["name"]
    controller.cluster.client.delete(resources.PODS, NAMESPACE, name)


def kill(controller: Controller, node: Node) -> None:
    """Kill its process; what starts again in the pod is another candidate."""
    node.kill(controller.pod())


# It measures, so it has the machine to itself.
@pytest.mark.alone
@pytest.mark.parametrize(
    ("take_away", "within"),
    [
        pytest.param(delete_pod, 3.0, id="its pod is deleted"),
        pytest.param(kill, LEASE_SECONDS + SLACK_SECONDS, id="its process is killed"),
    ],
)
def test_when_the_leader_goes_another_one_takes_up_its_work(
    server: Server,
    controller: Controller,
    node: Node,
    record_seconds: Callable[[str, float], None],
    *,
    take_away: Callable[[Controller, Node], None],
    within: float,
) -> None:
    clock = SystemClock()
    before = controller.leader()
    taken_away = clock.monotonic()

    take_away(controller, node)
    wait_for("another leader", controller.leader, lambda leader: leader not in ("", before))
    seconds = clock.monotonic() - taken_away
    record_seconds(GONE, seconds)

    server.start()
    assert seconds < within
    controller.wait_ready()
