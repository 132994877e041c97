"""Who may connect, and how that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from reconcilers.errors import InvalidInput
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver.api import UserAccess
from reconcilers.repositoryserver.users import access
from reconcilers.repositoryserver.users.access import Change
from reconcilers.secrets import data as secrets
from reconcilers.secrets.data import SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping


def access_of(username: str = "") -> UserAccess:
    field = "spec.server.userAccess" if username else "spec.server"
    ref = SecretRef(f"{field}.userAccessSecretRef", objects.NAMESPACE, objects.USERS)
    return UserAccess(ref, username)


def desired(values: Mapping[str, str | bytes], username: str = "") -> dict[str, str]:
    of = access_of(username)
    data = secrets.read(of.secret, objects.users_secret(values), (secrets.TYPE_USERS,))
    return access.users_of(of, data)


class TestDesiredUsers:
    def test_keys_are_hosts_of_one_user(self) -> None:
        assert desired({"h1": "p1", "h2.example.com": "p2"}, username="backup") == {
            "backup@h1": "p1",
            "backup@h2.example.com": "p2",
        }

    def test_or_whole_users(self) -> None:
        assert desired({"alice_at_h1": "p1", "bob_at_h2.example.com": "p2"}) == {
            "alice@h1": "p1",
            "bob@h2.example.com": "p2",
        }

    @pytest.mark.parametrize(
        ("key", "username", "user"),
        [
            pytest.param("a-b_c.d", "x", "x@a-b_c.d", id="all that Kopia takes, as a host"),
            pytest.param("a-b_c.d_at_e-f_g.h", "", "a-b_c.d@e-f_g.h", id="as user and host"),
            pytest.param("x_at_y", "a", "a@x_at_y", id="in a host name `_at_` is nothing special"),
            pytest.param("cat_attic_at_h", "", "cat_attic@h", id="`at` within a word"),
            pytest.param("__at__", "", "_@_", id="underscores around"),
            pytest.param("-h", "-u", "-u@-h", id="dashes in front"),
        ],
    )
    def test_unusual_names_that_kopia_takes(self, key: str, username: str, user: str) -> None:
        assert list(desired({key: "p"}, username)) == [user]

    @pytest.mark.parametrize(
        ("key", "username", "user"),
        [
            pytest.param("H1", "backup", "backup@H1", id="upper case in a host"),
            pytest.param("Alice_at_h1", "", "Alice@h1", id="upper case in a user"),
            pytest.param("alice_at_", "", "alice@", id="no host"),
            pytest.param("_at_h1", "", "@h1", id="no user"),
        ],
    )
    def test_a_name_that_kopia_refuses(self, key: str, username: str, user: str) -> None:
        of = access_of(username)

        with pytest.raises(InvalidInput) as caught:
            desired({key: "p"}, username)

        assert caught.value.reason == "UserNameInvalid"
        assert caught.value.message == (
            f"key {key} of Secret backup/files-users, named by {of.secret.field}, makes the user "
            f"{user}, which Kopia refuses; user and host may hold lower-case letters, digits, `-`, "
            "`_` and `.` only"
        )

    # Names that a Secret's key cannot hold come in by the user name.
    @pytest.mark.parametrize("username", ["Backup", "a@b", "al ice", "a+b", "*", "ä", "a\n"])
    def test_a_user_name_that_kopia_refuses(self, username: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            desired({"h1": "p"}, username)

        assert caught.value.reason == "UserNameInvalid"
        assert caught.value.message == (
            f"spec.server.userAccess.username {username!r} is refused by Kopia; use lower-case "
            "letters, digits, `-`, `_` and `.` only"
        )

    def test_a_key_that_names_no_user(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            desired({"h1": "p"})

        assert caught.value.reason == "UserNameInvalid"
        assert caught.value.message == (
            "key h1 of Secret backup/files-users, named by spec.server.userAccessSecretRef, does "
            "not name a user; write user and host as user_at_host, or name the user in "
            "spec.server.userAccess and let the keys be host names"
        )

    @pytest.mark.parametrize("key", ["a_at_b_at_c", "a_at__at_b"])
    def test_a_key_that_could_be_divided_in_two_places(self, key: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            desired({key: "p"})

        assert caught.value.reason == "UserNameInvalid"
        assert caught.value.message == (
            f"key {key} of Secret backup/files-users, named by spec.server.userAccessSecretRef, "
            "holds `_at_` more than once, so that user and host cannot be told apart; use "
            "spec.server.userAccess for this user"
        )

    def test_nobody_at_all(self) -> None:
        with pytest.raises(InvalidInput) as caught:
            desired({}, "backup")

        assert caught.value.reason == "NoUsers"
        assert caught.value.message == (
            "Secret backup/files-users, named by spec.server.userAccess.userAccessSecretRef, has "
            "no keys; add one for each user that may connect"
        )

    @pytest.mark.parametrize(
        ("password", "message"),
        [
            pytest.param("", "is empty; give it a value", id="empty"),
            pytest.param("\n", "is empty; give it a value", id="only a line end"),
            pytest.param(b"\xff", "is not UTF-8 text; correct its value", id="no text"),
        ],
    )
    def test_a_password_that_nobody_could_type(self, password: str | bytes, message: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            desired({"h1": "p", "h2": password}, "backup")

        assert caught.value.message == (
            "key h2 of Secret backup/files-users, named by "
            f"spec.server.userAccess.userAccessSecretRef, {message}"
        )

    def test_white_space_around_a_password_is_trimmed_as_kopias_client_does(self) -> None:
        assert desired({"h1": " pass word\n"}, "backup") == {"backup@h1": "pass word"}


def source(
    values: Mapping[str, str], username: str, number: int
) -> tuple[UserAccess, secrets.SecretData]:
    """Return an additional access with its Secret."""
    field = f"spec.server.additionalUserAccess[{number}].userAccessSecretRef"
    of = UserAccess(SecretRef(field, objects.NAMESPACE, f"users-{number}"), username)
    return of, secrets.read(of.secret, objects.users_secret(values), (secrets.TYPE_USERS,))


class TestAllUsers:
    def test_the_users_of_all_secrets_may_connect(self) -> None:
        found = access.all_users([source({"h": "p"}, "a", 0), source({"h": "q"}, "b", 1)])

        assert found == {"a@h": "p", "b@h": "q"}

    def test_a_user_of_two_secrets_is_named_with_both(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            access.all_users([source({"h": "p"}, "a", 0), source({"h": "q"}, "a", 1)])

        assert refused.value.reason == "UserNamedTwice"
        assert refused.value.message == (
            f"the user a@h is named by Secret {objects.NAMESPACE}/users-0 and by Secret "
            f"{objects.NAMESPACE}/users-1, named by "
            "spec.server.additionalUserAccess[1].userAccessSecretRef; remove it from one of them"
        )

    def test_a_user_name_is_refused_where_it_stands(self) -> None:
        with pytest.raises(InvalidInput) as refused:
            access.all_users([source({"h": "p"}, "a", 0), source({"h": "q"}, "B", 1)])

        assert refused.value.message.startswith("spec.server.additionalUserAccess[1].username 'B'")

    def test_as_many_as_the_server_can_read(self, few: int) -> None:
        found = access.all_users([source(dict.fromkeys(hosts(few), "p"), "a", 0)])

        assert len(found) == few

    def test_more_than_that_are_refused_where_most_of_them_stand(self, few: int) -> None:
        most = source(dict.fromkeys(hosts(few), "p"), "a", 0)

        with pytest.raises(InvalidInput) as refused:
            access.all_users([source({"h00": "p"}, "b", 1), most])

        assert refused.value.reason == "TooManyUsers"
        assert refused.value.message == (
            "11 users are too many: the server reads them from one Secret, which holds about 10 "
            "with names as long as these; remove users from Secret backup/users-0, named by "
            "spec.server.additionalUserAccess[0].userAccessSecretRef, which names 10 of them, or "
            "move some to another RepositoryServer"
        )

    @pytest.fixture
    def few(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Give a server that can read so many users with names as long as `a@h00`."""
        count = 10
        monkeypatch.setattr(access, "MAX_FILE_BYTES", count * htpasswd.size(["a@h00"]))
        return count


