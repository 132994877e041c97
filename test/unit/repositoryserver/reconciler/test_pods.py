"""Pods that are deleted, evicted, killed, or lost with their node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.conditions import timestamp
from fakes import objects, refusals
from fakes.apiclient import Action
from fakes.world import WRITE_STATUS
from reconcilers import resources
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import podstatus, retry
from reconcilers.repositoryserver.status import patience

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World


def test_a_deleted_pod_is_made_again_by_its_replica_set_without_a_request(settled: World) -> None:
    former = settled.pod()
    settled.drop_pod(former)
    settled.replica_sets.sync()

    settled.reconcile()

    assert settled.pod()["metadata"]["uid"] != former["metadata"]["uid"]
    assert settled.api.taken() == [WRITE_STATUS]
    assert settled.selected() == names.hash_of(former)
    assert settled.progress() == "Pending"
    assert settled.condition("ServerInitialized")[0] == "Unknown"
    assert settled.condition("ClientUserInitialized")[0] == "True"
    settled.kubelet(settled.pod(), objects.serving())
    settled.reconcile()
    assert settled.progress() == "Ready"
    assert settled.kopia.ran() == []


def test_a_pod_that_goes_while_an_input_is_wrong_comes_back(settled: World) -> None:
    former = settled.pod()
    settled.change_secret(objects.password_secret(""))
    settled.reconcile()
    settled.drop_pod(former)
    settled.replica_sets.sync()
    settled.kubelet(settled.pod(), objects.serving())

    settled.reconcile()

    assert settled.selected() == names.hash_of(former)
    assert settled.condition("Ready")[1] == "SecretKeyMissing"
    assert f"pod {settled.pod()['metadata']['name']} still serves" in settled.condition("Ready")[2]


def test_the_pod_of_a_former_revision_comes_back_while_the_newest_one_fails(settled: World) -> None:
    former, new = settled.renew()
    settled.kubelet(new, objects.crash_looping("repository not initialized"))
    settled.reconcile()
    settled.drop_pod(former)
    settled.replica_sets.sync()
    (back,) = [pod for pod in settled.pods() if names.hash_of(pod) == names.hash_of(former)]
    settled.kubelet(back, objects.serving())

    settled.reconcile()

    assert settled.selected() == names.hash_of(former)
    assert settled.condition("Ready")[1] == "RepositoryMissing"
    assert "still serves" in settled.condition("Ready")[2]


def test_beside_a_pod_that_is_going_away_its_replica_set_makes_another(settled: World) -> None:
    ending = settled.api.put(resources.PODS, objects.terminating(settled.pod()))
    settled.replica_sets.sync()
    (new,) = [one for one in settled.pods() if one["metadata"]["uid"] != ending["metadata"]["uid"]]
    settled.kubelet(new, objects.serving())

    settled.reconcile()

    assert settled.progress() == "Ready"
    assert settled.server()["status"]["serverInfo"]["podName"] == new["metadata"]["name"]


def test_a_pod_that_does_not_end_is_a_fault_where_it_holds_a_claim(settled: World) -> None:
    ending = settled.api.put(resources.PODS, objects.terminating(settled.pod()))
    settled.replica_sets.sync()
    settled.clock.step(30 + podstatus.STUCK_SECONDS)

    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "PodStuckTerminating")
    message = settled.condition("Ready")[2]
    assert f"delete pod {ending['metadata']['name']} --force --grace-period=0" in message
    assert f"PersistentVolumeClaim {objects.CLAIM}" in message


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        pytest.param(
            objects.crash_looping("repository not initialized"), "RepositoryMissing", id="it fails"
        ),
        pytest.param(objects.image_pull_failed(), "ImagePullFailed", id="its image is not there"),
        pytest.param(objects.running(), "OpeningRepository", id="it is opening the repository"),
    ],
)
def test_a_pod_that_does_not_end_is_no_fault_of_one_that_has_the_claim(
    settled: World, status: Object, reason: str
) -> None:
    """Many nodes can mount it: what the other pod says is what is wrong."""
    ending = settled.api.put(resources.PODS, objects.terminating(settled.pod()))
    settled.replica_sets.sync()
    (new,) = [one for one in settled.pods() if one["metadata"]["uid"] != ending["metadata"]["uid"]]
    settled.clock.step(30 + podstatus.STUCK_SECONDS)
    settled.api.created = timestamp(settled.clock.now())
    settled.kubelet(new, status)
    settled.report()
    settled.clock.step(patience.SECONDS)

    settled.reconcile()

    assert settled.condition("Ready")[1] == reason


def test_an_evicted_pod_is_pruned_once_another_one_is_there(settled: World) -> None:
    evicted = settled.pod()
    settled.kubelet(evicted, objects.evicted())

    settled.reconcile()

    assert settled.condition("Ready")[1] == "PodEnded"
    assert "low on resource: memory" in settled.condition("Ready")[2]
    assert len(settled.pods()) == 2
    settled.reconcile()
    assert settled.pod()["metadata"]["uid"] != evicted["metadata"]["uid"]


def test_a_kill_of_the_server_is_noticed_and_is_no_failure(settled: World) -> None:
    settled.kubelet(settled.pod(), objects.killed())

    settled.reconcile()

    assert settled.progress() == "Pending"
    assert settled.condition("Ready")[:2] == ("False", "KopiaRestarting")
    assert "code 137" in settled.condition("Ready")[2]
    assert settled.condition("ClientUserInitialized")[0] == "True"

    settled.kubelet(settled.pod(), objects.serving())
    settled.reconcile()

    assert settled.progress() == "Ready"


class TestRefusedPod:
    """The API server takes the ReplicaSet, and not its pod."""

    QUOTA = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2'

    def test_it_is_explained_and_tried_again_until_the_cause_is_gone(self, world: World) -> None:
        world.replica_sets.refusal = self.QUOTA
        world.reconcile()
        world.reconcile()
        world.clock.step(patience.SECONDS)
        world.api.taken()

        result = world.reconcile()

        assert world.condition("Ready")[:2] == ("False", "QuotaExceeded")
        assert "ResourceQuota small leaves no room" in world.condition("Ready")[2]
        assert result.requeue_after == retry.MIN_SECONDS
        nudge = Action("patch", "replicasets/status", world.replica_set()["metadata"]["name"])
        assert nudge in world.api.taken()
        world.replica_sets.refusal = ""
        world.settle()
        assert world.progress() == "Ready"

    def test_the_cause_of_now_is_told_though_the_condition_keeps_the_first(
        self, world: World
    ) -> None:
        world.replica_sets.refusal = self.QUOTA
        world.reconcile()
        world.reconcile()
        world.clock.step(patience.SECONDS)
        world.reconcile()
        assert world.condition("Ready")[1] == "QuotaExceeded"

        world.replica_sets.refusal = refusals.RECORDED["pod security"]
        world.clock.step(retry.MAX_SECONDS)
        world.reconcile()
        world.reconcile()

        assert world.condition("Ready")[1] == "PodSecurityRefused"

    def test_it_is_tried_again_within_a_minute_however_long_it_lasts(self, world: World) -> None:
        world.replica_sets.refusal = self.QUOTA
        world.reconcile()
        nudge = Action("patch", "replicasets/status", world.replica_set()["metadata"]["name"])
        world.clock.step(24 * 3600)
        world.reconcile()
        world.api.taken()
        for _ in range(2):
            world.clock.step(retry.MAX_SECONDS)
            world.reconcile()
            assert world.api.taken().count(nudge) == 1
            world.reconcile()
            assert nudge not in world.api.taken()
