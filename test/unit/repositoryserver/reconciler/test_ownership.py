"""Whose an object is: names that are taken, namesakes, and owner references of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from controller.errors import NotFound
from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action
from fakes.kopia import FakeResult
from fakes.world import SERVICE, USER, USERS_SECRET
from reconcilers import resources
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver import api, servercommands
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


class TestAccessSecretWithTheNameOfOurs:
    """`userAccessSecretRef` names a Secret as the controller's own is called by default."""

    OURS = f"{USERS_SECRET}-own"

    @staticmethod
    def refer_to(world: World, name: str) -> None:
        ref = {"name": name, "namespace": objects.NAMESPACE}
        world.edit({"server": {"userAccess": {"username": "backup", "userAccessSecretRef": ref}}})

    @staticmethod
    def theirs() -> Object:
        theirs: Object = objects.merged(
            objects.users_secret({"app": "other"}), {"metadata": {"name": USERS_SECRET}}
        )
        return theirs

    def test_works_and_stays(self, world: World) -> None:
        """Deleting it, as the message once said, would have deleted the user's passwords."""
        world.change_secret(self.theirs())
        self.refer_to(world, USERS_SECRET)

        world.settle()

        assert world.progress() == "Ready"
        assert world.secret(USERS_SECRET)["data"] == self.theirs()["data"]
        ours = world.secret(self.OURS)
        assert htpasswd.entries(secrets.decoded(ours["data"]["htpasswd"])).keys() == {USER}

    def test_is_refused_if_it_is_ours_and_no_pod_is_replaced(self, settled: World) -> None:
        """Its keys would pass for host names. Whom no Secret names any more is let in no more."""
        pod = settled.pod()
        self.refer_to(settled, USERS_SECRET)

        settled.begin_revision()

        assert settled.condition("ClientUserInitialized")[0] == "False"
        assert "is written by the controller" in settled.condition("ClientUserInitialized")[2]
        assert settled.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
        assert settled.may_connect() == {}

    def test_takes_the_place_of_ours(self, settled: World) -> None:
        former = settled.pod()
        settled.edit({"server": {"drainSeconds": 0}})
        settled.drop_secret(USERS_SECRET)
        settled.change_secret(self.theirs())
        self.refer_to(settled, USERS_SECRET)
        # The former pod still mounts what has the name now.
        settled.kopia.failures["load users"] = FakeResult(servercommands.NOT_THERE_YET)

        settled.begin_revision()
        (new,) = [
            pod for pod in settled.pods() if pod["metadata"]["uid"] != former["metadata"]["uid"]
        ]
        settled.users_secret = self.OURS
        settled.kopia.failures.clear()
        settled.kubelet(new, objects.serving())
        for _ in range(3):
            settled.reconcile()

        assert settled.progress() == "Ready"
        assert settled.pod()["metadata"]["uid"] == new["metadata"]["uid"]
        assert users_volume(settled.pod()) == self.OURS
        assert settled.secret(USERS_SECRET)["data"] == self.theirs()["data"]

    def test_and_back_again(self, world: World) -> None:
        """The name that ours has by now is kept: no pod is replaced, and nothing is left over."""
        world.change_secret(self.theirs())
        self.refer_to(world, USERS_SECRET)
        world.settle()
        pod, world.users_secret = world.pod(), self.OURS

        self.refer_to(world, objects.USERS)
        for _ in range(2):
            world.begin_revision()

        assert world.condition("Ready")[:2] == ("True", "ServerReady")
        assert world.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
        assert world.secret(USERS_SECRET)["data"] == self.theirs()["data"]
        text = secrets.decoded(world.secret(self.OURS)["data"]["htpasswd"])
        assert htpasswd.verify(objects.USER_PASSWORD_VALUE, htpasswd.entries(text)[USER])
        world.drop_secret(USERS_SECRET)
        world.begin_revision()
        assert world.pod()["metadata"]["uid"] == pod["metadata"]["uid"]

    def test_and_back_again_without_an_owner(self, world: World) -> None:
        """Ours is adopted with the name that it has."""
        world.change_secret(self.theirs())
        self.refer_to(world, USERS_SECRET)
        world.settle()
        world.users_secret = self.OURS
        self.refer_to(world, objects.USERS)
        spec = world.server()["spec"]
        _orphan(world)
        world.edit(spec)

        for _ in range(2):
            world.begin_revision()

        assert world.progress() == "Ready"
        assert owner_uids(world.secret(self.OURS)) == ["made-again"]
        assert world.secret(USERS_SECRET)["data"] == self.theirs()["data"]