def hosts(count: int) -> list[str]:
    return [f"h{number:02}" for number in range(count)]


class TestParseNames:
    def test_the_list_of_kopia(self) -> None:
        listed = b'[{"username":"alice@h1","passwordHashVersion":1,"passwordHash":"b64"}]'

        assert access.parse_names(listed) == {"alice@h1"}

    def test_a_list_without_users(self) -> None:
        assert access.parse_names(b"[]") == frozenset()

    @pytest.mark.parametrize(
        "text",
        [b"", b"null", b"[1]", b"[{}]", b"ERROR storage is away"],
        ids=["nothing", "null", "no users", "no names", "an error"],
    )
    def test_what_is_no_list_of_users(self, text: bytes) -> None:
        with pytest.raises(access.UserListError):
            access.parse_names(text)


class TestChange:
    @pytest.mark.parametrize(
        ("before", "after", "change", "summary"),
        [
            pytest.param({"a@h": "1"}, {"a@h": "1"}, Change((), (), ()), "", id="none"),
            pytest.param({}, {"a@h": "1"}, Change(("a@h",), (), ()), "added a@h", id="new"),
            pytest.param(
                {"a@h": "1"},
                {"a@h": "2"},
                Change((), ("a@h",), ()),
                "changed a@h",
                id="another password",
            ),
            pytest.param({"a@h": "1"}, {}, Change((), (), ("a@h",)), "removed a@h", id="gone"),
            pytest.param(
                {"c@h": "1", "d@h": "1"},
                {"b@h": "1", "a@h": "1", "c@h": "2"},
                Change(("a@h", "b@h"), ("c@h",), ("d@h",)),
                "added a@h, b@h; changed c@h; removed d@h",
                id="all of it, in a fixed order",
            ),
        ],
    )
    def test_users_differ_from_those_before(
        self, before: dict[str, str], after: dict[str, str], change: Change, summary: str
    ) -> None:
        found = Change.between(before, after)

        assert found == change
        assert found.summary() == summary
