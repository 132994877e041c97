"""How users reach a server that runs, and leave it, without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.reconcile import Result
from fakes import objects
from fakes.apiclient import Action
from fakes.kopia import FakeResult
from fakes.world import READ_USERS, USER, USERS_SECRET
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.reconciler import UNREADY_RECHECK_SECONDS
from reconcilers.repositoryserver.rollout import retry
from reconcilers.repositoryserver.users.sync import LOAD_PAUSE_SECONDS
from reconcilers.repositoryserver.verdict import CLIENT_USER_INITIALIZED, STEPS
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.resource import Object
    from fakes.world import World


@pytest.mark.parametrize(
    ("passwords", "accepted", "event"),
    [
        pytest.param(
            {"app": objects.OTHER_PASSWORD_VALUE},
            {USER: objects.OTHER_PASSWORD_VALUE},
            f"Normal UsersChanged: changed {USER}",
            id="a changed password replaces the old one",
        ),
        pytest.param(
            {"app": objects.USER_PASSWORD_VALUE, "new": objects.NEW_PASSWORD_VALUE},
            {USER: objects.USER_PASSWORD_VALUE, "backup@new": objects.NEW_PASSWORD_VALUE},
            "Normal UsersChanged: added backup@new",
            id="a new key adds a user",
        ),
        pytest.param(
            {"new": objects.NEW_PASSWORD_VALUE},
            {"backup@new": objects.NEW_PASSWORD_VALUE},
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
    assert settled.recorder.lines() == [event]
    assert settled.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert settled.progress() == "Ready"


def test_the_kubelet_is_made_to_look_before_the_server_is_told(settled: World) -> None:
    settled.change_secret(objects.users_secret({"app": objects.OTHER_PASSWORD_VALUE}))

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
    assert settled.kopia.ran() == ["load users"]


def test_a_label_on_the_access_secret_changes_nothing(settled: World) -> None:
    settled.change_secret(objects.labelled(objects.users_secret()))

    settled.reconcile()

    assert settled.api.taken() == [*READ_USERS, settled.write_record]
    assert settled.kopia.ran() == []


def test_users_that_are_not_in_the_pod_yet_are_waited_for(settled: World) -> None:
    settled.kopia.failures["load users"] = FakeResult(servercommands.NOT_THERE_YET)
    settled.change_secret(objects.users_secret({"app": "other"}))

    result = settled.reconcile()

    assert result.requeue_after == LOAD_PAUSE_SECONDS
    assert settled.progress() == "Ready"
    settled.kopia.failures.clear()
    settled.reconcile()
    assert settled.may_connect() == {USER: "other"}


def test_a_controller_that_died_before_the_server_took_up_its_users_does_it_later(
    settled: World,
) -> None:
    settled.kopia.failures["load users"] = FakeResult(1, stderr=b"killed")
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


def test_a_wrong_access_secret_tells_that_its_users_stay_as_they_are(settled: World) -> None:
    before = settled.may_connect()
    settled.change_secret(objects.users_secret({"App": "x"}))

    settled.reconcile()

    _, reason, message = settled.condition("Ready")
    assert reason == "UserNameInvalid"
    assert message.startswith(f"key App of Secret {objects.NAMESPACE}/{objects.USERS}, ")
    assert (
        "until this is fixed, that Secret adds nobody, and the users that it has given so"
        in message
    )
    assert settled.may_connect() == before


class TestTwoAccessSecrets:
    """Who writes one of them has no say in the users of the other."""

    SECOND = "restorers"

    @pytest.fixture
    def both(self, world: World) -> World:
        """Give a world with a server that has users of two Secrets."""
        ref = {"name": self.SECOND, "namespace": objects.NAMESPACE}
        further = [{"username": "restorer", "userAccessSecretRef": ref}]
        world.edit({"server": {"additionalUserAccess": further}})
        world.change_secret(self.second({"a": "n", "b": "n"}))
        world.settle()
        return world

    def second(self, passwords: Mapping[str, str | bytes]) -> Object:
        return objects.secret(self.SECOND, secrets.TYPE_USERS, passwords)

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(
                lambda world: world.change_secret(objects.users_secret({"App": "x"})),
                id="the other has a key that names no user",
            ),
            pytest.param(
                lambda world: world.drop_secret(objects.USERS), id="the other has been deleted"
            ),
        ],
    )
    def test_a_user_is_removed_though_the_other_secret_is_wrong(
        self, both: World, spoil: Callable[[World], None]
    ) -> None:
        spoil(both)
        both.reconcile()
        both.change_secret(self.second({"b": "p"}))

        both.reconcile()

        assert both.may_connect() == {
            USER: objects.USER_PASSWORD_VALUE,
            "restorer@b": "p",
        }

    def test_a_user_is_removed_though_the_other_one_is_sought_in_another_namespace(
        self, both: World
    ) -> None:
        ref = {"name": self.SECOND, "namespace": "elsewhere"}
        further = [{"username": "restorer", "userAccessSecretRef": ref}]
        both.edit({"server": {"additionalUserAccess": further}})
        both.change_secret(objects.users_secret({"app": "p"}))
        both.change_secret(self.second({"c": "p"}))
        both.reconcile()

        assert both.may_connect() == {USER: "p", "restorer@a": "n", "restorer@b": "n"}
        assert both.condition("Ready")[1] == "ReferenceInOtherNamespace"
        assert both.condition("ClientUserInitialized")[0] == "False"

        further[0]["userAccessSecretRef"] = {"name": self.SECOND}
        both.edit({"server": {"additionalUserAccess": further}})
        both.reconcile()

        assert both.may_connect() == {USER: "p", "restorer@c": "p"}
        assert both.condition("Ready")[0] == "True"

    def test_the_users_of_the_right_one_connect_to_a_new_server(self, world: World) -> None:
        ref = {"name": self.SECOND, "namespace": objects.NAMESPACE}
        further = [{"username": "restorer", "userAccessSecretRef": ref}]
        world.edit({"server": {"additionalUserAccess": further}})

        world.change_secret(self.second({"a": "n"}))
        world.change_secret(objects.users_secret({"App": "x"}))
        world.settle()

        assert world.may_connect() == {"restorer@a": "n"}
        assert world.selected() == names.hash_of(world.pod())

    def test_a_password_of_one_leaves_the_lines_of_the_other_alone(self, both: World) -> None:
        before = htpasswd.entries(both.volume())[USER]

        both.change_secret(self.second({"a": "p"}))
        both.reconcile()

        assert htpasswd.entries(both.volume())[USER] == before


class TestAccessSecretWithoutKeys:
    """The tutorial of the removed controller makes one: its users are in the repository."""

    def test_a_new_server_is_reached_and_warns(self, world: World) -> None:
        world.change_secret(objects.users_secret({}))

        world.settle()

        assert world.progress() == "Ready"
        assert world.selected() == names.hash_of(world.pod())
        value, reason, message = world.condition("AccessSecretEmpty")
        assert (value, reason) == ("True", "NoUsers")
        assert "only users in the repository can connect" in message

    def test_users_whose_keys_are_all_taken_away_are_refused(self, settled: World) -> None:
        settled.change_secret(objects.users_secret({}))

        settled.reconcile()

        assert htpasswd.entries(settled.kopia.served) == {}
        assert settled.kopia.ran() == ["load users"]
        assert settled.progress() == "Ready"

    def test_it_is_over_with_the_first_key(self, world: World) -> None:
        world.change_secret(objects.users_secret({}))
        world.settle()
        world.change_secret(objects.users_secret({"new": "n"}))

        world.reconcile()

        assert world.condition("AccessSecretEmpty")[:2] == ("False", "UsersNamed")
        assert world.may_connect() == {"backup@new": "n"}

    def test_the_warning_survives_a_restart(self, world: World) -> None:
        world.change_secret(objects.users_secret({}))
        world.settle()
        world.restart()

        world.reconcile()

        assert world.condition("AccessSecretEmpty")[0] == "True"


def test_more_users_than_the_server_can_read_are_told_and_the_new_ones_wait(
    settled: World,
) -> None:
    """The API server would refuse their Secret. Who was removed goes all the same."""
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
    assert "Until then no user is added who is new in that Secret" in message
    assert "still serves" in message
    assert Action("apply", "secrets", USERS_SECRET) in settled.api.taken()
    assert result.requeue_after == UNREADY_RECHECK_SECONDS
    assert settled.may_connect() == {}


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

    assert settled.kopia.ran() == ["load users"]
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
        assert settled.kopia.ran() == ["load users"]

    def test_a_pod_that_starts_while_its_users_change_is_told_of_them(self, settled: World) -> None:
        settled.change_secret(objects.users_secret({"new": "n"}))
        old, new = settled.renew()

        assert names.users_of(new) == ""
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        assert settled.kopia.ran().count("load users") == 2
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
        settled.kopia.failures["load users"] = FakeResult(servercommands.NOT_THERE_YET)
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.kopia.failures.clear()
        settled.change_secret(objects.users_secret({"App": "x"}))
        settled.clock.step(LOAD_PAUSE_SECONDS)

        settled.reconcile()

        assert settled.may_connect() == {"backup@new": "n"}

    def test_is_refused_by_a_pod_that_drains(self, settled: World) -> None:
        old, new = settled.renew()
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        assert settled.selected() == names.hash_of(new)
        settled.change_secret(objects.users_secret({"new": "n"}))

        settled.reconcile()

        assert settled.kopia.ran().count("load users") == 2
        assert names.users_of(settled.stored(old)) == names.users_of(settled.stored(new))

    def test_is_told_to_a_pod_that_drains_until_it_has_heard(self, settled: World) -> None:
        """Nothing else waits for it, and the status of the server says nothing of it."""
        old, new = settled.renew()
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.kopia.on_pod[old["metadata"]["name"]] = FakeResult(1, stderr=b"busy")

        result = settled.reconcile()

        assert settled.progress() == "Ready"
        assert settled.condition("ServerRefreshed")[0] == "True"
        assert result.requeue_after == retry.MIN_SECONDS
        settled.kopia.on_pod.clear()
        settled.clock.step(retry.MIN_SECONDS)
        settled.reconcile()
        assert names.users_of(settled.stored(old)) == names.users_of(settled.stored(new))

    def test_is_not_let_in_by_a_pod_that_a_change_taken_back_brings_back(
        self, settled: World
    ) -> None:
        old, new = settled.renew()
        settled.kubelet(new, objects.serving())
        settled.reconcile()
        settled.kopia.on_pod[old["metadata"]["name"]] = FakeResult(servercommands.NOT_THERE_YET)
        settled.change_secret(objects.users_secret({"new": "n"}))
        settled.reconcile()
        settled.change_secret(objects.tls_secret())

        settled.reconcile()

        assert settled.selected() == names.hash_of(new)
        settled.kopia.on_pod.clear()
        settled.clock.step(LOAD_PAUSE_SECONDS)
        settled.reconcile()
        assert settled.selected() == names.hash_of(old)


def test_a_failed_try_is_remembered_for_as_long_as_its_pod_is_there(settled: World) -> None:
    settled.kopia.failures["load users"] = FakeResult(1)
    settled.change_secret(objects.users_secret({"new": "n"}))
    settled.reconcile()
    (uid,) = settled.users_state().attempts
    assert uid == settled.pod()["metadata"]["uid"]
    settled.drop_pod(settled.pod())

    settled.reconcile()

    assert settled.users_state().attempts == {}
