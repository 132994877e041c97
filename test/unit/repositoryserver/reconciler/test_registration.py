"""Users in the repository: those that the removed controller has left, and those of other hands."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from controller.conditions import conditions_of, get_condition
from controller.reconcile import Result
from controller.workqueue.queue import LOW_PRIORITY
from fakes import objects
from fakes.apiclient import Action
from fakes.kopia import FakeResult
from fakes.world import USER, USERS_SECRET
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver.users import userfile
from reconcilers.repositoryserver.users.purge import (
    FAILED_SEARCH_SECONDS,
    FIRST_SEARCH_SECONDS,
    NEXT_SEARCH_SECONDS,
)

if TYPE_CHECKING:
    from fakes.world import World

STRANGER = "somebody@else"


@pytest.fixture
def taken_over(world: World) -> World:
    """Give a world with a server that the removed controller has served, and that is Ready."""
    world.serve_by_removed_controller()
    world.settle()
    world.kopia.users = {USER, STRANGER}
    return world


def search(world: World) -> None:
    world.clock.step(FIRST_SEARCH_SECONDS)
    world.reconcile()


class TestEntriesOfTheRemovedController:
    """Their passwords would stay valid. What shows whose they are goes with the first status."""

    def test_are_deleted_and_no_others(self, taken_over: World) -> None:
        taken_over.reconcile()
        assert taken_over.kopia.ran() == []

        search(taken_over)

        assert taken_over.kopia.ran() == ["list", "forget"]
        assert taken_over.kopia.users == {STRANGER}
        assert taken_over.recorder.lines()[0] == (
            f"Normal LegacyUsersPurged: deleted old user entries from the repository: {USER}"
        )
        assert taken_over.server()["status"]["repositoryUsers"] == 1

    def test_are_looked_for_no_more_when_they_are_gone(self, taken_over: World) -> None:
        search(taken_over)

        assert userfile.UserFile.parse(taken_over.volume()).legacy == frozenset()
        taken_over.kopia.users = {USER}
        taken_over.clock.step(NEXT_SEARCH_SECONDS)
        taken_over.reconcile()
        taken_over.clock.step(NEXT_SEARCH_SECONDS)
        taken_over.reconcile()
        assert taken_over.kopia.users == {USER}

    def test_restart_nothing_when_they_are_gone(self, taken_over: World) -> None:
        search(taken_over)

        taken_over.kopia.ran()
        taken_over.reconcile()

        assert taken_over.kopia.ran() == []

    def test_are_known_to_a_controller_that_starts_before_the_search(
        self, taken_over: World
    ) -> None:
        taken_over.restart()
        taken_over.reconcile()

        search(taken_over)

        assert taken_over.kopia.users == {STRANGER}

    def test_go_even_if_the_user_has_gone_and_the_controller_starts_anew(
        self, taken_over: World
    ) -> None:
        taken_over.change_secret(objects.users_secret({"new": "n"}))
        taken_over.reconcile()
        taken_over.restart()
        taken_over.reconcile()

        search(taken_over)

        assert taken_over.kopia.users == {STRANGER}

    def test_are_not_those_of_users_who_came_later(self, taken_over: World) -> None:
        taken_over.change_secret(objects.users_secret({"app": "p", "new": "n"}))
        taken_over.kopia.users.add("backup@new")
        taken_over.reconcile()

        search(taken_over)

        assert taken_over.kopia.users == {STRANGER, "backup@new"}

    def test_stay_while_the_repository_is_only_read(self, taken_over: World) -> None:
        taken_over.edit({"repository": {"readOnly": True}})
        taken_over.reconcile()
        # A server that serves may wait for a moment before it is replaced.
        taken_over.clock.step(5.0)
        for _ in range(2):
            taken_over.settle()

        search(taken_over)

        assert "forget" not in taken_over.kopia.ran()
        assert taken_over.server()["status"]["repositoryUsers"] == 2

    def test_stay_where_the_access_secret_was_wrong_at_the_takeover(self, world: World) -> None:
        """Nobody knows then whose entries that controller has written."""
        world.serve_by_removed_controller()
        world.change_secret(objects.users_secret({"App": "p"}))
        world.settle()
        world.change_secret(objects.users_secret())
        world.settle()
        world.kopia.users = {USER}

        search(world)

        assert world.kopia.users == {USER}
        assert world.condition("UsersInRepository")[0] == "True"


class TestEntriesOfOtherHands:
    """Nothing shows that the removed controller has made them: another server may need them."""

    def test_stay_and_are_told_of(self, settled: World) -> None:
        settled.kopia.users = {USER, STRANGER}

        search(settled)

        assert settled.kopia.ran() == ["list"]
        assert settled.kopia.users == {USER, STRANGER}
        assert settled.server()["status"]["repositoryUsers"] == 2
        value, reason, message = settled.condition("UsersInRepository")
        assert (value, reason) == ("True", "UsersInRepository")
        assert message == (
            f"the repository itself has 2 users ({USER}, {STRANGER}); Kopia accepts their "
            "passwords of then, whatever the access Secrets say. If nobody needs these users, "
            "delete them with `kopia server user delete` and `kopia server refresh`"
        )
        assert settled.progress() == "Ready"

    def test_many_are_counted_and_three_named(self, settled: World) -> None:
        settled.kopia.users = {f"user-{number:04}@host" for number in range(12_000)}

        search(settled)

        message = settled.condition("UsersInRepository")[2]
        assert "12000 users (user-0000@host, user-0001@host, user-0002@host and others)" in message

    def test_it_is_over_when_somebody_has_deleted_them(self, settled: World) -> None:
        settled.kopia.users = {STRANGER}
        search(settled)
        settled.kopia.users.clear()
        settled.reconcile()

        settled.clock.step(NEXT_SEARCH_SECONDS)
        settled.reconcile()

        assert settled.condition("UsersInRepository")[:2] == ("False", "NoUsersInRepository")
        settled.kopia.ran()
        settled.clock.step(NEXT_SEARCH_SECONDS)
        settled.reconcile()
        assert settled.kopia.ran() == []


@pytest.mark.parametrize(
    "pod_name",
    [
        pytest.param("files-0123456789", id="a pod of this controller"),
        pytest.param("repo-server-pod-x-0123456789", id="one of a resource with an evil name"),
        pytest.param("", id="none at all"),
    ],
)
def test_a_status_of_another_hand_proves_nothing(world: World, pod_name: str) -> None:
    world.serve_by_removed_controller()
    status = {"status": {"serverInfo": {"podName": pod_name}}}
    world.change_server(status)
    world.settle()
    world.kopia.users = {USER}

    search(world)

    assert world.kopia.users == {USER}


def test_a_removed_controller_that_has_registered_nobody_proves_nothing(world: World) -> None:
    world.serve_by_removed_controller()
    world.change_server({"status": {"conditions": []}})
    world.settle()
    world.kopia.users = {USER}

    search(world)

    assert world.kopia.users == {USER}


def test_a_repository_without_users_leaves_no_condition(settled: World) -> None:
    search(settled)

    assert settled.server()["status"]["repositoryUsers"] == 0
    assert get_condition(conditions_of(settled.server()), "UsersInRepository") is None


def test_the_search_lets_servers_that_are_not_up_yet_go_first(settled: World) -> None:
    result = settled.reconcile()

    assert result == Result(requeue_after=FIRST_SEARCH_SECONDS, priority=LOW_PRIORITY)


def test_the_repository_is_searched_once(settled: World) -> None:
    search(settled)
    assert settled.kopia.ran() == ["list"]
    settled.restart()

    settled.reconcile()
    search(settled)

    assert settled.kopia.ran() == []


def test_a_repository_that_cannot_be_searched_keeps_nobody_out(settled: World) -> None:
    settled.kopia.failures["list"] = FakeResult(1, stderr=b"storage is away")
    settled.clock.step(FIRST_SEARCH_SECONDS)

    result = settled.reconcile()

    assert settled.progress() == "Ready"
    assert result.requeue_after == FAILED_SEARCH_SECONDS


def test_what_is_to_be_deleted_takes_no_room_from_users(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both do not fit the entries stay, and are told of."""
    users = [("files-users, user backup", [USER])]
    monkeypatch.setattr("reconcilers.repositoryserver.users.access.MAX_FILE_BYTES", size(users))
    world.serve_by_removed_controller()
    world.settle()
    world.kopia.users = {USER}

    search(world)

    assert htpasswd.entries(world.volume()).keys() == {USER}
    assert world.kopia.users == {USER}


def size(users: list[tuple[str, list[str]]]) -> int:
    return userfile.size(users)


def test_a_stranger_whom_somebody_lets_in_meanwhile_does_not_stay(taken_over: World) -> None:
    """Recording the end of the purge writes the users, and must not write those of others."""
    stored = taken_over.secret(USERS_SECRET)

    def let_in() -> None:
        data = {"data": {"htpasswd": base64.b64encode(b"x:{SSHA}y\n").decode()}}
        taken_over.change_secret(objects.merged(stored, data))
        taken_over.kopia.meanwhile = lambda: None

    taken_over.kopia.meanwhile = let_in

    search(taken_over)
    taken_over.reconcile()

    assert htpasswd.entries(taken_over.volume()).keys() == {USER}


def test_a_purge_costs_two_requests(taken_over: World) -> None:
    taken_over.api.taken()

    search(taken_over)

    assert taken_over.api.taken()[:2] == [
        Action("get", "secrets", USERS_SECRET),
        Action("apply", "secrets", USERS_SECRET),
    ]
