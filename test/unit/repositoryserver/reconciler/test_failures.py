"""Requests that fail, a reconcile that has no time left, and one that a bug ends."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from controller.clock import DeadlineExceeded
from controller.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    ServerUnavailable,
    WebhookFailed,
)
from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action
from fakes.world import SERVICE, WRITE_STATUS
from reconcilers import resources
from reconcilers.repositoryserver.api import DEFAULT_DRAIN_SECONDS
from reconcilers.repositoryserver.children import network
from reconcilers.repositoryserver.reconciler import UNREADY_RECHECK_SECONDS
from reconcilers.repositoryserver.rollout import plan
from reconcilers.repositoryserver.status.stages import STAGE_PAUSE_SECONDS

if TYPE_CHECKING:
    from controller.errors import ClientError
    from controller.resource import Object, Resource
    from fakes.world import World

# The first request for a new server.
APPLY = Action("apply", "networkpolicies", SERVICE)

QUOTA = Forbidden(403, "Forbidden", "exceeded quota: pods, used: pods=2, limited: pods=2")
WEBHOOK = WebhookFailed(500, "InternalError", "failed calling webhook: connection refused")


def test_a_stop_ends_each_request_that_hangs(world: World) -> None:
    world.settle()

    assert set(world.api.stops) == {world.stop}


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(QUOTA, id="a quota is full"),
        pytest.param(WEBHOOK, id="a webhook does not answer"),
    ],
)
def test_a_revision_that_may_not_be_made_now_keeps_neither_users_nor_drained_pods_waiting(
    settled: World, refusal: Forbidden | WebhookFailed
) -> None:
    """A quota that is full of pods that drain would never be free again."""
    first, second = settled.renew()
    settled.kubelet(second, objects.serving())
    settled.reconcile()
    assert plan.drain_until(settled.stored(first)) is not None
    there = {one["metadata"]["name"] for one in settled.revisions()}

    def refuse(resource: Resource, obj: Object) -> None:
        if resource == resources.REPLICA_SETS and obj["metadata"]["name"] not in there:
            raise refusal

    settled.api.admission = refuse
    settled.edit({"server": {"resources": {"limits": {"memory": "2Gi"}}}})
    settled.change_secret(objects.users_secret({"other": "p"}))

    settled.clock.step(DEFAULT_DRAIN_SECONDS)
    settled.begin_revision()

    value, reason, message = settled.condition("Ready")
    assert (value, reason) == ("False", "ApiRequestRefused")
    assert refusal.message in message
    assert f"pod {second['metadata']['name']} still serves" in message
    assert settled.may_connect() == {"backup@other": "p"}
    assert [pod["metadata"]["name"] for pod in settled.pods()] == [second["metadata"]["name"]]
    settled.api.admission = lambda *_: None
    settled.reconcile()
    assert len(settled.pods()) == 2


def test_a_webhook_that_does_not_answer_is_told(world: World) -> None:
    world.api.failures[APPLY] = WEBHOOK

    with pytest.raises(WebhookFailed):
        world.reconcile()

    assert world.condition("Ready")[:2] == ("False", "ApiRequestRefused")


def test_a_request_that_an_admission_webhook_denies_is_told(world: World) -> None:
    world.api.failures[APPLY] = BadRequest(400, "BadRequest", "admission webhook denied it")

    with pytest.raises(BadRequest):
        world.reconcile()

    assert world.condition("Ready")[1] == "ApiRequestRefused"


def test_a_refused_request_is_told_and_tried_again_by_the_queue(world: World) -> None:
    world.api.failures[APPLY] = Forbidden(403, "Forbidden", "networkpolicies is forbidden")

    with pytest.raises(Forbidden):
        world.reconcile()

    assert world.condition("Ready")[1] == "ApiRequestRefused"


def test_a_reconcile_that_ran_out_of_time_still_tells_so(world: World) -> None:
    world.api.failures[APPLY] = DeadlineExceeded("patch networkpolicies: no answer in 110 s")

    with pytest.raises(DeadlineExceeded):
        world.reconcile()

    assert world.condition("Ready")[1] == "ReconcileOutOfTime"


def test_a_bug_is_told_without_what_it_met_and_is_over_when_it_does_not_come_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: object) -> None:
        raise KeyError(objects.REPOSITORY_PASSWORD_VALUE)

    with monkeypatch.context() as patch:
        patch.setattr(network, "network_policy", panic)
        with pytest.raises(KeyError):
            world.reconcile()
    assert world.condition("Ready") == (
        "False",
        "ReconcilePanicked",
        (
            "a bug in the controller ended the reconcile, which will be retried: KeyError; report "
            "the traceback from the controller's log"
        ),
    )

    world.settle()
    assert world.condition("Ready")[0] == "True"


def test_a_conflict_is_no_error(world: World) -> None:
    world.reconcile()
    world.clock.step(STAGE_PAUSE_SECONDS)
    world.api.failures[WRITE_STATUS] = Conflict(409, "Conflict", "the object has been modified")

    assert world.reconcile() == Result(requeue=True)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Conflict(409, "Conflict", "modified"), id="it has changed meanwhile"),
        pytest.param(ServerUnavailable(503, "", "try again"), id="the API server is away"),
        pytest.param(Forbidden(403, "Forbidden", "no such right"), id="a right was taken away"),
    ],
)
def test_a_label_whose_request_fails_once_is_on_the_pod_after_the_next_pass(
    settled: World, error: ClientError
) -> None:
    settled.edit({"server": {"podLabels": {"team": "a"}}})
    apply = Action("apply", "replicasets", settled.replica_set()["metadata"]["name"])
    settled.api.failures[apply] = error
    with contextlib.suppress(ServerUnavailable):
        settled.reconcile()
    del settled.api.failures[apply]

    settled.reconcile()

    assert settled.pod()["metadata"]["labels"]["team"] == "a"


def test_a_status_for_a_server_that_is_gone_is_no_error(world: World) -> None:
    world.reconcile()
    world.clock.step(STAGE_PAUSE_SECONDS)
    world.api.failures[WRITE_STATUS] = NotFound(404, "NotFound", "not found")

    assert world.reconcile().requeue_after == UNREADY_RECHECK_SECONDS


def test_a_status_is_only_written_on_the_very_version_that_it_was_decided_on(world: World) -> None:
    world.settle()

    versions = [body["metadata"] for body in world.api.bodies if "status" in body]

    assert versions
    assert all(metadata["resourceVersion"] for metadata in versions)
