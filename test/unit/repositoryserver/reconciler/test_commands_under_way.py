"""Commands that take their time: no worker waits for one, and its end wakes the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.clock import DeadlineExceeded
from controller.errors import NotLeading, ServerUnavailable, Stopped
from fakes import objects
from fakes.apiclient import Action
from fakes.kopia import FakeResult
from fakes.world import READ_USERS, REQUEST, USER, USERS_SECRET, WRITE_STATUS
from reconcilers.kopia import failures
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.reconciler import UNREADY_RECHECK_SECONDS
from reconcilers.repositoryserver.rollout import retry
from reconcilers.repositoryserver.rollout.refresh import PAUSE_MAX_SECONDS
from reconcilers.repositoryserver.serverexec import UNANSWERED
from reconcilers.repositoryserver.users.purge import FAILED_SEARCH_SECONDS, FIRST_SEARCH_SECONDS
from reconcilers.repositoryserver.users.sync import LOADING_USERS

if TYPE_CHECKING:
    from fakes.world import World


@pytest.fixture
def slow(settled: World) -> World:
    """Give a world with a Ready server, in whose pod commands take their time."""
    settled.commands_wait = True
    return settled


@pytest.fixture
def loading(slow: World) -> World:
    """Give such a world with users that have just been changed."""
    slow.change_secret(objects.users_secret({"app": "other"}))
    slow.reconcile()
    return slow


class TestLoadingUsers:
    """A running server loads changed users."""

    def test_the_worker_returns_at_once_and_clients_can_connect_meanwhile(
        self, slow: World
    ) -> None:
        slow.change_secret(objects.users_secret({"app": objects.OTHER_PASSWORD_VALUE}))

        result = slow.reconcile()

        annotate = Action("patch", "pods", slow.pod()["metadata"]["name"])
        users = Action("apply", "secrets", USERS_SECRET)
        assert slow.api.taken() == [*READ_USERS, users, annotate, WRITE_STATUS]
        assert result.requeue_after == UNREADY_RECHECK_SECONDS
        assert slow.kopia.ran() == []
        assert slow.condition("Available")[0] == "True"
        assert slow.condition("Ready")[:2] == ("False", "LoadingUsers")
        assert slow.progress() == "Ready"
        assert slow.recorder.warnings() == []

    def test_another_reconcile_starts_nothing(self, loading: World) -> None:
        loading.api.taken()

        for _ in range(2):
            loading.reconcile()

        assert loading.api.taken() == []
        loading.run_commands()
        assert loading.kopia.ran() == ["load users"]

    def test_its_end_wakes_the_server_which_has_the_users_then(self, loading: World) -> None:
        assert loading.run_commands() == [REQUEST]

        loading.reconcile()

        assert loading.may_connect() == {USER: "other"}
        assert loading.kopia.ran() == ["load users"]
        assert loading.progress() == "Ready"
        loading.api.taken()
        loading.reconcile()
        assert loading.run_commands() == []
        assert loading.api.taken() == []

    def test_a_server_that_comes_up_says_what_it_waits_for(self, slow: World) -> None:
        slow.change_secret(objects.users_secret({"app": "other"}))
        _, new = slow.renew()
        slow.kubelet(slow.stored(new), objects.serving())

        slow.reconcile()

        # The former pod serves, without the change.
        assert slow.condition("Available")[0] == "True"
        assert slow.condition("Ready")[:2] == ("False", "LoadingUsers")
        slow.drop_pod(next(pod for pod in slow.pods() if names.hash_of(pod) == slow.selected()))
        slow.reconcile()
        message = LOADING_USERS.format(pod=new["metadata"]["name"])
        assert slow.condition("ServerRefreshed") == ("Unknown", "LoadingUsers", message)
        assert slow.condition("Ready") == ("False", "LoadingUsers", message)

    @pytest.mark.parametrize(
        ("failure", "error", "ready", "message"),
        [
            pytest.param(
                FakeResult(1, stderr=b"connection refused"),
                None,
                "False",
                "connection refused",
                id="Kopia refuses",
            ),
            pytest.param(
                None,
                DeadlineExceeded("late"),
                "False",
                UNANSWERED,
                id="Kopia does not answer",
            ),
            pytest.param(
                None,
                ServerUnavailable(500, "InternalError", "error dialing backend"),
                "False",
                "error dialing backend",
                id="its node cannot be reached",
            ),
        ],
    )
    def test_a_failure_is_told_and_tried_again_after_a_pause(
        self,
        loading: World,
        failure: FakeResult | None,
        error: Exception | None,
        ready: str,
        message: str,
    ) -> None:
        if failure is not None:
            loading.kopia.failures["load users"] = failure
        if error is not None:
            loading.kopia.errors["load users"] = error
        loading.run_commands()

        result = loading.reconcile()

        assert result.requeue_after == retry.MIN_SECONDS
        assert loading.condition("Ready")[0] == ready
        assert message in loading.condition("Ready")[2]
        told = loading.server()["status"]
        loading.kopia.failures.clear()
        loading.kopia.errors.clear()
        assert loading.run_commands() == []
        loading.clock.step(retry.MIN_SECONDS)
        loading.reconcile()
        # It lasts until the next try has succeeded.
        assert loading.server()["status"] == told
        loading.run_commands()
        loading.reconcile()
        assert loading.kopia.ran() == ["load users", "load users"]
        assert loading.condition("Ready")[0] == "True"

    def test_users_that_change_meanwhile_are_loaded_after_it(self, loading: World) -> None:
        """What becomes of the former users is of no interest any more."""

        def change() -> None:
            loading.kopia.meanwhile = lambda: None
            loading.change_secret(objects.users_secret({"app": "p"}))
            loading.reconcile()

        loading.kopia.meanwhile = change
        loading.kopia.failures["load users"] = FakeResult(1)
        assert loading.run_commands() == [REQUEST]
        loading.kopia.failures.clear()
        known = loading.users_state().users
        assert known is not None
        # The kubelet was asked at once, though the server cannot be yet.
        assert names.users_of(loading.pod()).startswith(known.version)

        loading.reconcile()

        assert loading.users_state().attempts == {}
        assert loading.run_commands() == [REQUEST]
        loading.reconcile()
        assert loading.kopia.ran() == ["load users", "load users"]
        assert loading.may_connect() == {USER: "p"}
        assert names.users_of(loading.pod()) == known.version

    def test_a_storage_that_hangs_is_named_though_the_probe_fails_meanwhile(
        self, loading: World
    ) -> None:
        loading.kopia.silent.add("load users")
        loading.kubelet(loading.pod(), objects.started())
        loading.reconcile()
        assert loading.condition("Ready")[1] == "WaitingForAnswer"

        loading.run_commands()
        loading.reconcile()

        assert loading.condition("Ready")[1] == failures.REASON_STORAGE
        assert UNANSWERED in loading.condition("Ready")[2]
        # And nothing more is run in a pod that does not answer.
        loading.clock.step(retry.MAX_SECONDS)
        loading.reconcile()
        assert loading.run_commands() == []

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(NotLeading("closed"), id="the fence is closed"),
            pytest.param(Stopped("cut"), id="the process ends"),
        ],
    )
    def test_who_leads_no_more_ends_the_reconcile(self, loading: World, error: Exception) -> None:
        loading.kopia.errors["load users"] = error
        loading.run_commands()

        with pytest.raises(type(error)):
            loading.reconcile()


class TestServersThatAreGone:
    """What was run for one is nobody's."""

    def test_a_deleted_server_is_not_woken(self, loading: World) -> None:
        loading.api.drop(api.REPOSITORY_SERVERS, objects.NAMESPACE, objects.NAME)
        loading.reconcile()

        assert loading.run_commands() == []
        assert loading.kopia.ran() == []

    def test_a_namesake_starts_its_own(self, loading: World) -> None:
        recreated = objects.merged(loading.server(), {"metadata": {"uid": "another"}})
        loading.api.put(api.REPOSITORY_SERVERS, recreated)
        loading.reconcile()

        assert loading.run_commands() == []
        assert loading.kopia.ran() == []

    def test_a_pod_that_is_gone_is_waited_for_no_more(self, loading: World) -> None:
        loading.drop_pod(loading.pod())

        loading.reconcile()

        assert loading.users_state().loading == {}


