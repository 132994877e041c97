"""A controller that starts with other settings than the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from controller.reconcile import Request
from fakes import objects
from reconcilers.pods import allowed
from reconcilers.repositoryserver.children import names
from reconcilers.settings import PodDefaults, StorageDefaults

if TYPE_CHECKING:
    from fakes.world import World


def test_changed_settings_bring_up_another_pod_beside_the_one_that_serves(settled: World) -> None:
    before = settled.pod()
    settled.settings = evolve(settled.settings, pod=PodDefaults(priority_class_name="high"))

    settled.restart()
    settled.begin_revision()

    (new,) = [pod for pod in settled.pods() if pod["metadata"]["uid"] != before["metadata"]["uid"]]
    assert new["spec"]["priorityClassName"] == "high"
    template = settled.replica_set_of(new)["spec"]["template"]
    assert template["spec"]["priorityClassName"] == "high"
    assert settled.selected() == names.hash_of(before)


def test_the_image_of_a_resource_counts_more_than_that_of_the_settings(settled: World) -> None:
    settled.pod_override = allowed.ANY
    settled.restart()
    settled.edit({"server": {"image": "registry.example/kopia:next"}})

    settled.begin_revision()

    images = {pod["spec"]["containers"][0]["image"] for pod in settled.pods()}
    assert images == {objects.IMAGE, "registry.example/kopia:next"}


def test_they_wait_for_a_slot_as_any_other_change_does(settled: World) -> None:
    for number in range(5):
        settled.slots.acquire(Request(objects.NAMESPACE, f"other-{number}"))
    settled.settings = evolve(settled.settings, pod=PodDefaults(priority_class_name="high"))

    settled.restart()
    settled.begin_revision()

    assert len(settled.pods()) == 1


def test_the_same_settings_change_nothing_and_no_secret_is_read(settled: World) -> None:
    settled.restart()
    settled.reconcile()

    assert settled.api.taken() == []


def test_annotations_of_the_settings_reach_the_pod_that_runs(settled: World) -> None:
    before = settled.pod()
    settled.settings = evolve(settled.settings, pod=PodDefaults(annotations={"team": "backup"}))

    settled.restart()
    settled.reconcile()

    assert settled.pod()["metadata"]["uid"] == before["metadata"]["uid"]
    assert settled.pod()["metadata"]["annotations"]["team"] == "backup"


def test_a_bundle_for_all_stores_does_not_concern_a_file_store(settled: World) -> None:
    authority = objects.key_pair().certificate
    settled.settings = evolve(settled.settings, storage=StorageDefaults(ca_bundle=authority))

    settled.restart()
    settled.reconcile()

    assert len(settled.pods()) == 1
