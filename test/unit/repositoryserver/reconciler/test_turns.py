"""How many servers are replaced at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.reconcile import Request
from fakes import objects
from fakes.world import TURNS
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.rollout.throttle import MIN_PAUSE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from fakes.world import World

# As many as have a turn.
OTHERS = [Request(objects.NAMESPACE, f"other-{number}") for number in range(TURNS)]


def test_no_more_servers_are_replaced_at_once_than_have_a_turn(settled: World) -> None:
    for other in OTHERS:
        settled.turns.take(other)
    settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))

    settled.reconcile()

    assert len(settled.pods()) == 1
    assert settled.progress() == "Ready"

    settled.turns.give_back(OTHERS[0])
    settled.reconcile()

    assert len(settled.pods()) == 2


def test_a_new_server_needs_no_turn(world: World) -> None:
    for other in OTHERS:
        world.turns.take(other)

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
def test_a_server_gives_its_turn_to_another_when(
    settled: World, end: Callable[[World, Object], None]
) -> None:
    _, new = settled.renew()
    *others, waiting = OTHERS
    assert all(settled.turns.take(other) for other in others)
    assert not settled.turns.take(waiting)

    end(settled, new)
    settled.reconcile()

    assert settled.turns.take(waiting)


class TestTurns:
    """Servers that wait for their turn, and turns of servers that cannot use them."""

    def test_who_waits_reads_nothing(self, settled: World) -> None:
        for other in OTHERS:
            settled.turns.take(other)
        settled.change_secret(objects.tls_secret(objects.key_pair("renewed")))
        settled.reconcile()
        settled.api.taken()

        result = settled.reconcile()

        assert settled.api.taken() == []
        assert result.requeue_after == MIN_PAUSE_SECONDS

    def test_one_that_is_refused_gives_its_turn_back(self, settled: World) -> None:
        settled.renew()
        elsewhere = {"spec": {"server": {"tlsSecretRef": {"namespace": "other"}}}}
        settled.api.put(api.REPOSITORY_SERVERS, objects.repository_server(elsewhere))

        settled.reconcile()

        assert all(settled.turns.take(other) for other in OTHERS)
