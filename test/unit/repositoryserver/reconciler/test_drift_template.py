"""What people change of a template: the next pod or Job would be made from that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from fakes.apiclient import Action
from fakes.world import READ_INPUTS
from reconcilers import resources
from reconcilers.repositoryserver.children import generation, names

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object, Resource
    from fakes.world import World


def _set_image(replica_set: Object) -> None:
    replica_set["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1"


def _drop_environment(replica_set: Object) -> None:
    del replica_set["spec"]["template"]["spec"]["containers"][0]["env"]


def _add_container(replica_set: Object) -> None:
    spec = replica_set["spec"]["template"]["spec"]
    spec["containers"].append({"name": "other", "image": "other:1"})


def _share_network(replica_set: Object) -> None:
    replica_set["spec"]["template"]["spec"]["hostNetwork"] = True


def _label(replica_set: Object) -> None:
    replica_set["spec"]["template"]["metadata"]["labels"]["by"] = "hand"


def _relabel(replica_set: Object) -> None:
    replica_set["spec"]["template"]["metadata"]["labels"][names.LABEL_MANAGED_BY] = "hand"


def _wait_longer(replica_set: Object) -> None:
    replica_set["spec"]["minReadySeconds"] = 600


def _add_pods(replica_set: Object) -> None:
    replica_set["spec"]["replicas"] = 3


def _take_pod(replica_set: Object) -> None:
    replica_set["spec"]["replicas"] = 0


def _all(replica_set: Object) -> None:
    for change in (_set_image, _add_container, _label, _add_pods):
        change(replica_set)


CHANGES = (
    pytest.param(_set_image, id="another value"),
    pytest.param(_drop_environment, id="a field that is taken away"),
    pytest.param(_add_container, id="a container more, which would see the credentials"),
    pytest.param(_share_network, id="a field that we do not write"),
    pytest.param(_label, id="a label more"),
    pytest.param(_relabel, id="a label with another value"),
    pytest.param(_wait_longer, id="a field beside the template"),
    pytest.param(_add_pods, id="more pods"),
    pytest.param(_take_pod, id="no pod"),
    pytest.param(_all, id="several at once"),
)


def _change(world: World, change: Callable[[Object], None]) -> None:
    changed = objects.merged(world.replica_set(), {})
    change(changed)
    world.api.put(resources.REPLICA_SETS, changed)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("restarted", [False, True])
def test_it_is_put_back(
    settled: World, change: Callable[[Object], None], *, restarted: bool
) -> None:
    """Also what was changed while no controller ran."""
    before, pod = settled.replica_set(), settled.pod()
    _change(settled, change)
    if restarted:
        settled.restart()

    settled.reconcile()

    assert settled.replica_set()["spec"] == before["spec"]
    if change is not _take_pod:
        assert settled.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    settled.reconcile()
    settled.api.taken()
    settled.reconcile()
    assert settled.api.taken() == []


def test_it_is_told(settled: World) -> None:
    _change(settled, _set_image)

    settled.reconcile()

    name = settled.replica_set()["metadata"]["name"]
    line = f"Normal ChildRestored: ReplicaSet {name} was not as it should be and has been restored"
    assert settled.recorder.lines().count(line) == 1
    taken = settled.api.taken()
    assert [action for action in taken if action.resource == "replicasets"] == [
        Action("apply", "replicasets", name),
        Action("patch", "replicasets", name),
    ]


def test_what_is_put_back_by_the_same_hand_costs_one_look(settled: World) -> None:
    """The generation has moved on, and the specification has not."""
    before = settled.replica_set()
    _change(settled, _set_image)
    settled.api.put(
        resources.REPLICA_SETS,
        {**before, "metadata": settled.replica_set()["metadata"]},
    )

    settled.reconcile()

    assert [action for action in settled.api.taken() if action in READ_INPUTS] == READ_INPUTS
    settled.reconcile()
    assert settled.api.taken() == []
    assert settled.replica_set()["spec"] == before["spec"]


def test_what_is_added_by_default_stays_and_is_no_change(world: World) -> None:
    def default(resource: Resource, obj: Object) -> None:
        if resource == resources.REPLICA_SETS:
            obj["spec"].setdefault("minReadySeconds", 0)
            obj["spec"]["template"]["spec"].setdefault("dnsPolicy", "ClusterFirst")

    world.api.admission = default
    world.settle()
    before = world.replica_set()["spec"]
    assert before["template"]["spec"]["dnsPolicy"] == "ClusterFirst"
    world.api.taken()
    world.reconcile()
    assert world.api.taken() == []

    _change(world, _share_network)
    world.reconcile()

    assert world.replica_set()["spec"] == before
    world.reconcile()
    world.api.taken()
    world.reconcile()
    assert world.api.taken() == []


def test_it_is_put_back_once_the_inputs_are_known(settled: World) -> None:
    """While a Secret is missing nobody can say what the template should be."""
    before = settled.replica_set()["spec"]
    settled.drop_secret(objects.TLS)
    _change(settled, _all)
    settled.reconcile()

    settled.change_secret(objects.tls_secret())
    settled.reconcile()
    settled.reconcile()

    assert settled.replica_set()["spec"] == before


def test_what_the_controller_writes_is_no_change_by_hand(settled: World) -> None:
    """A label of the resource's changes the template: no further look at the Secrets follows."""
    settled.edit({"server": {"podLabels": {"team": "a"}}})
    settled.reconcile()
    settled.edit({"server": {"podLabels": {"team": None}}})
    settled.reconcile()
    replica_set = settled.replica_set()

    assert replica_set["metadata"]["generation"] > 1
    assert generation.is_as_written(replica_set)
    settled.api.taken()
    settled.reconcile()
    assert settled.api.taken() == []


def test_another_schedule_by_hand_is_put_back_and_a_pause_stays(settled: World) -> None:
    settled.edit({"repository": {"maintenance": {"schedule": "@daily"}}})
    settled.reconcile()
    store = settled.api.store(resources.CRON_JOBS)
    (before,) = store.list()
    spec = {"schedule": "@yearly", "suspend": True, "jobTemplate": {"spec": {"backoffLimit": 9}}}
    settled.api.put(resources.CRON_JOBS, objects.merged(before, {"spec": spec}))

    settled.reconcile()

    assert store.list()[0]["spec"] == {**before["spec"], "suspend": True}
    settled.api.taken()
    settled.reconcile()
    assert settled.api.taken() == []
