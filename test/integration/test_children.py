"""Who owns which field of the children, on a real API server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.rest.kubeconfig import load_api_client
from e2e.waiting import wait_for
from integration import running
from reconcilers import resources
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from controller.rest.client import Client

NAME = "files"
TEAM = "example.com/team"
PEER = {"namespaceSelector": {"matchLabels": {TEAM: "backup"}}}
STRANGER: dict[str, object] = {"namespaceSelector": {}}


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    running.install_definition(client)


@pytest.fixture
def _controller(kubeconfig: str, client: Client, namespace: str) -> Iterator[None]:
    running.create_secrets(client, namespace)
    controller = running.controller(namespace, load_api_client(kubeconfig))
    controller.start()
    with running.Kubelet(client, namespace):
        yield
    controller.end()


@pytest.mark.usefixtures("_controller")
def test_what_the_resource_says_no_more_goes_though_it_was_put_back_before(
    client: Client, namespace: str
) -> None:
    """What was put back is written in another way, whose fields would otherwise stay."""

    def policy() -> Object:
        found: Object
        (found,) = client.list(resources.NETWORK_POLICIES, namespace)["items"]
        return found

    def peers() -> list[Object]:
        found: list[Object] = policy()["spec"]["ingress"][0]["from"]
        return found

    def labels(obj: Object) -> Object:
        found: Object = obj["metadata"]["labels"]
        return found

    said = {"podLabels": {TEAM: "a"}, "networkPolicy": {"from": [PEER]}}
    running.create(client, namespace, NAME, {"spec": {"server": said}})
    running.wait_ready(client, namespace)
    (replica_set,) = client.list(resources.REPLICA_SETS, namespace)["items"]
    assert labels(replica_set["spec"]["template"])[TEAM] == "a"

    by_hand = {"metadata": {"labels": {TEAM: "b"}}, "spec": {"priorityClassName": "by-hand"}}
    client.merge_patch(
        resources.REPLICA_SETS,
        namespace,
        replica_set["metadata"]["name"],
        {"spec": {"template": by_hand, "minReadySeconds": 600}},
    )
    wait_for(
        "the template to be put back",
        lambda: client.get(resources.REPLICA_SETS, namespace, replica_set["metadata"]["name"]),
        lambda found: found["spec"] == replica_set["spec"],
    )
    opened = {"spec": {"ingress": [{"from": [STRANGER]}]}}
    client.merge_patch(resources.NETWORK_POLICIES, namespace, policy()["metadata"]["name"], opened)
    name = replica_set["metadata"]["name"]
    wait_for("the peers to be put back", peers, lambda found: PEER in found)
    nothing = {"podLabels": None, "networkPolicy": None}
    client.merge_patch(api.REPOSITORY_SERVERS, namespace, NAME, {"spec": {"server": nothing}})

    wait_for("the peer to go", peers, lambda found: found == [{"podSelector": {}}])
    wait_for(
        "the label to go from the template and from the pod",
        lambda: [
            client.get(resources.REPLICA_SETS, namespace, name)["spec"]["template"],
            *running.pods_of(client, namespace, NAME),
        ],
        lambda found: all(TEAM not in labels(one) for one in found),
    )
    assert len(client.list(resources.REPLICA_SETS, namespace)["items"]) == 1
