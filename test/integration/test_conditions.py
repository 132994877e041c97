"""What the status says, with a real API server: of an edit, and of a peer that it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.conditions import conditions_of, get_condition
from controller.rest.kubeconfig import load_api_client
from e2e.waiting import wait_for
from fakes import objects
from integration import running
from reconcilers import resources
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from controller.rest.client import Client

NAME = "files"


@pytest.fixture(scope="module", autouse=True)
def _definition(client: Client) -> None:
    running.install_definition(client)


@pytest.fixture
def _controller(kubeconfig: str, client: Client, namespace: str) -> Iterator[None]:
    running.create_secrets(client, namespace)
    controller = running.controller(namespace, load_api_client(kubeconfig))
    controller.start()
    yield
    controller.end()


def wait(client: Client, namespace: str, type_: str, status: str, reason: str) -> Object:
    """Wait until a condition of the server has a status and a reason, and return the server."""

    def has(server: Object) -> bool:
        found = get_condition(conditions_of(server), type_)
        return found is not None and (found["status"], found["reason"]) == (status, reason)

    return wait_for(
        f"{type_} to be {status} with {reason}",
        lambda: client.get(api.REPOSITORY_SERVERS, namespace, NAME),
        has,
        seconds=running.STUCK_AFTER,
    )


def edit(client: Client, namespace: str, spec: Object) -> int:
    """Change the server, and return its generation then."""
    edited = client.merge_patch(api.REPOSITORY_SERVERS, namespace, NAME, {"spec": spec})
    generation: int = edited["metadata"]["generation"]
    return generation


@pytest.mark.usefixtures("_controller")
def test_an_edit_is_ready_when_its_pod_is(client: Client, namespace: str) -> None:
    running.create(client, namespace, NAME)
    (first,) = running.wait_for_pods(client, namespace, 1)
    running.set_status(client, namespace, [first], objects.serving())
    wait(client, namespace, "Ready", "True", "ServerReady")

    generation = edit(client, namespace, {"repository": {"username": "another"}})

    changing = wait(client, namespace, "Ready", "False", "PodPending")
    ready = get_condition(conditions_of(changing), "Ready")
    available = get_condition(conditions_of(changing), "Available")
    assert ready is not None
    assert available is not None
    assert ready["observedGeneration"] == changing["status"]["observedGeneration"] == generation
    assert available["status"] == "True"
    assert changing["status"]["progress"] == "Ready"
    pods = running.wait_for_pods(client, namespace, 2)
    (second,) = [pod for pod in pods if pod["metadata"]["uid"] != first["metadata"]["uid"]]
    running.set_status(client, namespace, [second], objects.serving())
    changed = wait(client, namespace, "Ready", "True", "ServerReady")
    assert get_condition(conditions_of(changed), "Reconciling") is None


@pytest.mark.usefixtures("_controller")
def test_a_peer_that_is_refused_keeps_no_server_from_coming_up(
    client: Client, namespace: str
) -> None:
    peers = {"from": [{"ipBlock": {"cidr": "999.0.0.0/8"}}]}
    running.create(client, namespace, NAME, {"spec": {"server": {"networkPolicy": peers}}})
    pods = running.wait_for_pods(client, namespace, 1)
    running.set_status(client, namespace, pods, objects.serving())

    wait(client, namespace, "Available", "True", "Serving")

    stalled = wait(client, namespace, "Stalled", "True", "NetworkPolicyInvalid")
    found = get_condition(conditions_of(stalled), "Stalled")
    assert found is not None
    assert "spec.server.networkPolicy" in found["message"]
    assert "999.0.0.0/8" in found["message"]
    (policy,) = client.list(resources.NETWORK_POLICIES, namespace)["items"]
    assert policy["spec"]["ingress"][0]["from"] == [{"podSelector": {}}]
    edit(client, namespace, {"server": {"networkPolicy": None}})
    wait(client, namespace, "Ready", "True", "ServerReady")
