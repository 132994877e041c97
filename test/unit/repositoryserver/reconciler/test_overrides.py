"""What a resource says of its pod: labels, overrides, and what the API server refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from controller.errors import BadRequest, Invalid
from fakes import objects
from fakes.world import World
from reconcilers import resources
from reconcilers.repositoryserver.children import names
from reconcilers.secrets import data as secrets
from reconcilers.settings import PodDefaults, Settings

if TYPE_CHECKING:
    from controller.resource import Object


def test_a_label_for_the_pod_reaches_it_without_a_restart(settled: World) -> None:
    before = settled.pod()

    settled.edit({"server": {"podLabels": {"team": "a"}}})
    settled.reconcile()

    after = settled.pod()
    assert after["metadata"]["labels"] == {**before["metadata"]["labels"], "team": "a"}
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"] == before["spec"]
    assert settled.recorder.lines() == []


def test_a_label_that_is_called_as_a_list_of_a_pod_is_a_label(settled: World) -> None:
    settled.edit({"server": {"podLabels": {"containers": "x", "selector": "y"}}})
    settled.reconcile()
    settled.edit({"server": {"podLabels": {"containers": "z", "selector": "y"}}})
    settled.reconcile()

    assert settled.pod()["metadata"]["labels"]["containers"] == "z"
    assert settled.progress() == "Ready"


def test_an_override_that_cannot_be_is_told_and_leaves_the_running_server_alone(
    settled: World,
) -> None:
    before = settled.pod()

    settled.edit({"server": {"podOverride": {"hostNetwork": True}}})
    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "InvalidPodOverride")
    assert "spec.server.podOverride.hostNetwork must not" in settled.condition("ServerSetup")[2]
    assert settled.pod() == before
    assert settled.selected() == names.hash_of(before)

    settled.edit({"server": {"podOverride": None}})
    settled.reconcile()

    assert settled.progress() == "Ready"
    assert settled.pod()["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        pytest.param(
            {"podOverride": {"affinity": {"nodeAffinities": {}}}},
            Invalid(422, "Invalid", "spec: no such field"),
            id="in a new pod",
        ),
        pytest.param(
            {"podLabels": {"team": "not a value"}},
            Invalid(422, "Invalid", "a label's value has no spaces"),
            id="on the running pod",
        ),
        pytest.param(
            {"podLabels": {"team": "b"}},
            BadRequest(400, "", 'admission webhook "teams.example" denied the request: no team b'),
            id="by a webhook that denies without a code",
        ),
    ],
)
def test_what_the_api_server_refuses_of_a_pod_is_told_and_the_running_one_serves(
    settled: World, settings: Object, refusal: Invalid | BadRequest
) -> None:
    before = settled.pod()
    trial = World()
    trial.settle()
    trial.edit({"server": settings})
    trial.begin_revision()
    (refused,) = [
        action
        for action in trial.api.taken()
        if (action.verb, action.resource) == ("apply", "replicasets")
    ]
    settled.api.failures[refused] = refusal

    settled.edit({"server": settings})
    settled.change_secret(objects.users_secret({"other": "p"}))
    settled.begin_revision()

    assert settled.condition("Ready")[:2] == ("False", "PodRefused")
    assert settled.condition("Ready")[2].startswith(
        f"the API server rejects ReplicaSet {refused.name}: {refusal.message}; correct this in "
        "spec.server, for example in podOverride"
    )
    assert settled.pod()["spec"] == before["spec"]
    assert settled.selected() == names.hash_of(before)
    assert settled.may_connect() == {"backup@other": "p"}


class TestAccount:
    """A server runs as an account only if the account's owner allows it."""

    ACCOUNT: ClassVar[Object] = {"name": "cloud", "namespace": objects.NAMESPACE, "uid": "a"}

    def test_it_is_refused_and_the_server_stays_until_its_owner_allows_it(
        self, settled: World
    ) -> None:
        before = settled.pod()
        settled.api.put(resources.SERVICE_ACCOUNTS, {"metadata": self.ACCOUNT})

        settled.edit({"server": {"serviceAccountName": "cloud"}})
        settled.reconcile()

        assert settled.condition("Ready")[1] == "ServiceAccountNotAllowed"
        assert settled.pod() == before

        annotations = {"cr.kanister.io/allow-repository-servers": "true"}
        metadata = {**self.ACCOUNT, "annotations": annotations}
        settled.api.put(resources.SERVICE_ACCOUNTS, {"metadata": metadata})
        settled.begin_revision()

        assert [pod["spec"].get("serviceAccountName") for pod in settled.pods()] == [None, "cloud"]

    def test_a_controller_that_starts_with_a_narrower_setting_takes_no_pod_away(
        self, world: World
    ) -> None:
        world.pod_override = "any"
        world.restart()
        world.edit({"server": {"podOverride": {"hostAliases": []}}})
        world.settle()
        before = world.pod()

        world.pod_override = "restricted"
        world.restart()
        world.reconcile()

        assert world.condition("Ready")[1] == "InvalidPodOverride"
        assert world.pod()["metadata"]["uid"] == before["metadata"]["uid"]
        assert world.selected() == names.hash_of(before)


