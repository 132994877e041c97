"""What people and webhooks change of the children: what is put back, and what is let be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes import objects
from fakes.apiclient import Action
from fakes.world import READ_INPUTS, READ_USERS, SERVICE, USER, WRITE_STATUS
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.applier import MUTATED_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object, Resource
    from fakes.world import World


def _add_port(service: Object) -> None:
    service["spec"]["ports"].append({"name": "x", "port": 1, "protocol": "TCP", "targetPort": 1})


def _widen_selector(service: Object) -> None:
    service["spec"]["selector"]["app"] = "other"


def _open_to_all(policy: Object) -> None:
    policy["spec"]["ingress"] = [{}]


def _drop_labels(obj: Object) -> None:
    del obj["metadata"]["labels"]


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        pytest.param(resources.SERVICES, _add_port, id="a port added to the Service"),
        pytest.param(resources.SERVICES, _widen_selector, id="a label added to its selector"),
        pytest.param(resources.NETWORK_POLICIES, _open_to_all, id="an opened NetworkPolicy"),
        pytest.param(resources.NETWORK_POLICIES, _drop_labels, id="labels taken away"),
    ],
)
def test_what_is_changed_by_hand_is_put_back(
    settled: World, resource: Any, change: Callable[[Object], None]
) -> None:
    store = settled.api.store(resource)
    before = store.list()[0]
    changed = objects.merged(before, {})
    change(changed)
    settled.api.put(resource, changed)

    settled.reconcile()

    assert settled.api.taken() == [Action("apply", resource.plural, SERVICE)]
    assert store.list()[0]["spec"] == before["spec"]
    settled.reconcile()
    assert settled.api.taken() == []


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(resources.REPLICA_SETS, id="the ReplicaSet's digest, by which it is found"),
        pytest.param(resources.SECRETS, id="its Secret's, by which that is deleted some day"),
    ],
)
def test_a_label_that_is_taken_away_is_put_back(settled: World, resource: Resource) -> None:
    label, name = names.LABEL_HASH, settled.replica_set()["metadata"]["name"]
    store = settled.api.store(resource)
    before = store.get(objects.NAMESPACE, name)
    assert before is not None
    changed = objects.merged(before, {"metadata": {"labels": {label: None}}})
    settled.api.put(resource, changed)

    settled.reconcile()

    assert settled.api.taken() == [*READ_INPUTS, Action("apply", resource.plural, name)]
    after = store.get(objects.NAMESPACE, name)
    assert after is not None
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert settled.progress() == "Ready"
    settled.reconcile()
    assert settled.api.taken() == []


@pytest.mark.parametrize("label", [names.LABEL_HASH, names.LABEL_INSTANCE])
@pytest.mark.parametrize(
    "released",
    [
        pytest.param(False, id="at once"),
        pytest.param(True, id="after its ReplicaSet has let go of it"),
    ],
)
def test_a_label_by_which_clients_reach_a_pod_is_put_back(
    settled: World, label: str, *, released: bool
) -> None:
    """Without it the pod would run on, without protection, beside another one."""
    before = settled.pod()
    metadata: Object = {"labels": {label: None}}
    if released:
        metadata["ownerReferences"] = None
    settled.api.put(resources.PODS, objects.merged(before, {"metadata": metadata}))

    settled.reconcile()

    restored = settled.stored(before)["metadata"]
    assert Action("patch", "pods", restored["name"]) in settled.api.taken()
    assert restored["labels"] == before["metadata"]["labels"]


LABELS = (names.LABEL_MANAGED_BY, names.LABEL_INSTANCE, names.LABEL_HASH)


def _lose(world: World, pod: Object, *labels: str) -> None:
    """Take labels off a pod that drains, so that its ReplicaSet releases it, and delete that."""
    change = {"labels": dict.fromkeys(labels), "ownerReferences": None}
    world.api.put(resources.PODS, objects.merged(pod, {"metadata": change}))
    world.api.drop(resources.REPLICA_SETS, objects.NAMESPACE, names.maker_of(pod))


class TestStray:
    """A pod that nobody owns and whose ReplicaSet is gone: nobody else would ever delete it."""

    @pytest.fixture
    def former(self, settled: World) -> Object:
        """Give the former pod of a server, which drains beside the newest one."""
        former, new = settled.renew()
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        return settled.stored(former)

    @pytest.mark.parametrize(
        "labels",
        [
            pytest.param((), id="left behind with all labels as its ReplicaSet was deleted"),
            pytest.param((names.LABEL_INSTANCE,), id="without the label of its server"),
            pytest.param((names.LABEL_HASH,), id="without that of its revision"),
            pytest.param(LABELS, id="without any label, known by an annotation"),
        ],
    )
    def test_is_deleted(self, settled: World, former: Object, labels: tuple[str, ...]) -> None:
        _lose(settled, former, *labels)

        settled.reconcile()

        assert former["metadata"]["name"] not in {pod["metadata"]["name"] for pod in settled.pods()}
        assert settled.progress() == "Ready"

    def test_is_deleted_after_the_resource_is(self, settled: World, former: Object) -> None:
        _lose(settled, former, names.LABEL_INSTANCE)
        settled.api.drop(api.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME)

        settled.reconcile()

        assert former["metadata"]["name"] not in {pod["metadata"]["name"] for pod in settled.pods()}

    def test_is_told_of_changed_users_while_nobody_knows_what_is_to_be(
        self, settled: World
    ) -> None:
        """While an input is wrong it is not deleted: it may be of the newest revision."""
        pod = settled.pod()
        settled.drop_secret(objects.TLS)
        _lose(settled, pod)
        settled.change_secret(objects.users_secret({"app": "other"}))

        settled.reconcile()

        assert settled.stored(pod)["metadata"]["uid"] == pod["metadata"]["uid"]
        assert settled.may_connect() == {USER: "other"}
        assert settled.kopia.ran() == ["load users"]

    @pytest.mark.parametrize("is_kept", [False, True])
    def test_of_the_newest_revision_is_deleted_once_it_has_ended(
        self, settled: World, *, is_kept: bool
    ) -> None:
        """A ReplicaSet takes back no pod that has ended (replica_set.go, FilterActivePods)."""
        pod = settled.pod()
        settled.kubelet(pod, objects.evicted())
        change = {"metadata": {"ownerReferences": None}}
        settled.api.put(resources.PODS, objects.merged(settled.stored(pod), change))
        if not is_kept:
            settled.api.drop(resources.REPLICA_SETS, objects.NAMESPACE, names.maker_of(pod))

        settled.reconcile()

        assert pod["metadata"]["name"] not in {one["metadata"]["name"] for one in settled.pods()}

    def test_of_the_newest_revision_goes_on_and_is_taken_back(self, settled: World) -> None:
        pod = settled.pod()
        _lose(settled, pod, names.LABEL_INSTANCE)

        settled.reconcile()

        assert settled.stored(pod)["metadata"]["uid"] == pod["metadata"]["uid"]

    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param({"generateName": "files-web-"}, id="made by something else"),
            pytest.param({"generateName": None}, id="made by hand"),
            pytest.param({"namespace": "other"}, id="of another namespace"),
            pytest.param(
                {
                    "labels": dict.fromkeys(LABELS),
                    "annotations": {names.ANNOTATION_FROM_TEMPLATE: None},
                },
                id="with nothing that is ours",
            ),
        ],
    )
    def test_of_somebody_else_stays(self, settled: World, former: Object, metadata: Object) -> None:
        strange = {"name": "strange", "uid": "strange", "ownerReferences": None, **metadata}
        settled.api.put(resources.PODS, objects.merged(former, {"metadata": strange}))
        settled.api.drop(resources.REPLICA_SETS, objects.NAMESPACE, names.maker_of(former))

        settled.reconcile()

        assert "strange" in {pod["metadata"]["name"] for pod in settled.pods()}


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param((), id="somebody has taken its owner off"),
        pytest.param((names.LABEL_INSTANCE,), id="it has lost the label of its server"),
        pytest.param((names.LABEL_HASH,), id="it has lost that of its revision"),
    ],
)
def test_a_pod_that_its_replica_set_takes_back_goes_on_serving(
    settled: World, labels: tuple[str, ...]
) -> None:
    """Not one that drains: its own sessions would end, and without a time to drain."""
    former, new = settled.renew()
    settled.kubelet(new, objects.serving())
    settled.reconcile()
    selected = settled.selected()
    change = {"labels": dict.fromkeys(labels), "ownerReferences": None}
    settled.api.put(resources.PODS, objects.merged(settled.stored(new), {"metadata": change}))
    settled.replica_sets.sync()

    settled.reconcile()

    assert former["metadata"]["name"] in {pod["metadata"]["name"] for pod in settled.pods()}
    assert settled.selected() == selected
    assert names.ANNOTATION_DRAIN_UNTIL not in settled.stored(new)["metadata"]["annotations"]


def test_a_pod_that_has_its_labels_again_counts_once_the_endpoints_have_it(settled: World) -> None:
    """Without the label the Service did not select it."""
    settled.endpoints_lag = True
    pod = settled.pod()
    settled.api.drop(resources.ENDPOINT_SLICES, objects.NAMESPACE, f"{SERVICE}-x")
    change = {"metadata": {"labels": {names.LABEL_HASH: None}}}
    settled.api.put(resources.PODS, objects.merged(pod, change))

    settled.reconcile()

    assert settled.stored(pod)["metadata"]["labels"] == pod["metadata"]["labels"]
    assert settled.condition("Available")[0] == "False"
    settled.route_to(pod)
    settled.reconcile()
    assert settled.condition("Available")[0] == "True"


class TestFormerRevision:
    """A ReplicaSet or snapshot of before is known by its name, whoever takes its label off."""

    @pytest.mark.parametrize("resource", [resources.REPLICA_SETS, resources.SECRETS])
    def test_goes_with_its_time(self, settled: World, resource: Resource) -> None:
        former, new = settled.renew()
        name = names.maker_of(former)
        obj = settled.api.store(resource).get(objects.NAMESPACE, name)
        assert obj is not None
        change = {"metadata": {"labels": {names.LABEL_HASH: None}}}
        settled.api.put(resource, objects.merged(obj, change))
        settled.edit({"server": {"drainSeconds": 0}})
        settled.kubelet(new, objects.serving())

        for _ in range(3):
            settled.reconcile()

        assert settled.api.store(resource).get(objects.NAMESPACE, name) is None

    def test_without_owner_and_label_is_adopted(self, settled: World) -> None:
        """Its name was taken else, and the server would never be Ready again."""
        change = {"labels": {names.LABEL_HASH: None}, "ownerReferences": None}
        settled.api.put(
            resources.REPLICA_SETS, objects.merged(settled.replica_set(), {"metadata": change})
        )

        settled.reconcile()
        settled.reconcile()

        assert settled.progress() == "Ready"
        assert owner_uids(settled.replica_set()) == [settled.server()["metadata"]["uid"]]


class TestWebhook:
    """What a mutating webhook makes of the children is not fought over."""

    @staticmethod
    def change_pod(resource: Resource, obj: Object) -> None:
        if resource == resources.PODS:
            (container,) = obj["spec"]["containers"]
            container["image"] = f"mirror.example/{container['image']}"
            container["imagePullPolicy"] = "Always"
            container["livenessProbe"]["httpGet"] = {"path": "/app-health", "port": 15020}
            container["resources"]["requests"]["cpu"] = "1"
            container["env"].insert(0, {"name": "PROXY", "value": "on"})
            obj["spec"]["containers"].append({"name": "proxy", "image": "proxy:1"})

    def test_what_it_has_made_of_a_running_pod_is_let_be(self, world: World) -> None:
        world.api.admission = self.change_pod
        world.settle()
        changed = world.pod()["spec"]
        # Of a pod that is there it changes nothing.
        world.api.admission = lambda *_: None
        world.record("")
        world.restart()

        world.reconcile()

        assert world.api.taken() == [*READ_USERS, *READ_INPUTS, world.write_record]
        world.edit({"server": {"podLabels": {"team": "a"}}})
        world.reconcile()
        assert world.pod()["metadata"]["labels"]["team"] == "a"
        assert world.pod()["spec"] == changed
        assert world.progress() == "Ready"

    def test_a_label_of_its_own_on_a_child_keeps_nobody_out(self, world: World) -> None:
        def label(_: Resource, obj: Object) -> None:
            if labels := obj["metadata"].get("labels"):
                labels[names.LABEL_MANAGED_BY] = "webhook"

        world.api.admission = label

        world.reconcile()
        world.kubelet(world.pod(), objects.serving())
        world.reconcile()

        assert world.progress() == "Ready"
        assert [action for action in world.api.taken() if action.verb == "patch"] == [WRITE_STATUS]

    def test_what_it_insists_on_is_not_applied_again_and_again(self, world: World) -> None:
        def insist(resource: Resource, obj: Object) -> None:
            if resource == resources.NETWORK_POLICIES:
                obj["spec"]["policyTypes"] = ["Ingress", "Egress"]

        policy = [Action(verb, "networkpolicies", SERVICE) for verb in ("apply", "patch")]
        world.api.admission = insist
        world.settle()

        world.reconcile()

        assert world.api.taken() == []
        # It may be gone by now.
        world.clock.step(MUTATED_SECONDS)
        world.reconcile()
        assert policy[0] in world.api.taken()
        world.edit({"server": {"networkPolicy": {"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}}})
        world.reconcile()
        assert [action for action in world.api.taken() if action in policy] == policy
