"""How users reach a server that runs, and leave it, without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action
from fakes.kopia import FakeResult
from fakes.world import READ_USERS, USER, USERS_SECRET, WRITE_STATUS
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.reconciler import UNREADY_RECHECK_SECONDS
from reconcilers.repositoryserver.users.sync import FORGET_AFTER_SECONDS, TAKE_UP_PAUSE_SECONDS
from reconcilers.repositoryserver.verdict import CLIENT_USER_INITIALIZED, STEPS

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.world import World


@pytest.mark.parametrize(
    ("passwords", "accepted", "event"),
    [
        pytest.param(
            {"app": "other"},
            {USER: "other"},
            f"Normal UsersChanged: changed {USER}",
            id="a changed password replaces the old one",
        ),
        pytest.param(
            {"app": objects.USER_PASSWORD_VALUE, "new": "n"},
            {USER: objects.USER_PASSWORD_VALUE, "backup@new": "n"},
            "Normal UsersChanged: added backup@new",
            id="a new key adds a user",
        ),
        pytest.param(
            {"new": "n"},
            {"backup@new": "n"},
            f"Normal UsersChanged: added backup@new; removed {USER}",
            id="a user that leaves the Secret may connect no more",
        ),
    ],
)
def test_a_changed_access_secret_changes_users_and_restarts_nothing(
    settled: World, passwords: dict[str, str], accepted: dict[str, str], event: str
) -> None:
    pod = settled.pod()
    settled.change_secret(objects.users_secret(passwords))

    settled.reconcile()

    assert settled.may_connect() == accepted
    assert settled.recorder.told() == [event]
    assert settled.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert settled.progress() == "Ready"


def test_the_kubelet_is_made_to_look_before_the_server_is_told(settled: World) -> None:
    settled.change_secret(objects.users_secret({"app": "other"}))

    settled.reconcile()

    annotate = Action("patch", "pods", settled.pod()["metadata"]["name"])
    assert settled.api.taken() == [
        *READ_USERS,
        Action("apply", "secrets", USERS_SECRET),
        annotate,
        annotate,
        settled.write_record,
    ]
    settled.reconcile()
    assert settled.api.taken() == []
    assert settled.kopia.ran() == ["take up"]


def test_a_label_on_the_access_secret_changes_nothing(settled: World) -> None:
    settled.change_secret(objects.labelled(objects.users_secret()))

    settled.reconcile()

    assert settled.api.taken() == [*READ_USERS, settled.write_record]
    assert settled.kopia.ran() == []


def test_users_that_are_not_in_the_pod_yet_are_waited_for(settled: World) -> None:
    settled.kopia.failures["take up"] = FakeResult(servercommands.NOT_THERE_YET)
    settled.change_secret(objects.users_secret({"app": "other"}))

    result = settled.reconcile()

    assert result.requeue_after == TAKE_UP_PAUSE_SECONDS
    assert settled.progress() == "Ready"
    settled.kopia.failures.clear()
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}


def test_a_controller_that_died_before_the_server_took_up_its_users_does_it_later(
    settled: World,
) -> None:
    settled.kopia.failures["take up"] = FakeResult(1, stderr=b"killed")
    settled.change_secret(objects.users_secret({"app": "other"}))
    settled.reconcile()
    settled.kopia.failures.clear()
    settled.restart()

    settled.reconcile()

    assert settled.may_connect() == {USER: "other"}


def test_users_change_in_the_former_pod_while_its_successor_is_not_up(settled: World) -> None:
    settled.renew()
    settled.change_secret(objects.users_secret({"new": "n"}))

    settled.reconcile()

    assert settled.may_connect() == {"backup@new": "n"}


def test_users_change_while_another_secret_is_wrong(settled: World) -> None:
    settled.drop_secret(objects.TLS)
    settled.reconcile()
    settled.change_secret(objects.users_secret({"new": "n"}))

    settled.reconcile()

    assert settled.may_connect() == {"backup@new": "n"}


def test_a_wrong_access_secret_tells_that_all_users_stay_as_they_are(settled: World) -> None:
    before = settled.may_connect()
    settled.change_secret(objects.users_secret({"App": "x"}))

    settled.reconcile()

    _, reason, message = settled.condition("Ready")
    assert reason == "UserNameInvalid"
    assert message.startswith(f"key App of Secret {objects.NAMESPACE}/{objects.USERS}, ")
    assert "; until this is fixed, no user is added, changed or removed" in message
    assert settled.may_connect() == before


def test_more_users_than_the_server_can_read_are_told_and_nobody_is_shut_out(
    settled: World,
) -> None:
    """The API server would refuse their Secret: it is not asked, and so not asked again."""
    before = settled.may_connect()
    settled.change_secret(objects.users_secret({f"host-{n}": "p" for n in range(20_000)}))

    result = settled.reconcile()

    assert settled.condition("ClientUserInitialized")[:2] == (
        "False",
        STEPS[CLIENT_USER_INITIALIZED][1],
    )
    _, reason, message = settled.condition("Ready")
    assert reason == "TooManyUsers"
    assert "20000 users are too many" in message
    assert f"remove users from Secret {objects.NAMESPACE}/{objects.USERS}, named by " in message
    assert "until this is fixed, no user is added, changed or removed" in message
    assert "still serves" in message
    assert settled.api.taken() == [*READ_USERS, WRITE_STATUS]
    assert result.requeue_after == UNREADY_RECHECK_SECONDS
    assert settled.may_connect() == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"data": {"htpasswd": "eDp5Cg=="}}, id="somebody lets a stranger in"),
        pytest.param({"data": None}, id="somebody empties it"),
        pytest.param({"data": {"htpasswd": "/w=="}}, id="somebody writes what is no text"),
    ],
)
def test_the_users_that_somebody_changed_by_hand_are_put_back(
    settled: World, change: Object
) -> None:
    stored = settled.secret(USERS_SECRET)
    settled.change_secret(objects.merged(stored, change))

    settled.reconcile()

    assert settled.kopia.ran() == ["take up"]
    assert settled.may_connect() == {USER: objects.USER_PASSWORD_VALUE}
    settled.reconcile()
    assert settled.kopia.ran() == []


def test_users_that_were_deleted_come_back(settled: World) -> None:
    settled.drop_secret(USERS_SECRET)

    settled.reconcile()

    assert settled.may_connect() == {USER: objects.USER_PASSWORD_VALUE}


class TestUsersSecretOfAnotherHand:
    """What the cache does not show, or somebody has spoilt, is not written over blindly."""

    def test_one_that_the_cache_does_not_show_is_left_alone(self, settled: World) -> None:
        settled.restart(cached_secrets=[])
        before = settled.volume()

        assert settled.reconcile() == Result(requeue=True)

        assert settled.volume() == before

    def test_a_version_that_is_none_is_replaced(self, settled: World) -> None:
        stored = settled.secret(USERS_SECRET)
        settled.change_secret(objects.merged(stored, {"data": {"version": ""}}))

        settled.reconcile()

        assert names.users_of(settled.pod()) not in ("", names.NO_USERS)
        assert settled.kopia.ran() == ["take up"]

    def test_a_pod_that_starts_while_its_users_change_is_told_of_them(self, settled: World) -> None:
        settled.change_secret(objects.users_secret({"new": "n"}))
        old, new = settled.renew()

        assert names.users_of(new) == ""
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        assert settled.kopia.ran().count("take up") == 2
        assert names.users_of(settled.stored(new)) == names.users_of(settled.stored(old))


class TestWhoMayConnectNoMore:
    """Every way by which a user leaves ends in a server that refuses the user."""

    def test_is_told_of_though_another_input_is_wrong_since_the_start(self, settled: World) -> None:
        settled.drop_secret(objects.TLS)
        settled.restart()
        settled.change_secret(objects.users_secret({"new": "n"}))

        settled.reconcile()

        assert settled.may_connect() == {"backup@new": "n"}

    def test_is_told_of_though_an_access_secret_is_wrong_since(self, settled: World) -> None:
        settled.kopia.failures["take up"] = FakeResult(servercommands.NOT_THERE_YET)
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.kopia.failures.clear()
        settled.change_secret(objects.users_secret({"App": "x"}))
        settled.clock.step(TAKE_UP_PAUSE_SECONDS)

        settled.reconcile()

        assert settled.may_connect() == {"backup@new": "n"}

    def test_leaves_the_repository_even_when_gone_before_it_was_searched(
        self, settled: World
    ) -> None:
        settled.kopia.users = {USER}
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.clock.step(FORGET_AFTER_SECONDS)

        settled.reconcile()

        assert settled.kopia.users == set()

    def test_is_not_let_in_by_a_pod_that_a_change_taken_back_brings_back(
        self, settled: World
    ) -> None:
        old, new = settled.renew()
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.kopia.failures["take up"] = FakeResult(servercommands.NOT_THERE_YET)
        settled.change_secret(objects.tls_secret())

        settled.reconcile()

        assert settled.selected() == names.digest_of(new)
        settled.kopia.failures.clear()
        settled.clock.step(TAKE_UP_PAUSE_SECONDS)
        settled.reconcile()
        assert settled.selected() == names.digest_of(old)


def test_a_failed_try_is_remembered_for_as_long_as_its_pod_is_there(settled: World) -> None:
    settled.kopia.failures["take up"] = FakeResult(1)
    settled.change_secret(objects.users_secret({"new": "n"}))
    settled.reconcile()
    (uid,) = settled.memory().attempts
    assert uid == settled.pod()["metadata"]["uid"]
    settled.drop_pod(settled.pod())

    settled.reconcile()

    assert settled.memory().attempts == {}
