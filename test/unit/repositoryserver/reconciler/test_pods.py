"""Pods that are deleted, evicted, killed, or lost with their node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from fakes.apiclient import Action
from fakes.world import WRITE_STATUS
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.reconciler import LOST_SECONDS, POD_FIRST_SECONDS
from reconcilers.repositoryserver.rollout import retry

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World


def test_a_deleted_pod_comes_back_under_its_name(settled: World) -> None:
    name = settled.pod()["metadata"]["name"]
    settled.drop_pod(settled.pod())

    settled.reconcile()

    assert settled.pod()["metadata"]["name"] == name
    assert settled.progress() == "Pending"
    assert settled.condition("ServerInitialized")[0] == "Unknown"
    assert settled.condition("ClientUserInitialized")[0] == "True"


def test_a_pod_that_was_deleted_comes_back_while_its_service_stays(settled: World) -> None:
    name = settled.pod()["metadata"]["name"]
    settled.drop_pod(settled.pod())

    result = settled.pass_()

    assert Action("apply", "pods", name) in settled.api.taken()
    assert result.requeue_after != POD_FIRST_SECONDS


def test_a_pod_that_goes_while_an_input_is_wrong_is_made_again_when_that_is_mended(
    settled: World,
) -> None:
    pod = settled.pod()
    settled.change_secret(objects.password_secret(""))
    settled.reconcile()
    settled.drop_pod(pod)

    settled.reconcile()

    assert settled.pods() == []
    assert settled.condition("Ready")[1] == "SecretKeyMissing"
    assert "still serves" not in settled.condition("Ready")[2]
    settled.change_secret(objects.password_secret())
    settled.reconcile()
    assert settled.pod()["metadata"]["name"] == pod["metadata"]["name"]


def test_a_pod_that_is_going_away_is_waited_for(settled: World) -> None:
    settled.api.put(resources.PODS, objects.terminating(settled.pod()))

    settled.reconcile()

    assert settled.api.taken() == [WRITE_STATUS]
    assert settled.condition("Ready")[2].endswith("is being deleted and will be created again")


def test_an_evicted_pod_is_replaced_and_its_end_explained(settled: World) -> None:
    settled.clock.step(60)
    settled.kubelet(settled.pod(), objects.evicted())
    evicted = settled.pod()["metadata"]["uid"]

    settled.reconcile()

    assert settled.condition("Ready")[1] == "PodEnded"
    assert "low on resource: memory" in settled.condition("Ready")[2]
    settled.reconcile()
    assert settled.pod()["metadata"]["uid"] != evicted


def test_a_pod_that_its_node_refuses_at_once_is_made_again_after_a_pause(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.evicted())
    refused = world.pod()["metadata"]["uid"]

    result = world.reconcile()

    assert world.pod()["metadata"]["uid"] == refused
    assert result.requeue_after == retry.MIN_SECONDS
    world.clock.step(retry.MIN_SECONDS)
    world.reconcile()
    assert world.pods() == []


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


class TestLostNode:
    """A pod whose node does not confirm its end holds its name."""

    @pytest.mark.parametrize(
        ("volume", "left"),
        [
            pytest.param({"emptyDir": {}}, 0, id="no volume outlives it"),
            pytest.param({"persistentVolumeClaim": {"claimName": "mine"}}, 1, id="a claim does"),
        ],
    )
    def test_it_is_given_up_where_no_claim_can_be_mounted_twice(
        self, world: World, volume: Object, left: int
    ) -> None:
        world.pod_override = "any"
        world.restart()
        override = {"volumes": [{"name": "mine", **volume}]}
        change = {
            "spec": {
                "storage": {"credentialSecretRef": {"name": objects.CREDENTIAL}},
                "server": {"podOverride": override},
            }
        }
        world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(change))
        values = {"type": "s3", "bucket": "b", "region": "r"}
        world.change_secret(objects.location_secret(values))
        keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key"}
        world.change_secret(objects.secret(objects.CREDENTIAL, "secrets.kanister.io/aws", keys))
        world.settle()
        world.api.put(resources.PODS, objects.terminating(world.pod()))
        world.reconcile()
        assert len(world.pods()) == 1
        world.clock.step(30 + LOST_SECONDS)

        world.reconcile()

        assert len(world.pods()) == left

    def test_with_a_claim_it_is_an_operators_choice(self, settled: World) -> None:
        settled.api.put(resources.PODS, objects.terminating(settled.pod()))
        settled.clock.step(3600)

        settled.reconcile()

        assert len(settled.pods()) == 1
