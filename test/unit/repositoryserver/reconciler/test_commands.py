"""Commands in a pod that fail, are not answered, or cannot be run."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from controller.errors import ServerUnavailable
from fakes import objects
from fakes.kopia import FakeResult
from fakes.world import USER
from reconcilers.repositoryserver.rollout import retry
from reconcilers.repositoryserver.serverexec import COMMAND_SECONDS
from reconcilers.repositoryserver.users.purge import FIRST_SEARCH_SECONDS

if TYPE_CHECKING:
    from fakes.world import World


def test_a_pod_that_has_stopped_answering_is_asked_nothing(settled: World) -> None:
    settled.change_secret(objects.users_secret({"app": "other"}))
    settled.kubelet(settled.pod(), objects.started())

    settled.reconcile()

    assert settled.kopia.ran() == []


def test_a_failed_refresh_is_told_on_its_step_and_tried_again(settled: World) -> None:
    settled.kopia.failures["load users"] = FakeResult(1, stderr=b"connection refused")
    settled.change_secret(objects.users_secret({"app": "other"}))

    settled.reconcile()

    assert settled.condition("ServerRefreshed")[:2] == ("False", "ServerRefreshFailed")
    assert settled.condition("ClientUserInitialized")[0] == "True"
    assert settled.condition("Ready")[:2] == ("False", "KopiaExited")
    assert settled.progress() == "Ready"
    settled.kopia.failures.clear()
    settled.clock.step(retry.MAX_SECONDS)
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}
    assert settled.progress() == "Ready"


def test_a_server_that_does_not_answer_a_refresh_holds_no_worker(settled: World) -> None:
    settled.kopia.silent.add("load users")
    settled.change_secret(objects.users_secret({"app": "other"}))
    before = settled.clock.monotonic()

    settled.reconcile()

    assert settled.clock.monotonic() - before == COMMAND_SECONDS
    assert settled.condition("Ready")[1] == "StorageUnavailable"
    assert "has not answered for 30 s" in settled.condition("ServerRefreshed")[2]
    settled.kopia.silent.clear()
    settled.clock.step(retry.MAX_SECONDS)
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}
    assert settled.progress() == "Ready"


def test_nor_does_one_that_cannot_be_searched(settled: World) -> None:
    settled.kopia.silent.add("list")
    settled.clock.step(FIRST_SEARCH_SECONDS)

    settled.reconcile()

    assert settled.progress() == "Ready"


class TestCommandsThatCannotBeRun:
    """A node that is away keeps a command from being run, and nothing else."""

    AWAY = ServerUnavailable(500, "InternalError", "error dialing backend: connection refused")

    def test_users_that_cannot_be_told_leave_the_rest_of_the_pass(self, settled: World) -> None:
        settled.kopia.errors["load users"] = self.AWAY
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.kubelet(settled.pod(), objects.serving())

        settled.reconcile()

        assert settled.condition("ServerRefreshed")[0] == "True"
        settled.kubelet(settled.pod(), {**objects.started(), "conditions": []})
        settled.reconcile()
        assert settled.progress() == "Pending"

    def test_a_repository_that_cannot_be_searched_leaves_it_too(self, settled: World) -> None:
        settled.kopia.errors["list"] = self.AWAY
        settled.clock.step(FIRST_SEARCH_SECONDS)

        settled.reconcile()

        settled.kubelet(settled.pod(), objects.started())
        settled.reconcile()
        assert settled.progress() == "Pending"

    def test_what_failed_is_tried_again_after_a_pause_and_not_before(self, settled: World) -> None:
        settled.kopia.failures["load users"] = FakeResult(1, stderr=b"connection refused")
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        settled.kopia.ran()
        settled.api.taken()

        # The event of its own annotation wakes it at once.
        settled.reconcile()

        assert settled.kopia.ran() == []
        assert settled.api.taken() == []
        settled.clock.step(retry.MIN_SECONDS)
        settled.reconcile()
        assert settled.kopia.ran() == ["load users"]

    @pytest.mark.parametrize(
        ("errors", "failures"),
        [
            pytest.param({"load users": AWAY}, {}, id="its node cannot be reached: it stays Ready"),
            pytest.param({}, {"load users": FakeResult(1)}, id="Kopia refuses: it does not"),
        ],
    )
    def test_a_server_that_was_ready_for_long_waits_no_longer_for_a_second_try(
        self, settled: World, errors: dict[str, Exception], failures: dict[str, FakeResult]
    ) -> None:
        """The time that it has been failing counts, and not the time since Ready changed."""
        settled.clock.step(timedelta(days=1).total_seconds())
        settled.reconcile()
        settled.kopia.errors, settled.kopia.failures = errors, failures
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        settled.kopia.ran()

        settled.clock.step(retry.MIN_SECONDS)
        settled.reconcile()

        assert settled.kopia.ran() == ["load users"]

    def test_what_goes_on_failing_is_tried_less_and_less_often(self, settled: World) -> None:
        settled.kopia.errors["load users"] = self.AWAY
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        settled.clock.step(300)
        settled.reconcile()
        settled.kopia.ran()

        # A tenth of the time that it has been failing passes.
        settled.clock.step(29)
        settled.reconcile()
        assert settled.kopia.ran() == []

        settled.clock.step(1)
        settled.reconcile()
        assert settled.kopia.ran() == ["load users"]

    def test_the_pause_of_one_pod_is_not_that_of_another(self, settled: World) -> None:
        _, new = settled.renew()
        settled.kubelet(new, objects.serving())
        settled.kopia.failures["load users"] = FakeResult(1, stderr=b"connection refused")
        settled.change_secret(objects.users_secret({"app": "other"}))
        settled.reconcile()
        assert settled.kopia.ran() == ["load users", "load users"]

        settled.reconcile()

        assert settled.kopia.ran() == []
