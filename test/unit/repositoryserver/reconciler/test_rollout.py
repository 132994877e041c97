"""How a changed server moves from its former pod to a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.conditions import timestamp
from controller.reconcile import Request
from fakes import objects
from fakes.apiclient import Action
from fakes.kopia import FakeResult
from fakes.world import READ_INPUTS, SERVICE, SLOTS, WRITE_STATUS
from reconcilers import resources
from reconcilers.repositoryserver.api import DEFAULT_DRAIN_SECONDS
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import endpoints, handover, plan
from reconcilers.repositoryserver.rollout.refresh import PAUSE_MAX_SECONDS
from reconcilers.repositoryserver.status import patience
from reconcilers.repositoryserver.users.purge import FIRST_SEARCH_SECONDS

if TYPE_CHECKING:
    from fakes.world import World

ONE_POD = (
    "0/2 nodes are available: 2 node has pod using PersistentVolumeClaim with the same name and "
    "ReadWriteOncePod access mode."
)


@pytest.fixture
def draining(settled: World) -> World:
    """Give a world with a server in a new pod, whose former one drains; that is forgotten."""
    settled.clock.step(FIRST_SEARCH_SECONDS)
    settled.reconcile()
    _, new = settled.renew()
    settled.kubelet(new, objects.serving())
    settled.reconcile()
    settled.reconcile()
    settled.kopia.ran()
    return settled


def test_a_label_on_a_secret_restarts_nothing(settled: World) -> None:
    settled.change_secret(objects.labelled(objects.tls_secret()))

    settled.reconcile()

    assert settled.api.taken() == [*READ_INPUTS, settled.write_record]
    settled.reconcile()
    assert settled.api.taken() == []


def test_a_renewed_certificate_moves_the_service_only_to_a_ready_pod(settled: World) -> None:
    old, new = settled.renew()

    assert settled.selected() == names.hash_of(old)
    assert settled.progress() == "Ready"
    fingerprint = settled.fingerprint(new)
    assert settled.server()["status"]["serverInfo"]["tlsFingerprint"] != fingerprint

    settled.kubelet(new, objects.started())
    settled.reconcile()
    assert settled.selected() == names.hash_of(old)

    settled.kubelet(settled.stored(new), objects.serving())
    settled.reconcile()

    assert settled.selected() == names.hash_of(new)
    settled.reconcile()
    assert settled.server()["status"]["serverInfo"]["tlsFingerprint"] == fingerprint


def test_the_fingerprint_moves_with_the_endpoints_and_ready_stays(settled: World) -> None:
    settled.endpoints_lag = True
    old, new = settled.renew()
    settled.route_to(old)
    settled.kubelet(new, objects.serving(since=timestamp(settled.clock.now())))

    settled.reconcile()

    assert settled.selected() == names.hash_of(new)
    info = settled.server()["status"]["serverInfo"]
    assert info["podName"] == old["metadata"]["name"]
    assert settled.progress() == "Ready"

    settled.route_to(new)
    settled.reconcile()

    info = settled.server()["status"]["serverInfo"]
    assert info["podName"] == new["metadata"]["name"]
    assert info["tlsFingerprint"] == settled.fingerprint(new)
    assert settled.progress() == "Ready"


def test_the_former_pod_is_not_given_up_while_its_successor_is_not_up(settled: World) -> None:
    old, _ = settled.renew()
    settled.kubelet(old, objects.started())

    settled.reconcile()

    assert len(settled.pods()) == 2
    assert settled.selected() == names.hash_of(old)
    assert settled.progress() == "Pending"


def test_the_former_pod_drains_and_goes(settled: World) -> None:
    settled.clock.step(FIRST_SEARCH_SECONDS)
    settled.reconcile()
    old, new = settled.renew()
    settled.kubelet(new, objects.serving())
    settled.api.taken()

    result = settled.reconcile()

    # It is marked before the Service leaves it: nobody may take it for one that never served.
    assert settled.api.taken() == [
        Action("patch", "pods", old["metadata"]["name"]),
        Action("apply", "services", SERVICE),
        WRITE_STATUS,
    ]
    assert settled.condition("Ready")[:2] == ("False", "WaitingForEndpoints")
    assert result.requeue_after == endpoints.LAG_SECONDS
    settled.reconcile()
    assert settled.api.taken() == [WRITE_STATUS]
    settled.clock.step(DEFAULT_DRAIN_SECONDS - 1)
    settled.reconcile()
    assert len(settled.pods()) == 2
    # Its container may start again until then.
    revision = settled.replica_set_of(old)
    assert settled.secret(revision["metadata"]["name"])
    settled.api.taken()

    settled.clock.step(1)
    settled.reconcile()
    scale = Action("patch", "replicasets", revision["metadata"]["name"])
    assert settled.api.taken() == [scale]
    assert settled.pod()["metadata"]["uid"] == new["metadata"]["uid"]

    settled.reconcile()
    revision = settled.replica_set()
    assert revision == settled.replica_set_of(new)
    snapshots = [
        secret["metadata"]["name"]
        for secret in settled.api.store(resources.SECRETS).list()
        if names.hash_of(secret)
    ]
    assert snapshots == [revision["metadata"]["name"]]


def refreshes(world: World) -> list[str]:
    """Return the commands since the last look, but for the one that reads Kopia's version."""
    return [name for name in world.kopia.ran() if name != "version"]


