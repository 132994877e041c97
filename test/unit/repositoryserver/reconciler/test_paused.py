"""A server that is paused: it is reported on, and nothing is changed of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.reconcile import Result
from fakes import objects
from fakes.world import WRITE_STATUS

if TYPE_CHECKING:
    from fakes.world import World


@pytest.fixture
def paused(settled: World) -> World:
    """Give a world whose server was Ready when it was paused."""
    settled.edit({"paused": True})
    settled.reconcile()
    return settled


def test_it_says_so_and_clients_connect_as_before(paused: World) -> None:
    assert paused.api.taken() == [WRITE_STATUS]
    assert paused.condition("Ready")[:2] == ("False", "Paused")
    assert "set it to false to go on" in paused.condition("Ready")[2]
    assert paused.condition("Available")[0] == "True"
    assert paused.progress() == "Ready"
    assert paused.reconcile() == Result()
    assert paused.api.taken() == []


@pytest.mark.parametrize("what", ["an edit", "a Secret"])
def test_what_changes_meanwhile_waits(paused: World, what: str) -> None:
    paused.api.taken()
    if what == "an edit":
        paused.edit({"repository": {"rootPath": "other"}})
    else:
        paused.change_secret(objects.users_secret({"other": "password-of-another-host"}))

    paused.reconcile()

    assert set(paused.api.taken()) <= {WRITE_STATUS}
    paused.edit({"paused": False})
    paused.reconcile()
    assert paused.api.taken() != [WRITE_STATUS]


def test_a_pod_that_is_lost_is_told_of(paused: World) -> None:
    (pod,) = paused.pods()
    paused.kubelet(pod, {"phase": "Failed"})

    paused.reconcile()

    assert paused.condition("Available")[:2] == ("False", "Paused")


def test_one_that_goes_on_is_ready_again(paused: World) -> None:
    paused.edit({"paused": False})

    paused.reconcile()

    assert paused.condition("Ready")[0] == "True"
