"""The controller goes for a while and comes back, whatever happens meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from benchlib import scene
from benchlib.scene import Scene

if TYPE_CHECKING:
    from demolib.objects import Object

NO_KUBECTL: Any = None
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


class Deployed:
    """Stands for the API of a cluster whose controller is as many as it is told to be.

    Each is there at the first look, Ready at the second, and leads at the third.
    """

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self.leader = "controller-0_1"
        self.told: list[int] = []
        self._looks = 9

    def merge(self, path: str, patch: Object) -> Object:
        assert path == scene.DEPLOYMENT
        self.replicas, self.leader, self._looks = patch["spec"]["replicas"], "", 0
        self.told.append(self.replicas)
        return {}

    def get(self, path: str) -> Object:
        if path == scene.DEPLOYMENT:
            return {"spec": {"replicas": self.replicas}}
        if path == scene.LEASE:
            if self._looks > 2 and self.replicas:
                self.leader = "controller-0_1"
            # A leader that ends leaves a lease that nobody holds.
            return {"spec": {"holderIdentity": self.leader} if self.leader else {}}
        self._looks += 1
        status = READY if self._looks > 1 else {}
        names = [f"controller-{number}" for number in range(self.replicas)]
        return {"items": [{"metadata": {"name": name}, "status": status} for name in names]}


def test_without_a_controller_nobody_leads_and_afterwards_as_many_as_before_are_there() -> None:
    cluster: Any = Deployed(2)

    with Scene(NO_KUBECTL, cluster, [], is_local=True).no_controller():
        assert cluster.replicas == 0

    assert cluster.told == [0, 2]
    assert cluster.leader


def test_a_fault_meanwhile_leaves_no_cluster_without_a_controller() -> None:
    cluster: Any = Deployed(1)

    with (
        pytest.raises(ValueError, match="another fault"),
        Scene(NO_KUBECTL, cluster, [], is_local=True).no_controller(),
    ):
        raise ValueError("another fault")

    assert cluster.told == [0, 1]
