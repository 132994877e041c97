"""How many servers are replaced at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.reconcile import Request
from fakes import objects
from fakes.world import SLOTS
from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import podstatus
from reconcilers.repositoryserver.rollout.throttle import MIN_PAUSE_SECONDS
from reconcilers.repositoryserver.rollout.update import QUIET_SECONDS
from reconcilers.repositoryserver.status import patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from fakes.world import World

# As many as have a slot.
OTHERS = [Request(objects.NAMESPACE, f"other-{number}") for number in range(SLOTS)]


def test_no_more_servers_are_replaced_at_once_than_have_a_slot(settled: World) -> None:
    for other in OTHERS:
        settled.slots.acquire(other)
    settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))

    settled.begin_revision()

    assert len(settled.pods()) == 1
    assert settled.condition("Ready")[1] == "WaitingForSlot"
    assert settled.progress() == "Ready"

    settled.slots.release(OTHERS[0])
    settled.reconcile()

    assert len(settled.pods()) == 2


def test_a_new_server_needs_no_slot(world: World) -> None:
    for other in OTHERS:
        world.slots.acquire(other)

    world.reconcile()

    assert world.pod()


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(
            lambda world, _: world.api.drop(
                api.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME
            ),
            id="it is deleted",
        ),
        pytest.param(
            lambda world, new: world.kubelet(new, objects.image_pull_failed()),
            id="its new pod does not come up",
        ),
        pytest.param(
            lambda world, new: world.kubelet(new, objects.serving()),
            id="its new pod is Ready",
        ),
    ],
)
def test_a_server_gives_its_slot_to_another_when(
    settled: World, end: Callable[[World, Object], None]
) -> None:
    _, new = settled.renew()
    *others, waiting = OTHERS
    assert all(settled.slots.acquire(other) for other in others)
    assert not settled.slots.acquire(waiting)

    end(settled, new)
    settled.reconcile()
    settled.clock.step(patience.SECONDS)
    settled.reconcile()

    assert settled.slots.acquire(waiting)


class TestSlots:
    """Servers that wait for their slot, and slots of servers that cannot use them."""

    def test_who_waits_reads_nothing(self, settled: World) -> None:
        for other in OTHERS:
            settled.slots.acquire(other)
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))
        settled.begin_revision()
        settled.api.taken()

        result = settled.reconcile()

        assert settled.api.taken() == []
        assert result.requeue_after == MIN_PAUSE_SECONDS

    @pytest.mark.parametrize(
        "status",
        [
            pytest.param(objects.unscheduled(), id="no node has room for its pod"),
            pytest.param(objects.image_pull_failed(), id="its image cannot be pulled"),
        ],
    )
    def test_one_whose_fault_may_yet_pass_keeps_it_and_has_not_failed(
        self, settled: World, status: Object
    ) -> None:
        _, new = settled.renew()
        *others, waiting = OTHERS
        for other in others:
            settled.slots.acquire(other, "broken")
            settled.slots.fail(other)

        settled.kubelet(new, status)
        settled.reconcile()

        assert settled.slots.acquire(waiting, "any")
        settled.slots.release(waiting)
        settled.clock.step(patience.SECONDS)
        settled.reconcile()
        assert not settled.slots.acquire(waiting, "any")

    def test_one_that_is_refused_gives_its_slot_back(self, settled: World) -> None:
        settled.renew()
        elsewhere = {"spec": {"server": {"tlsSecretRef": {"namespace": "other"}}}}
        settled.api.put(api.REPOSITORY_SERVERS, objects.repository_server(elsewhere))

        settled.reconcile()

        assert all(settled.slots.acquire(other) for other in OTHERS)


class TestBrake:
    """An upgrade that does not work stops after as many failures as there are slots."""

    @staticmethod
    def fail(world: World) -> None:
        for other in OTHERS:
            assert world.slots.acquire(other, "broken")
            world.slots.fail(other)

    def test_none_is_begun_and_the_condition_names_who_has_failed(self, settled: World) -> None:
        self.fail(settled)
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))

        settled.begin_revision()

        assert len(settled.revisions()) == 1
        value, reason, message = settled.condition("Ready")
        assert (value, reason) == ("False", "WaitingForSlot")
        assert f"the last {SLOTS} in a row have failed (other-0, other-1, " in message
        assert settled.condition("Available")[0] == "True"

    def test_the_condition_names_one_of_another_namespace_by_that_too(self, settled: World) -> None:
        for number in range(SLOTS):
            other = Request("elsewhere", f"other-{number}")
            assert settled.slots.acquire(other, "broken")
            settled.slots.fail(other)
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))

        settled.begin_revision()

        assert "have failed (elsewhere/other-0, " in settled.condition("Ready")[2]

    def test_it_goes_on_when_one_of_them_succeeds(self, settled: World) -> None:
        self.fail(settled)
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))
        settled.begin_revision()
        settled.slots.succeed(OTHERS[0])

        settled.reconcile()

        assert len(settled.revisions()) == 2

    def test_who_edits_again_is_not_held_back(self, settled: World) -> None:
        self.fail(settled)
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))
        settled.begin_revision()
        settled.change_secret(objects.tls_secret(objects.key_pair("another")))

        settled.begin_revision()

        assert len(settled.revisions()) == 2

    def test_a_replacement_that_fails_counts_until_it_serves(self, settled: World) -> None:
        _, new = settled.renew()
        *others, waiting = OTHERS
        for other in others:
            settled.slots.acquire(other, "broken")
            settled.slots.fail(other)
        settled.kubelet(new, objects.crash_looping("repository not initialized"))
        settled.reconcile()
        assert not settled.slots.acquire(waiting, "any")

        (again,) = [pod for pod in settled.pods() if names.hash_of(pod) == names.hash_of(new)]
        settled.kubelet(again, objects.serving())
        settled.reconcile()

        assert settled.slots.acquire(waiting, "any")

    @pytest.mark.parametrize(
        "wait",
        [
            pytest.param(objects.terminating, id="a pod that does not end keeps its claim"),
            pytest.param(
                lambda pod: {**pod, "status": objects.node_lost()}, id="its pod's node is lost"
            ),
        ],
    )
    def test_one_that_waits_for_a_node_does_not_count_whatever_it_failed_at_before(
        self, settled: World, wait: Callable[[Object], Object]
    ) -> None:
        """Nobody may ever mend the node, and the others have nothing to do with it."""
        _, new = settled.renew()
        *others, waiting = OTHERS
        for other in others:
            settled.slots.acquire(other, "broken")
            settled.slots.fail(other)
        settled.kubelet(new, objects.crash_looping("repository not initialized"))
        settled.reconcile()
        assert not settled.slots.acquire(waiting, "any")

        (again,) = [pod for pod in settled.pods() if names.hash_of(pod) == names.hash_of(new)]
        settled.api.put(resources.PODS, wait(again))
        settled.clock.step(30 + podstatus.STUCK_SECONDS)
        settled.reconcile()

        assert settled.condition("Ready")[1] in {"NodeLost", "PodStuckTerminating"}
        assert settled.slots.acquire(waiting, "any")


def test_two_secrets_that_are_rotated_one_after_the_other_make_one_new_pod(settled: World) -> None:
    settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))
    settled.reconcile()
    settled.clock.step(QUIET_SECONDS / 2)
    settled.change_secret(objects.admin_secret("another"))
    settled.reconcile()

    result = settled.reconcile()

    assert result.requeue_after == QUIET_SECONDS
    assert len(settled.revisions()) == 1
    settled.clock.step(QUIET_SECONDS)
    settled.reconcile()
    assert len(settled.revisions()) == 2
