"""Which version of Kopia runs: read once in each pod that clients reach, and kept in the status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from controller.errors import ServerUnavailable
from controller.reconcile import Result
from controller.workqueue.queue import LOW_PRIORITY
from fakes import objects
from fakes.kopia import FakeResult, banner
from fakes.world import REQUEST, WRITE_STATUS
from reconcilers.repositoryserver.status.version import READ_AFTER_SECONDS, READ_AGAIN_SECONDS
from reconcilers.repositoryserver.users.purge import FAILED_SEARCH_SECONDS, FIRST_SEARCH_SECONDS

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World

LONG = 30 * 86400.0
UNKNOWN = "the version of Kopia is not known"


def info(world: World) -> Object:
    found: Object = world.server()["status"]["serverInfo"]
    return found


def version(world: World) -> str | None:
    found: str | None = info(world).get("kopiaVersion")
    return found


def search(world: World) -> Result:
    world.clock.step(FIRST_SEARCH_SECONDS)
    return world.reconcile()


def is_at_rest(result: Result) -> bool:
    """Return whether the certificate alone will need a look."""
    return result.requeue_after is not None and result.requeue_after > LONG


def asked(world: World) -> int:
    """Return how often a version was asked for on its own since the last call."""
    return world.kopia.ran().count("version")


@pytest.fixture
def known(settled: World) -> World:
    """Give a world with a server whose version is known, with all that took forgotten."""
    search(settled)
    settled.api.taken()
    settled.kopia.ran()
    return settled


@pytest.fixture
def searched(known: World) -> World:
    """Give the same as a controller leaves it that knows nothing of versions, and a new one."""
    known.change_server({"status": {"serverInfo": {"kopiaVersion": None}}})
    known.restart()
    return known


def move(world: World) -> Object:
    """Move a server to a new pod, with another version of Kopia, and return the pod."""
    _, new = world.renew()
    world.kopia.version = "0.24.0"
    world.kubelet(new, objects.serving())
    for _ in range(2):
        world.reconcile()
    return new


class TestOfANewServer:
    def test_it_comes_with_the_search_for_users_in_one_command_and_one_write(
        self, settled: World
    ) -> None:
        settled.commands_wait = True
        search(settled)
        assert settled.api.taken() == []

        woken = list(settled.run_commands())
        result = settled.reconcile()

        assert woken == [REQUEST]
        assert settled.kopia.ran() == ["list"]
        assert settled.api.taken() == [WRITE_STATUS]
        assert (version(settled), settled.server()["status"]["repositoryUsers"]) == ("0.23.1", 0)
        assert is_at_rest(result)

    def test_nothing_is_asked_before(self, settled: World) -> None:
        settled.clock.step(FIRST_SEARCH_SECONDS - 1)

        assert settled.reconcile() == Result(requeue_after=1.0, priority=LOW_PRIORITY)
        assert (settled.kopia.ran(), version(settled)) == ([], None)

    def test_it_is_there_if_the_users_are_not(self, settled: World) -> None:
        settled.kopia.failures["list"] = FakeResult(137, b"0.23.1\n", b"killed")

        search(settled)

        assert version(settled) == "0.23.1"
        assert "repositoryUsers" not in settled.server()["status"]

    def test_it_comes_with_the_next_search_if_the_first_had_no_answer(self, settled: World) -> None:
        settled.kopia.errors["list"] = ServerUnavailable(500, "", "no such container")
        assert search(settled).requeue_after == FAILED_SEARCH_SECONDS
        assert version(settled) is None
        settled.kopia.errors.clear()

        settled.clock.step(FAILED_SEARCH_SECONDS)
        settled.reconcile()

        assert (settled.kopia.ran(), version(settled)) == (["list", "list"], "0.23.1")


class TestOfAServerWhoseVersionIsKnown:
    def test_nothing_is_asked(self, known: World) -> None:
        known.clock.step(READ_AGAIN_SECONDS)

        assert is_at_rest(known.reconcile())
        assert (known.api.taken(), known.kopia.ran()) == ([], [])

    def test_a_controller_that_starts_asks_nothing(self, known: World) -> None:
        known.restart()
        known.reconcile()
        known.api.taken()

        known.clock.step(READ_AFTER_SECONDS)

        assert is_at_rest(known.reconcile())
        assert (known.api.taken(), known.kopia.ran()) == ([], [])

    def test_what_somebody_takes_out_of_the_status_is_put_back_without_a_command(
        self, known: World
    ) -> None:
        known.change_server({"status": {"serverInfo": {"kopiaVersion": None}}})

        known.reconcile()

        assert (version(known), known.kopia.ran()) == ("0.23.1", [])

    def test_a_server_that_is_paused_keeps_it(self, known: World) -> None:
        known.edit({"paused": True})

        known.reconcile()

        assert version(known) == "0.23.1"

    def test_it_stays_while_the_pod_does_not_answer(self, known: World) -> None:
        known.kubelet(known.pod(), objects.started())

        known.reconcile()

        assert version(known) == "0.23.1"


class TestOfAnotherPod:
    def test_that_of_the_former_pod_goes_with_it(self, known: World) -> None:
        new = move(known)

        assert info(known)["podName"] == new["metadata"]["name"]
        assert version(known) is None

    def test_it_is_read_by_a_command_of_its_own(self, known: World) -> None:
        move(known)
        known.clock.step(READ_AFTER_SECONDS)
        known.reconcile()

        assert (asked(known), version(known)) == (1, "0.24.0")
        known.clock.step(READ_AFTER_SECONDS)
        known.reconcile()
        assert asked(known) == 0

    def test_what_was_asked_of_the_former_pod_does_not_count(self, known: World) -> None:
        known.change_server({"status": {"serverInfo": {"kopiaVersion": None}}})
        known.restart()
        known.reconcile()
        known.commands_wait = True
        known.clock.step(READ_AFTER_SECONDS)
        known.reconcile()
        known.commands_wait = False
        _, new = known.renew()
        known.run_commands()
        known.kopia.version = "0.24.0"
        known.kubelet(new, objects.serving())

        for _ in range(3):
            known.reconcile()

        assert info(known)["podName"] == new["metadata"]["name"]
        assert version(known) is None


class TestOfAServerThatWasSearchedBefore:
    """By a controller that knows nothing of versions."""

    def test_it_is_read_half_a_minute_later_after_those_that_are_not_up_yet(
        self, searched: World
    ) -> None:
        expected = Result(requeue_after=READ_AFTER_SECONDS, priority=LOW_PRIORITY)
        assert searched.reconcile() == expected
        searched.api.taken()

        searched.clock.step(READ_AFTER_SECONDS)

        assert is_at_rest(searched.reconcile())
        assert (searched.kopia.ran(), version(searched)) == (["version"], "0.23.1")
        assert searched.api.taken() == [WRITE_STATUS]

    @pytest.mark.parametrize(
        "answer",
        [
            pytest.param(FakeResult(1, banner("0.23.1")), id="a command that fails"),
            pytest.param(FakeResult(0), id="one that prints nothing"),
            pytest.param(FakeResult(0, b"\x1b[31m0.23.1"), id="one that prints something else"),
            pytest.param(ServerUnavailable(500, "", "no container"), id="one that cannot be run"),
            pytest.param(None, id="one that is not answered"),
        ],
    )
    def test_a_failure_is_logged_and_tried_again_and_changes_nothing_else(
        self, searched: World, answer: FakeResult | Exception | None
    ) -> None:
        searched.reconcile()
        before = searched.server()["status"]
        if answer is None:
            searched.kopia.silent.add("version")
        elif isinstance(answer, Exception):
            searched.kopia.errors["version"] = answer
        else:
            searched.kopia.failures["version"] = answer
        searched.clock.step(READ_AFTER_SECONDS)

        with capture_logs() as logs:
            result = searched.reconcile()

        assert [(one["event"], one["log_level"]) for one in logs] == [(UNKNOWN, "warning")]
        assert result == Result(requeue_after=READ_AGAIN_SECONDS, priority=LOW_PRIORITY)
        assert searched.server()["status"] == before
        searched.kopia.silent.clear()
        searched.kopia.errors.clear()
        searched.kopia.failures.clear()
        searched.clock.step(READ_AGAIN_SECONDS)
        searched.reconcile()
        assert version(searched) == "0.23.1"


def test_what_the_search_prints_in_place_of_a_version_is_asked_for_again(settled: World) -> None:
    settled.kopia.version = "{}"

    with capture_logs() as logs:
        result = search(settled)

    assert [one["event"] for one in logs] == [UNKNOWN]
    assert settled.server()["status"]["repositoryUsers"] == 0
    assert version(settled) is None
    assert result == Result(requeue_after=READ_AGAIN_SECONDS, priority=LOW_PRIORITY)
    settled.kopia.version = "0.23.1"
    settled.clock.step(READ_AGAIN_SECONDS)
    settled.reconcile()
    assert (settled.kopia.ran(), version(settled)) == (["list", "version"], "0.23.1")
