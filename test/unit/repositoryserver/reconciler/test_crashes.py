"""A server that crashes: how that is explained, and when it is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from controller.conditions import timestamp
from fakes import objects
from reconcilers.repositoryserver.reconciler import UNREADY_RECHECK_SECONDS
from reconcilers.repositoryserver.rollout import retry

if TYPE_CHECKING:
    from fakes.world import World

# What Kopia prints before it ends.
NOT_INITIALIZED = "repository not initialized"
WRONG_PASSWORD = "ERROR unable to open repository: invalid repository password"


def test_a_crashing_server_is_explained_and_tried_again(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.crash_looping(WRONG_PASSWORD))
    first = world.pod()["metadata"]["uid"]
    world.recorder.events.clear()

    # The container ended ten seconds before; five are enough.
    world.reconcile()

    assert world.condition("RepositoryConnected")[:2] == (
        "False",
        "KopiaRepositoryConnectionFailed",
    )
    assert world.condition("Ready")[1] == "RepositoryPasswordWrong"
    assert world.progress() == "Failed"
    world.reconcile()
    assert world.pod()["metadata"]["uid"] != first


def test_a_failure_is_told_once_however_often_it_is_tried_again(world: World) -> None:
    world.reconcile()
    world.recorder.events.clear()
    for _ in range(3):
        world.kubelet(world.pod(), objects.crash_looping(WRONG_PASSWORD))
        world.reconcile()
        # The pod was deleted; it is made anew and starts.
        world.reconcile()
        assert world.progress() == "Failed"
        world.kubelet(world.pod(), objects.running())
        world.reconcile()
        assert world.progress() == "Failed"

    assert len(world.recorder.warnings()) == 1


def test_a_failure_ends_when_its_step_is_passed(world: World) -> None:
    world.reconcile()
    world.kubelet(world.pod(), objects.crash_looping(NOT_INITIALIZED))
    world.reconcile()
    world.reconcile()
    world.kubelet(world.pod(), objects.started())

    world.reconcile()

    assert world.progress() == "Pending"
    assert world.condition("RepositoryConnected")[0] == "True"


def test_a_crashing_server_is_tried_less_often_the_longer_it_fails(world: World) -> None:
    world.report()
    first = world.pod()["metadata"]["uid"]
    world.clock.step(3600)
    ended = timestamp(world.clock.now() - timedelta(seconds=20))
    world.kubelet(world.pod(), objects.crash_looping(NOT_INITIALIZED, ended=ended))

    result = world.reconcile()

    assert world.pod()["metadata"]["uid"] == first
    assert result.requeue_after == UNREADY_RECHECK_SECONDS


def test_a_pod_that_crashes_beside_one_that_was_ready_for_long_is_tried_again_soon(
    settled: World,
) -> None:
    """The time that it has been failing counts, and not the time since Ready changed."""
    settled.clock.step(timedelta(days=1).total_seconds())
    _, new = settled.renew()
    ended = timestamp(settled.clock.now())
    settled.kubelet(new, objects.crash_looping(NOT_INITIALIZED, ended=ended))

    result = settled.reconcile()

    assert result.requeue_after == retry.MIN_SECONDS


def test_a_clock_that_was_set_back_keeps_no_crashing_server_from_being_tried(world: World) -> None:
    world.report()
    first = world.pod()
    ended = timestamp(world.clock.now() + timedelta(hours=1))
    world.kubelet(first, objects.crash_looping(NOT_INITIALIZED, ended=ended))

    world.reconcile()

    assert [pod["metadata"]["uid"] for pod in world.pods()] != [first["metadata"]["uid"]]
