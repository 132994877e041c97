"""What is published of a server, on a real API server: with Kanister's CRD and without it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from controller.conditions import conditions_of, get_condition
from controller.errors import NotFound
from controller.rest.kubeconfig import load_api_client
from e2e import profiles
from e2e.waiting import wait_for
from fakes import objects
from integration import running
from integration.running import DEFINITIONS, Running
from reconcilers import resources
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object, Resource
    from controller.rest.client import Client

NAME = "files"
SERVICE = f"repo-server-{NAME}"
PUBLISH: Object = {"spec": {"publish": {"connection": {}, "kanisterProfile": {}}}}


def server(client: Client, namespace: str) -> Object:
    return client.get(api.REPOSITORY_SERVERS, namespace, NAME)


def warning(client: Client, namespace: str) -> str:
    """Return the status of the condition that warns of what is not published."""
    conditions = conditions_of(server(client, namespace))
    found = get_condition(conditions, "ConnectionUnpublished")
    return "" if found is None else found["status"]


def find(client: Client, resource: Resource, namespace: str, name: str) -> Object | None:
    try:
        return client.get(resource, namespace, name)
    except NotFound:
        return None


def published(client: Client, namespace: str) -> list[str]:
    """Return the names of what is published."""
    children = (
        (resources.PROFILES, SERVICE),
        (resources.SECRETS, f"{SERVICE}-profile"),
        (resources.SECRETS, f"{SERVICE}-connection"),
    )
    return [name for resource, name in children if find(client, resource, namespace, name)]


def told(client: Client, namespace: str) -> set[str]:
    """Return which names of what is published the status has."""
    info = server(client, namespace)["status"]["serverInfo"]
    return {name for name in ("connectionSecretName", "kanisterProfileName") if name in info}


@pytest.fixture
def without_kanister(client: Client) -> Iterator[None]:
    """Have no Profiles in the API server, before and after."""

    def remove() -> None:
        if find(client, DEFINITIONS, "", resources.PROFILES.full_name) is not None:
            client.delete(DEFINITIONS, "", resources.PROFILES.full_name)
        wait_for("Profiles to be unknown", lambda: not running.serves(client, resources.PROFILES))

    remove()
    yield
    remove()


@pytest.fixture
def started(
    client: Client,
    kubeconfig: str,
    namespace: str,
    without_kanister: None,  # noqa: ARG001
) -> Iterator[Running]:
    """Give a controller with a server that is Ready and publishes what it can."""
    running.install_definition(client)
    running.create_secrets(client, namespace)
    running.create(client, namespace, NAME, PUBLISH)
    controller = running.controller(namespace, load_api_client(kubeconfig))
    controller.start()
    with running.Kubelet(client, namespace):
        running.wait_ready(client, namespace)
        yield controller
    controller.end()


@pytest.mark.usefixtures("started")
def test_a_profile_is_published_when_kanister_comes_and_goes_with_the_field(
    client: Client, namespace: str
) -> None:
    connection = client.get(resources.SECRETS, namespace, f"{SERVICE}-connection")
    info = server(client, namespace)["status"]["serverInfo"]
    assert base64.b64decode(connection["data"]["url"]).decode() == info["url"]
    wait_for("a warning", lambda: warning(client, namespace), "True".__eq__)

    client.create(DEFINITIONS, "", profiles.DEFINITION)
    profile = wait_for(
        "the Profile", lambda: find(client, resources.PROFILES, namespace, SERVICE), bool
    )
    assert profile is not None
    access = profiles.read(profile, lambda where, name: client.get(resources.SECRETS, where, name))

    assert access.endpoint == f"https://{SERVICE}.{namespace}.svc:51515"
    assert (access.username, access.hostname) == ("backup", "app")
    assert access.password == objects.USER_PASSWORD_VALUE
    assert access.certificate.count("BEGIN CERTIFICATE") == 1
    wait_for("no warning", lambda: warning(client, namespace), "False".__eq__)

    change = {"location": {"endpoint": "https://elsewhere"}}
    client.merge_patch(resources.PROFILES, namespace, SERVICE, change)
    wait_for(
        "the Profile to be restored",
        lambda: client.get(resources.PROFILES, namespace, SERVICE)["location"]["endpoint"],
        access.endpoint.__eq__,
    )

    client.merge_patch(api.REPOSITORY_SERVERS, namespace, NAME, {"spec": {"publish": None}})
    wait_for("all of it to go", lambda: published(client, namespace), lambda names: not names)
    wait_for("the status to name nothing", lambda: told(client, namespace), lambda names: not names)