def users_volume(pod: Object) -> str:
    """Return the name of the Secret with the users that a pod mounts."""
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    name: str = volumes["users"]["secret"]["secretName"]
    return name


def _orphan(world: World) -> None:
    """Delete the resource and leave its children, then make it again."""
    for resource in CHILDREN:
        for obj in world.api.store(resource).list():
            if owner_uids(obj):
                world.api.put(
                    resource, objects.merged(obj, {"metadata": {"ownerReferences": None}})
                )
    again = {"metadata": {"uid": "made-again"}}
    world.api.put(api.REPOSITORY_SERVERS, objects.repository_server(again))


CHILDREN = (
    resources.SECRETS,
    resources.REPLICA_SETS,
    resources.SERVICES,
    resources.NETWORK_POLICIES,
)


@pytest.mark.parametrize("restarted", [False, True])
def test_children_without_an_owner_are_adopted_and_the_pod_goes_on(
    settled: World, *, restarted: bool
) -> None:
    pod = settled.pod()
    _orphan(settled)
    if restarted:
        settled.restart()

    settled.reconcile()

    assert settled.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert settled.progress() == "Ready"
    owned = {
        obj["metadata"]["name"]
        for resource in CHILDREN
        for obj in settled.api.store(resource).list()
        if owner_uids(obj) == ["made-again"]
    }
    revision = settled.replica_set()["metadata"]["name"]
    assert owned == {SERVICE, f"{SERVICE}-users", revision}
    settled.api.taken()
    settled.reconcile()
    assert settled.api.taken() == []


def test_the_record_of_an_adopted_child_says_nothing_of_the_resource_that_is_made_again(
    settled: World,
) -> None:
    """Both have the same generation, and name the same Secrets."""
    _orphan(settled)
    settled.change_server({"spec": {"repository": {"rootPath": "elsewhere"}}})
    settled.restart()

    settled.begin_revision()

    assert len(settled.revisions()) == 2


def test_nothing_is_done_for_a_resource_that_the_api_server_does_not_have_any_more(
    settled: World,
) -> None:
    """The garbage collector would delete what it adopts. The others of its children may be adopted.

    A Service of which that is seen later would leave the pod that serves.
    """
    read = Action("get", "repositoryservers", objects.NAME)
    settled.api.failures[read] = NotFound(404, "NotFound", "gone")
    policy = settled.api.store(resources.NETWORK_POLICIES).get(objects.NAMESPACE, SERVICE)
    assert policy is not None
    change = {"metadata": {"ownerReferences": None}}
    settled.api.put(resources.NETWORK_POLICIES, objects.merged(policy, change))

    settled.reconcile()

    assert settled.api.taken() == [read]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"name": "files-precious"}, id="another name"),
        pytest.param({"labels": {names.LABEL_MANAGED_BY: "somebody"}}, id="another manager"),
        pytest.param(
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n"}]},
            id="an owner",
        ),
    ],
)
def test_what_has_another_owner_or_name_is_not_adopted(settled: World, change: Object) -> None:
    labels = settled.replica_set()["metadata"]["labels"]
    metadata = {"name": SERVICE + "-users", "namespace": objects.NAMESPACE, "labels": labels}
    strange = objects.merged({"metadata": metadata, "spec": {}}, {"metadata": change})
    settled.api.put(resources.SERVICES, strange)

    settled.reconcile()

    assert settled.api.taken() == []


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
    world.api.put(resources.SERVICES, network.service(former, names.NO_HASH))
    world.reconcile()
    world.kubelet(world.pod(), objects.serving())

    world.reconcile()

    assert world.condition("Ready")[0] == "False"


def test_a_deleted_server_is_left_to_the_garbage_collector(settled: World) -> None:
    settled.api.drop(api.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME)

    assert settled.reconcile() == Result()
    assert settled.api.taken() == []


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        pytest.param(True, True, id="while a pod of it ends, its kubelet may know its users"),
        pytest.param(False, False, id="once it is gone the pod starts with the users as they are"),
    ],
)
def test_the_users_of_a_pod_whose_server_had_a_namesake(
    world: World, *, ends: bool, told: bool
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

    (pod,) = [pod for pod in world.pods() if names.hash_of(pod)]
    world.kubelet(pod, objects.serving())
    world.reconcile()
    assert world.kopia.ran() == (["load users"] if told else [])