class TestTokenForTheStorage:
    """Kopia logs in with a token of the pod's account only if the account's owner allows it."""

    FEDERATED: ClassVar[dict[str, str | bytes]] = {
        "azure_storage_account_id": "account1",
        "azure_tenant_id": "tenant",
        "azure_client_id": "client",
        "azure_federated_identity": "true",
    }

    @pytest.fixture
    def federated(self, world: World) -> World:
        location: dict[str, str | bytes] = {"type": "azure", "bucket": "backups"}
        world.change_secret(objects.location_secret(location))
        world.change_secret(objects.secret(objects.CREDENTIAL, secrets.TYPE_AZURE, self.FEDERATED))
        world.edit({"storage": {"credentialSecretRef": {"name": objects.CREDENTIAL}}})
        return world

    def put(self, world: World, name: str, allow: str | None = None) -> None:
        metadata: Object = {"name": name, "namespace": objects.NAMESPACE, "uid": name}
        if allow is not None:
            metadata["annotations"] = {"cr.kanister.io/allow-repository-servers": allow}
        world.api.put(resources.SERVICE_ACCOUNTS, {"metadata": metadata})

    def test_is_refused_until_the_owner_of_the_account_allows_it(self, federated: World) -> None:
        self.put(federated, "default")

        federated.settle()

        assert federated.pods() == []
        _, reason, message = federated.condition("Ready")
        assert reason == "ServiceAccountNotAllowed"
        assert message == (
            f"Secret {objects.NAMESPACE}/{objects.CREDENTIAL}, named by "
            "spec.storage.credentialSecretRef, asks for a token of the pod's account: "
            f"ServiceAccount {objects.NAMESPACE}/default is not allowed for RepositoryServers; "
            f"have its owner run kubectl annotate -n {objects.NAMESPACE} serviceaccount/default "
            "cr.kanister.io/allow-repository-servers=true, or set another one in "
            "spec.server.serviceAccountName"
        )

        self.put(federated, "default", "true")
        federated.settle()

        assert federated.progress() == "Ready"

    def test_that_is_allowed_no_more_leaves_the_server_as_it_is(self, federated: World) -> None:
        self.put(federated, "default", "true")
        federated.settle()
        before = federated.pod()

        self.put(federated, "default", "false")
        federated.reconcile()

        assert federated.condition("Ready")[1] == "ServiceAccountNotAllowed"
        assert federated.condition("Available")[0] == "True"
        assert federated.pod() == before

        self.put(federated, "default", "true")
        federated.reconcile()

        assert federated.condition("Ready")[0] == "True"
        assert federated.pod() == before

    def test_of_the_settings_account_needs_no_annotation(self, federated: World) -> None:
        pod = PodDefaults(service_account_name="cloud")
        federated.settings = Settings(image=objects.IMAGE, pod=pod)
        federated.restart()
        self.put(federated, "cloud")

        federated.settle()

        assert federated.progress() == "Ready"
