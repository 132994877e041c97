"""Whose an object is: names that are taken, namesakes, and owner references of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action
from fakes.world import SERVICE, USER, USERS_SECRET
from reconcilers import resources
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names, network
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World

OURS = {"apiVersion": "cr.kanister.io/v1alpha1", "kind": "RepositoryServer", "name": objects.NAME}


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(resources.SECRETS, id="a Secret"),
        pytest.param(resources.PODS, id="a pod"),
        pytest.param(resources.SERVICES, id="a Service"),
        pytest.param(resources.NETWORK_POLICIES, id="a NetworkPolicy"),
    ],
)
def test_what_others_let_the_server_own_is_theirs(settled: World, resource: Any) -> None:
    owner = {"apiVersion": "cr.kanister.io/v1alpha1", "kind": "RepositoryServer"}
    metadata = {
        "name": "precious",
        "namespace": objects.NAMESPACE,
        "ownerReferences": [{**owner, "uid": settled.server()["metadata"]["uid"]}],
    }
    settled.api.put(resource, {"metadata": metadata})

    settled.reconcile()

    assert settled.api.taken() == []


def test_a_name_that_is_taken_is_not_taken_over(world: World) -> None:
    strange = {
        "metadata": {"name": SERVICE, "namespace": objects.NAMESPACE},
        "spec": {"selector": {"app": "other"}},
    }
    world.api.put(resources.SERVICES, strange)

    world.reconcile()

    _, reason, message = world.condition("Ready")
    assert reason == "NameTaken"
    assert "delete it" not in message
    assert Action("apply", "services", SERVICE) not in world.api.taken()


def test_an_access_secret_that_has_the_name_of_ours_works_and_stays(world: World) -> None:
    """Deleting it, as the message once said, would have deleted the passwords of the user's."""
    theirs = objects.merged(objects.users_secret(), {"metadata": {"name": USERS_SECRET}})
    world.change_secret(theirs)
    ref = {"name": USERS_SECRET, "namespace": objects.NAMESPACE}
    world.edit({"server": {"userAccess": {"username": "backup", "userAccessSecretRef": ref}}})

    world.settle()

    assert world.progress() == "Ready"
    assert world.secret(USERS_SECRET)["data"] == theirs["data"]
    ours = world.secret(f"{USERS_SECRET}-own")
    assert htpasswd.entries(secrets.decoded(ours["data"]["htpasswd"])).keys() == {USER}


def test_our_own_copy_of_the_users_is_no_access_secret(settled: World) -> None:
    """Its keys would pass for host names."""
    ref = {"name": USERS_SECRET, "namespace": objects.NAMESPACE}
    settled.edit({"server": {"userAccess": {"username": "backup", "userAccessSecretRef": ref}}})

    settled.reconcile()

    assert settled.condition("ClientUserInitialized")[0] == "False"
    assert "is written by the controller" in settled.condition("ClientUserInitialized")[2]


def test_what_a_deleted_namesake_has_left_is_waited_for(world: World) -> None:
    former = api.parse(objects.repository_server({"metadata": {"uid": "uid-of-a-namesake"}}))
    left = network.network_policy(former)
    world.api.put(resources.NETWORK_POLICIES, left)

    world.reconcile()

    assert world.progress() == "Pending"
    assert not world.recorder.warnings()
    world.api.drop(resources.NETWORK_POLICIES, objects.NAMESPACE, SERVICE)
    world.settle()
    assert world.progress() == "Ready"


def test_a_server_is_not_ready_by_the_service_of_a_deleted_namesake(world: World) -> None:
    former = api.parse(objects.repository_server({"metadata": {"uid": "uid-of-a-namesake"}}))
    world.api.put(resources.SERVICES, network.service(former, names.NO_DIGEST))
    world.pass_()
    world.kubelet(world.pod(), objects.serving())

    world.pass_()

    assert world.condition("Ready")[0] == "False"


def test_a_deleted_server_is_left_to_the_garbage_collector(settled: World) -> None:
    settled.api.drop(api.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME)

    assert settled.reconcile() == Result()
    assert settled.api.taken() == []


@pytest.mark.parametrize(
    ("ends", "marked"),
    [
        pytest.param(True, False, id="while a pod of it ends, its kubelet may know its users"),
        pytest.param(False, True, id="once it is gone the pod starts with the users as they are"),
    ],
)
def test_the_users_of_a_pod_whose_server_had_a_namesake(
    world: World, *, ends: bool, marked: bool
) -> None:
    if ends:
        former: Object = {
            "metadata": {
                "name": "files-of-before",
                "namespace": objects.NAMESPACE,
                "labels": {names.LABEL_INSTANCE: objects.NAME},
                "ownerReferences": [{**OURS, "uid": "of-before"}],
                "deletionTimestamp": "2026-01-01T00:00:30Z",
            },
            "spec": {},
            "status": {},
        }
        world.api.put(resources.PODS, former)

    world.reconcile()

    uid = world.server()["metadata"]["uid"]
    (pod,) = [pod for pod in world.pods() if uid in owner_uids(pod)]
    assert bool(names.users_of(pod)) is marked