def test_what_the_former_pod_writes_becomes_known_to_its_successor(draining: World) -> None:
    for _ in range(3):
        draining.clock.step(PAUSE_MAX_SECONDS)
        result = draining.reconcile()
        assert refreshes(draining) == ["refresh"]
        assert result.requeue_after == PAUSE_MAX_SECONDS

    # Once more when it can write no more, and then never again.
    draining.clock.step(DEFAULT_DRAIN_SECONDS)
    draining.reconcile()
    assert len(draining.pods()) == 1
    draining.kopia.ran()
    for ran in (["refresh"], []):
        draining.clock.step(PAUSE_MAX_SECONDS)
        draining.reconcile()
        assert refreshes(draining) == ran


@pytest.mark.parametrize(
    ("failures", "silent"),
    [
        pytest.param({"refresh": FakeResult(1, stderr=b"no")}, set[str](), id="Kopia refuses"),
        pytest.param(dict[str, FakeResult](), {"refresh"}, id="Kopia does not answer"),
    ],
)
def test_a_refresh_that_fails_is_tried_again_and_keeps_nobody_out(
    draining: World, failures: dict[str, FakeResult], silent: set[str]
) -> None:
    draining.kopia.failures, draining.kopia.silent = failures, silent

    draining.clock.step(PAUSE_MAX_SECONDS)
    draining.reconcile()
    assert refreshes(draining) == ["refresh"]
    assert draining.progress() == "Ready"

    # The former pod is gone by then, and without the failure there would be no more.
    draining.clock.step(DEFAULT_DRAIN_SECONDS)
    draining.reconcile()
    draining.clock.step(PAUSE_MAX_SECONDS)
    draining.reconcile()
    draining.kopia.failures, draining.kopia.silent = {}, set()
    draining.kopia.ran()
    draining.clock.step(PAUSE_MAX_SECONDS)
    draining.reconcile()
    assert refreshes(draining) == ["refresh"]
    draining.clock.step(PAUSE_MAX_SECONDS)
    draining.reconcile()
    assert refreshes(draining) == []


