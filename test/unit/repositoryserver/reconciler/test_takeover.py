"""What the removed controller has left: its pods and Services give way to ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.reconcile import Request
from fakes import objects
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.api import DEFAULT_DRAIN_SECONDS
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import plan
from reconcilers.repositoryserver.rollout.refresh import PAUSE_MAX_SECONDS

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World


def _legacy_pod() -> Object:
    """Return a pod that the removed controller has left at work."""
    owner = objects.repository_server()["metadata"]["uid"]
    return {
        "metadata": {
            "name": "repo-server-pod-x7k2p",
            "namespace": objects.NAMESPACE,
            "ownerReferences": [
                {"apiVersion": "cr.kanister.io/v1alpha1", "kind": "RepositoryServer", "uid": owner}
            ],
        },
        "spec": {"nodeName": "node"},
        "status": objects.serving(),
    }


def test_the_pods_of_the_removed_controller_drain_when_the_new_one_serves(world: World) -> None:
    legacy = _legacy_pod()
    world.api.put(resources.PODS, legacy)
    world.reconcile()
    (new,) = [pod for pod in world.pods() if names.hash_of(pod)]
    # Where else should its clients go?
    assert plan.drain_until(world.stored(legacy)) is None
    former = {"metadata": {**legacy["metadata"], "name": "repo-server-service-x7k2p"}, "spec": {}}
    world.api.put(resources.SERVICES, former)
    world.kubelet(new, objects.serving())
    world.reconcile()
    assert len(world.pods()) == 2
    assert len(world.api.store(resources.SERVICES).list()) == 2
    # Its clients' backups have to be known as well.
    world.clock.step(PAUSE_MAX_SECONDS)
    world.reconcile()
    assert "refresh" in world.kopia.ran()

    world.clock.step(DEFAULT_DRAIN_SECONDS)
    world.reconcile()
    world.reconcile()

    assert [pod["metadata"]["name"] for pod in world.pods()] == [new["metadata"]["name"]]
    assert len(world.api.store(resources.SERVICES).list()) == 1


@pytest.mark.parametrize(
    ("mode", "left"),
    [
        pytest.param("ReadWriteOnce", 1, id="on one node only: it takes its place"),
        pytest.param("ReadWriteMany", 2, id="on any node: it waits for something else"),
    ],
)
def test_a_pod_that_waits_for_the_claim_of_the_removed_controllers(
    world: World, mode: str, left: int
) -> None:
    world.api.put(resources.PODS, _legacy_pod())
    world.reconcile()
    (new,) = [pod for pod in world.pods() if names.hash_of(pod)]
    elsewhere = objects.merged(new, {"spec": {"nodeName": "other"}})
    world.kubelet(elsewhere, objects.creating())
    world.api.put(resources.PERSISTENT_VOLUME_CLAIMS, objects.claim(mode))
    world.clock.step(plan.IN_PLACE_AFTER_SECONDS)

    world.reconcile()

    assert len(world.pods()) == left
    assert new["metadata"]["name"] in [pod["metadata"]["name"] for pod in world.pods()]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("service-1", id="its Service is called as one of the removed controller's"),
        pytest.param("repo-server-pod-1", id="its pod is"),
    ],
)
def test_a_child_of_ours_is_none_of_the_removed_controllers(world: World, name: str) -> None:
    request = Request(objects.NAMESPACE, name)
    world.api.put(api.REPOSITORY_SERVERS, objects.repository_server({"metadata": {"name": name}}))
    world.reconcile_of(request)
    world.kubelet(world.pod(), objects.serving())

    for _ in range(2):
        world.reconcile_of(request)

    assert [action for action in world.api.taken() if action.verb == "delete"] == []
    assert plan.drain_until(world.pod()) is None
