"""The status says what is so: of an edit, of a change that fails, of a peer, of a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.conditions import get_condition
from controller.errors import BadRequest, Forbidden, Invalid, WebhookFailed
from fakes import objects
from fakes.apiclient import Action
from fakes.world import REQUEST, SERVICE, USERS_SECRET
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.rollout import endpoints
from reconcilers.repositoryserver.status import patience

if TYPE_CHECKING:
    from controller.errors import ApiError
    from controller.resource import Object, Resource
    from fakes.world import World

APPLY_POLICY = Action("apply", "networkpolicies", SERVICE)
REFUSAL = 'NetworkPolicy "x" is invalid: spec.ingress[0].from[1].ipBlock.cidr: "999.0.0.0/8"'
DENIED = 'admission webhook "peers.example" denied the request: not from there'
WRONG_PEER = {"from": [{"ipBlock": {"cidr": "999.0.0.0/8"}}]}


def ready_generation(world: World) -> tuple[str, int]:
    """Return the status of Ready, and the generation that it is about."""
    found = get_condition(world.server()["status"]["conditions"], "Ready")
    assert found is not None
    return found["status"], found["observedGeneration"]


def new_pod(world: World, *others: Object) -> Object:
    """Return the pod that is not one of the others."""
    uids = {pod["metadata"]["uid"] for pod in others}
    (found,) = [pod for pod in world.pods() if pod["metadata"]["uid"] not in uids]
    return found


def test_an_edit_is_ready_once_it_is_in_effect(settled: World) -> None:
    old = settled.pod()
    settled.edit({"repository": {"username": "another"}})
    generation = settled.server()["metadata"]["generation"]

    settled.reconcile()

    assert ready_generation(settled) == ("False", generation)
    assert settled.condition("Ready")[1] == "ChangesSettling"
    settled.begin_revision()
    assert settled.condition("Ready")[1] == "PodPending"
    assert settled.condition("Reconciling")[:2] == ("True", "PodPending")
    assert settled.condition("Available")[0] == "True"
    new = new_pod(settled, old)
    settled.kubelet(new, objects.running())
    settled.reconcile()
    assert settled.condition("Ready")[1] == "OpeningRepository"
    settled.kubelet(settled.stored(new), objects.serving())
    settled.reconcile()
    settled.clock.step(endpoints.LAG_SECONDS)
    settled.reconcile()
    assert ready_generation(settled) == ("True", generation)
    assert get_condition(settled.server()["status"]["conditions"], "Reconciling") is None
    assert settled.recorder.warnings() == []


def test_an_edit_that_no_server_sees_is_ready_at_once(settled: World) -> None:
    settled.edit({"server": {"drainSeconds": 7}})

    settled.reconcile()

    assert ready_generation(settled) == ("True", settled.server()["metadata"]["generation"])


def test_a_wrong_user_leaves_a_server_available(settled: World) -> None:
    """A client asks progress whether it may back up."""
    settled.change_secret(objects.users_secret({"App": "x"}))

    settled.reconcile()

    assert settled.progress() == "Ready"
    assert settled.condition("Available")[0] == "True"
    assert settled.condition("Stalled")[:2] == ("True", "UserNameInvalid")


@pytest.mark.parametrize(
    ("status", "reason", "wait"),
    [
        pytest.param(
            objects.unscheduled(),
            "PodUnschedulable",
            "PodPending",
            id="no node takes the pod",
        ),
        pytest.param(
            objects.claim_missing(),
            "ClaimMissing",
            "PodPending",
            id="the claim is not there",
        ),
        pytest.param(
            objects.image_pull_failed(),
            "ImagePullFailed",
            "ImagePulling",
            id="the registry does not answer",
        ),
        pytest.param(
            objects.creating("CreateContainerError", "cannot"),
            "ContainerNotCreated",
            "PodPending",
            id="the kubelet cannot create the container",
        ),
    ],
)
def test_what_the_cluster_may_yet_mend_is_no_fault_at_the_first_look(
    world: World, status: Object, reason: str, wait: str
) -> None:
    world.reconcile()
    world.kubelet(world.pod(), status)
    world.report()
    assert world.condition("Ready")[:2] == ("False", wait)
    assert world.progress() == "Pending"

    world.clock.step(patience.SECONDS)
    world.reconcile()

    assert world.condition("Ready")[:2] == ("False", reason)
    assert [words.split(":")[0] for words in world.recorder.warnings()] == [f"Warning {reason}"]


class TestWrongPeer:
    """A peer that the API server refuses is a fault of its own."""

    @pytest.fixture
    def refused(self, settled: World) -> World:
        settled.api.failures[APPLY_POLICY] = Invalid(422, "Invalid", REFUSAL)
        settled.edit({"server": {"networkPolicy": WRONG_PEER}})
        return settled

    def test_the_rest_goes_on(self, refused: World) -> None:
        before = refused.api.store(resources.NETWORK_POLICIES).list()
        refused.change_secret(objects.users_secret({"other": "n"}))

        refused.reconcile()
        refused.reconcile()

        assert refused.may_connect() == {"backup@other": "n"}
        assert refused.api.store(resources.NETWORK_POLICIES).list() == before
        reason, message = refused.condition("Ready")[1:]
        assert reason == "NetworkPolicyInvalid"
        assert "spec.server.networkPolicy" in message
        assert REFUSAL in message
        assert "Role" not in message
        assert refused.condition("ServerSetup")[0] == "False"
        assert refused.condition("ServerRefreshed")[0] == "True"
        assert refused.progress() == "Ready"

    def test_it_is_not_sent_again_before_it_changes(self, refused: World) -> None:
        refused.reconcile()
        refused.api.taken()

        for _ in range(3):
            refused.clock.step(60)
            refused.reconcile()

        assert APPLY_POLICY not in refused.api.taken()
        del refused.api.failures[APPLY_POLICY]
        refused.edit({"server": {"networkPolicy": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}}})
        refused.reconcile()
        assert refused.condition("Ready")[0] == "True"

    @pytest.mark.parametrize(
        ("spec", "fields"),
        [
            pytest.param(
                {"networkPolicy": WRONG_PEER}, "the peers of spec.server.networkPolicy make"
            ),
            pytest.param({"metrics": WRONG_PEER}, "the peers of spec.server.metrics.from make"),
            pytest.param(
                {"networkPolicy": WRONG_PEER, "metrics": WRONG_PEER},
                "the peers of spec.server.networkPolicy and spec.server.metrics.from make",
            ),
        ],
        ids=["of clients", "of the metrics", "of both"],
    )
    def test_the_message_names_the_fields(self, settled: World, spec: Object, fields: str) -> None:
        settled.api.failures[APPLY_POLICY] = Invalid(422, "Invalid", REFUSAL)

        settled.edit({"server": spec})
        settled.reconcile()

        reason, message = settled.condition("Ready")[1:]
        assert reason == "NetworkPolicyInvalid"
        assert message.startswith(fields)

    @pytest.mark.parametrize(
        "refusal",
        [
            pytest.param(Forbidden(403, "Forbidden", DENIED), id="a policy denies it"),
            pytest.param(BadRequest(400, "", DENIED), id="a webhook denies it without a code"),
            pytest.param(WebhookFailed(500, "InternalError", DENIED), id="a webhook is away"),
        ],
    )
    def test_one_that_the_cluster_denies_keeps_nothing_waiting_and_is_tried_again(
        self, settled: World, refusal: ApiError
    ) -> None:
        settled.api.failures[APPLY_POLICY] = refusal
        before = settled.api.store(resources.NETWORK_POLICIES).list()
        settled.edit({"server": {"networkPolicy": {"from": [{"podSelector": {}}]}}})
        settled.change_secret(objects.users_secret({"other": "n"}))

        settled.reconcile()
        settled.reconcile()

        assert settled.may_connect() == {"backup@other": "n"}
        assert settled.api.store(resources.NETWORK_POLICIES).list() == before
        reason, message = settled.condition("Ready")[1:]
        assert reason == "ApiRequestRefused"
        assert message.startswith(f"the API server rejects NetworkPolicy {SERVICE}: {DENIED}; ")
        assert "(until then only pods of namespace backup can connect)" in message
        del settled.api.failures[APPLY_POLICY]
        settled.reconcile()
        assert settled.condition("Ready")[0] == "True"
        assert settled.api.store(resources.NETWORK_POLICIES).list() != before

    @pytest.mark.parametrize(
        "refusal",
        [
            pytest.param(Invalid(422, "Invalid", REFUSAL), id="it is invalid"),
            pytest.param(Forbidden(403, "Forbidden", DENIED), id="a policy denies it"),
        ],
    )
    def test_a_new_server_comes_up_behind_a_policy_without_peers(
        self, world: World, refusal: ApiError
    ) -> None:
        world.edit({"server": {"networkPolicy": WRONG_PEER}})

        def refuse(resource: Resource, body: Object) -> None:
            if resource == resources.NETWORK_POLICIES and "ipBlock" in repr(body):
                raise refusal

        world.api.admission = refuse

        world.settle()
        world.reconcile()

        (policy,) = world.api.store(resources.NETWORK_POLICIES).list()
        assert policy["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]
        assert world.condition("Available")[0] == "True"
        assert world.condition("ServerInitialized")[0] == "True"
        assert "only pods of namespace backup can connect" in world.condition("Ready")[2]


class TestFingerprint:
    """Clients trust a server by it: it is that of the inputs, whatever stands on the pod."""

    def told(self, world: World) -> str:
        fingerprint: str = world.server()["status"]["serverInfo"]["tlsFingerprint"]
        return fingerprint

    def forge(self, world: World) -> None:
        for pod in world.pods():
            annotations = {
                "cr.kanister.io/tls-fingerprint": "forged",
                "cr.kanister.io/tls-not-after": "2099-01-01T00:00:00Z",
            }
            change = {"metadata": {"annotations": annotations}}
            world.api.put(resources.PODS, objects.merged(pod, change))

    def test_another_one_on_the_pod_changes_nothing(self, settled: World) -> None:
        before = settled.server()["status"]["serverInfo"]
        self.forge(settled)

        settled.reconcile()

        assert settled.server()["status"]["serverInfo"] == before

    def test_nor_for_a_process_that_has_just_started(self, settled: World) -> None:
        before = settled.server()["status"]["serverInfo"]
        self.forge(settled)
        settled.restart()

        settled.reconcile()

        assert settled.server()["status"]["serverInfo"] == before

    def test_it_is_read_from_the_revision_if_the_status_is_of_another_pod(
        self, settled: World
    ) -> None:
        before = settled.server()["status"]["serverInfo"]
        self.forge(settled)
        lost = objects.merged(settled.server(), {"status": {"serverInfo": None}})
        settled.api.put(api.REPOSITORY_SERVERS, lost)
        settled.restart()
        settled.api.taken()

        settled.reconcile()

        assert settled.server()["status"]["serverInfo"] == before
        snapshot = settled.replica_set()["metadata"]["name"]
        assert settled.api.taken().count(Action("get", "secrets", snapshot)) == 1
        settled.reconcile()
        assert Action("get", "secrets", snapshot) not in settled.api.taken()

    def test_the_pod_of_before_keeps_its_own_while_it_serves(self, settled: World) -> None:
        before = self.told(settled)
        old, new = settled.renew()
        self.forge(settled)

        settled.reconcile()
        assert self.told(settled) == before

        settled.kubelet(settled.stored(new), objects.serving())
        settled.reconcile()
        settled.reconcile()
        after = self.told(settled)
        assert after not in (before, "forged")
        # The new one breaks, and the Service goes back.
        settled.drop_pod(new)
        settled.kubelet(settled.stored(old), objects.serving())
        settled.reconcile()
        settled.reconcile()
        assert settled.server()["status"]["serverInfo"]["podName"] == old["metadata"]["name"]
        assert self.told(settled) == before


def test_the_users_are_loaded_before_a_server_is_ready(settled: World) -> None:
    settled.commands_wait = True
    settled.change_secret(objects.users_secret({"app": objects.OTHER_PASSWORD_VALUE}))

    settled.reconcile()

    assert settled.secret(USERS_SECRET)
    assert settled.condition("Ready")[:2] == ("False", "LoadingUsers")
    settled.run_commands()
    settled.reconcile()
    assert settled.condition("Ready")[0] == "True"
    assert settled.recorder.warnings() == []


def test_a_server_without_its_service_is_not_available_when_a_pass_breaks_off(
    settled: World,
) -> None:
    """The status has the name of the Service, and the pod is Ready, all the same."""
    settled.api.drop(resources.SERVICES, objects.NAMESPACE, SERVICE)
    settled.api.failures[Action("apply", "services", SERVICE)] = Forbidden(403, "Forbidden", "no")

    with pytest.raises(Forbidden):
        settled.reconcile_of(REQUEST)

    assert settled.condition("Available")[:2] == ("False", "ApiRequestRefused")
    assert settled.progress() == "Failed"


def test_one_that_it_reaches_stays_available(settled: World) -> None:
    settled.api.failures[Action("apply", "secrets", USERS_SECRET)] = Forbidden(403, "", "no")
    settled.change_secret(objects.users_secret({"other": "n"}))

    with pytest.raises(Forbidden):
        settled.reconcile()

    assert settled.condition("Available")[0] == "True"
    assert settled.condition("Ready")[:2] == ("False", "ApiRequestRefused")
    assert settled.progress() == "Ready"
