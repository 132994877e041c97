"""Users that a server of before has left in the repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.reconcile import Result
from controller.workqueue.queue import LOW_PRIORITY
from fakes import objects
from fakes.kopia import FakeResult
from fakes.world import USER
from reconcilers.repositoryserver.users.sync import FORGET_AFTER_SECONDS, FORGET_AGAIN_SECONDS

if TYPE_CHECKING:
    from fakes.world import World


def test_entries_of_a_server_of_before_are_removed_from_the_repository(settled: World) -> None:
    settled.kopia.users = {USER, "somebody@else"}
    settled.reconcile()
    assert settled.kopia.ran() == []
    settled.clock.step(FORGET_AFTER_SECONDS)

    settled.reconcile()

    assert settled.kopia.ran() == ["list", "forget"]
    assert settled.kopia.users == {"somebody@else"}
    assert settled.recorder.told() == [
        f"Normal UsersForgotten: deleted old user entries from the repository: {USER}"
    ]
    settled.reconcile()
    assert settled.kopia.ran() == []


def test_the_search_lets_servers_that_are_not_up_yet_go_first(settled: World) -> None:
    result = settled.reconcile()

    assert result == Result(requeue_after=FORGET_AFTER_SECONDS, priority=LOW_PRIORITY)


def test_the_repository_is_searched_once(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    assert settled.kopia.ran() == ["list"]
    settled.restart()

    settled.reconcile()
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()

    assert settled.kopia.ran() == []


def test_a_user_who_comes_back_is_searched_for_again(settled: World) -> None:
    settled.clock.step(FORGET_AFTER_SECONDS)
    settled.reconcile()
    settled.change_secret(objects.users_secret({"new": "n"}))
    settled.reconcile()
    settled.change_secret(objects.users_secret({"app": "p", "new": "n"}))
    settled.kopia.ran()
    settled.kopia.users = {USER}

    settled.reconcile()

    assert settled.kopia.ran() == ["take up", "list", "forget"]
    assert settled.kopia.users == set()


def test_a_repository_that_cannot_be_searched_keeps_nobody_out(settled: World) -> None:
    settled.kopia.failures["list"] = FakeResult(1, stderr=b"storage is away")
    settled.clock.step(FORGET_AFTER_SECONDS)

    result = settled.reconcile()

    assert settled.progress() == "Ready"
    assert result.requeue_after == FORGET_AGAIN_SECONDS


def test_nobody_is_remembered_for_a_repository_that_is_only_read(settled: World) -> None:
    settled.edit({"repository": {"readOnly": True}})
    settled.change_secret(objects.users_secret({"new": "n"}))

    settled.reconcile()

    assert settled.may_connect() == {"backup@new": "n"}
    assert settled.memory().left == frozenset()