class TestPurge:
    """The search for entries of a legacy server, and their deletion."""

    @pytest.fixture
    def searching(self, world: World) -> World:
        """Give a world in which the repository is being searched for users with entries."""
        world.serve_by_removed_controller()
        world.settle()
        world.commands_wait = True
        world.kopia.users = {USER, "somebody@else"}
        world.clock.step(FIRST_SEARCH_SECONDS)
        world.reconcile()
        return world

    def test_it_goes_on_step_by_step(self, searching: World) -> None:
        assert searching.progress() == "Ready"
        assert searching.run_commands() == [REQUEST]
        searching.reconcile()
        assert searching.kopia.ran() == ["list"]
        assert searching.run_commands() == [REQUEST]

        searching.reconcile()

        assert searching.kopia.ran() == ["forget"]
        assert searching.kopia.users == {"somebody@else"}
        assert searching.server()["status"]["repositoryUsers"] == 1
        assert [one.partition(":")[0] for one in searching.recorder.lines()] == [
            "Normal LegacyUsersPurged",
            "Warning UsersInRepository",
        ]
        searching.reconcile()
        assert searching.run_commands() == []

    @pytest.mark.parametrize("step", ["list", "forget"])
    def test_a_step_that_fails_begins_anew_after_a_long_pause(
        self, searching: World, step: str
    ) -> None:
        searching.kopia.failures[step] = FakeResult(1, stderr=b"storage is away")
        for _ in range(2):
            searching.run_commands()
            result = searching.reconcile()
        assert searching.kopia.ran()[-1] == step
        assert result.requeue_after == FAILED_SEARCH_SECONDS
        assert searching.progress() == "Ready"
        searching.kopia.failures.clear()

        searching.clock.step(FAILED_SEARCH_SECONDS)

        for _ in range(3):
            searching.reconcile()
            searching.run_commands()
        assert searching.kopia.ran() == ["list", "forget"]


def test_a_refresh_that_is_under_way_changes_no_condition(settled: World) -> None:
    settled.clock.step(FIRST_SEARCH_SECONDS)
    settled.reconcile()
    _, new = settled.renew()
    settled.kubelet(new, objects.serving())
    for _ in range(2):
        settled.reconcile()
    told = settled.server()["status"]
    settled.commands_wait = True
    settled.clock.step(PAUSE_MAX_SECONDS)
    settled.kopia.ran()

    settled.reconcile()
    settled.reconcile()

    assert settled.server()["status"] == told
    # Beside it the version of Kopia in the new pod is read.
    assert settled.run_commands() == [REQUEST, REQUEST]
    result = settled.reconcile()
    assert sorted(settled.kopia.ran()) == ["refresh", "version"]
    found = {"status": {"serverInfo": {"kopiaVersion": "0.23.1"}}}
    assert settled.server()["status"] == objects.merged({"status": told}, found)["status"]
    assert result.requeue_after == PAUSE_MAX_SECONDS