def test_a_pod_that_waits_for_the_claim_of_the_former_one_takes_its_place(
    settled: World,
) -> None:
    old, new = settled.renew()
    elsewhere = objects.merged(new, {"spec": {"nodeName": "other"}})
    settled.kubelet(elsewhere, objects.creating())
    settled.api.put(resources.PERSISTENT_VOLUME_CLAIMS, objects.claim("ReadWriteOnce"))
    settled.reconcile()
    assert len(settled.pods()) == 2
    settled.clock.step(plan.IN_PLACE_AFTER_SECONDS)

    settled.reconcile()

    assert settled.pod()["metadata"]["name"] == new["metadata"]["name"]
    (told,) = [event for event in settled.recorder.lines() if "ReplacedInPlace" in event]
    assert old["metadata"]["name"] in told
    settled.kubelet(settled.pod(), objects.serving())
    settled.reconcile()
    settled.reconcile()
    assert settled.replica_set() == settled.replica_set_of(new)
    assert settled.progress() == "Ready"


def test_a_claim_for_one_pod_is_waited_for_as_long_as_the_former_one_has_it(
    settled: World,
) -> None:
    """The scheduler says so at once, and nobody has to do anything about it."""
    old, new = settled.renew()
    settled.kubelet(new, objects.unscheduled(ONE_POD))
    settled.api.put(resources.PERSISTENT_VOLUME_CLAIMS, objects.claim("ReadWriteOncePod"))
    settled.recorder.events.clear()
    settled.reconcile()
    settled.clock.step(patience.SECONDS)

    settled.reconcile()

    assert settled.condition("Ready")[:2] == ("False", "PodPending")
    message = settled.condition("Ready")[2]
    assert f"PersistentVolumeClaim {objects.CLAIM}, which pod {old['metadata']['name']}" in message
    assert settled.recorder.warnings() == []
    others = [Request(objects.NAMESPACE, f"other-{number}") for number in range(SLOTS)]
    assert [settled.slots.acquire(other) for other in others].count(True) == SLOTS - 1
    settled.clock.step(plan.IN_PLACE_AFTER_SECONDS)
    settled.reconcile()
    assert settled.pod()["metadata"]["name"] == new["metadata"]["name"]
    assert settled.condition("Ready")[2] == message.partition(" (")[0]


def test_the_former_pod_gets_its_claim_back_if_its_successor_makes_no_use_of_it(
    settled: World,
) -> None:
    old, new = settled.renew()
    former = settled.replica_set_of(old)["metadata"]["name"]
    settled.kubelet(objects.merged(new, {"spec": {"nodeName": "other"}}), objects.creating())
    settled.api.put(resources.PERSISTENT_VOLUME_CLAIMS, objects.claim("ReadWriteOnce"))
    settled.clock.step(plan.IN_PLACE_AFTER_SECONDS)
    settled.reconcile()
    settled.kubelet(settled.pod(), objects.crash_looping("unable to open"))
    settled.reconcile()

    settled.clock.step(handover.GIVE_BACK_SECONDS)
    settled.reconcile()

    back = settled.pod()
    assert settled.replica_set_of(back)["metadata"]["name"] == former
    settled.kubelet(back, objects.serving())
    settled.reconcile()
    settled.reconcile()
    assert settled.selected() == names.hash_of(old)
    value, reason, message = settled.condition("Ready")
    assert (value, reason) == ("False", "ReplacementNotReady")
    assert f"pod {back['metadata']['name']} still serves" in message
    # Each try is an outage.
    settled.clock.step(handover.TRY_AGAIN_SECONDS - handover.GIVE_BACK_SECONDS)
    settled.reconcile()
    assert settled.pod()["metadata"]["uid"] == back["metadata"]["uid"]
    settled.clock.step(handover.GIVE_BACK_SECONDS)
    settled.reconcile()
    assert len(settled.pods()) == 2


def test_who_takes_a_failed_change_back_has_the_former_revision_at_once(settled: World) -> None:
    old, new = settled.renew()
    settled.kubelet(new, objects.crash_looping("unable to open"))
    settled.reconcile()

    settled.change_secret(objects.tls_secret())
    settled.reconcile()

    assert settled.pod()["metadata"]["uid"] == old["metadata"]["uid"]
    settled.reconcile()
    assert settled.replica_set() == settled.replica_set_of(old)
    assert settled.progress() == "Ready"
