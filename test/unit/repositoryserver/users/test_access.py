"""Who may connect, and how that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from reconcilers.errors import InvalidInput
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver.api import UserAccess
from reconcilers.repositoryserver.users import access, userfile
from reconcilers.repositoryserver.users.access import Access, Change
from reconcilers.repositoryserver.users.userfile import UserFile
from reconcilers.secrets import data as secrets
from reconcilers.secrets.data import SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.users.access import Resolved


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
            f"{user}, which Kopia refuses; rename the key: user and host may hold lower-case "
            "letters, digits, `-`, `_` and `.` only"
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
        assert desired({}, "backup") == {}

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


def source(values: Mapping[str, str | bytes], username: str, number: int) -> Access:
    """Return an additional access with its Secret."""
    of = further(username, number)
    obj = objects.users_secret(values)
    return Access(of, secrets.read(of.secret, obj, (secrets.TYPE_USERS,)))


def missing(username: str, number: int) -> Access:
    """Return an additional access whose Secret is gone."""
    return Access(further(username, number), InvalidInput("SecretMissing", "gone"))


def further(username: str, number: int) -> UserAccess:
    field = f"spec.server.additionalUserAccess[{number}].userAccessSecretRef"
    return UserAccess(SecretRef(field, objects.NAMESPACE, f"users-{number}"), username)


def file_of(*accesses: Access) -> UserFile:
    """Return the file that right accesses make."""
    return UserFile(access.resolve(accesses, UserFile()).sections)


def let_in(resolved: Resolved) -> dict[str, str]:
    """Return the password of each user who may connect, of those that the tests use."""
    return {
        user: next((word for word in "pqr" if htpasswd.verify(word, hash_)), "?")
        for users in resolved.sections.values()
        for user, hash_ in users.items()
    }


#: What is said of a wrong Secret that has given users so far.
STAY = (
    "; until this is fixed, that Secret adds nobody, and the users that it has given so far stay, "
    "each with the same password, unless another access Secret names the user: then the password "
    "there counts"
)


def complaints(resolved: Resolved) -> list[str]:
    return [f"{problem.reason}: {problem.message}" for problem in resolved.problems]


class TestResolve:
    """Each access Secret is judged by itself."""

    def test_the_users_of_all_secrets_may_connect(self) -> None:
        found = access.resolve([source({"h": "p"}, "a", 0), source({"h": "q"}, "b", 1)], UserFile())

        assert let_in(found) == {"a@h": "p", "b@h": "q"}
        assert (found.problems, found.warning) == ((), "")

    def test_who_keeps_the_password_keeps_the_hash(self) -> None:
        former = file_of(source({"h": "p"}, "a", 0))

        found = access.resolve([source({"h": "p", "i": "q"}, "a", 0)], former)

        assert found.sections["users-0, user a"]["a@h"] == former.entries()["a@h"]

    @pytest.mark.parametrize(
        ("wrong", "said"),
        [
            pytest.param(missing("b", 1), "SecretMissing: gone; until this is fixed, ", id="gone"),
            pytest.param(source({"H": "p"}, "b", 1), "UserNameInvalid: key H ", id="a bad key"),
            pytest.param(source({"h": b"\xff"}, "b", 1), "SecretValueInvalid: ", id="no text"),
        ],
    )
    def test_the_users_of_a_wrong_secret_stay_and_the_others_change(
        self, wrong: Access, said: str
    ) -> None:
        former = file_of(source({"h": "p", "i": "p"}, "a", 0), source({"h": "q"}, "b", 1))

        found = access.resolve([source({"h": "r"}, "a", 0), wrong], former)

        assert let_in(found) == {"a@h": "r", "b@h": "q"}
        (complaint,) = complaints(found)
        assert complaint.startswith(said)
        assert complaint.endswith(STAY)

    def test_a_wrong_secret_without_users_of_before_adds_none(self) -> None:
        found = access.resolve([source({"h": "p"}, "a", 0), missing("b", 1)], UserFile())

        assert let_in(found) == {"a@h": "p"}
        assert complaints(found) == ["SecretMissing: gone"]

    def test_each_wrong_secret_is_told_of(self) -> None:
        found = access.resolve([missing("a", 0), source({"H": "p"}, "b", 1)], UserFile())

        assert [problem.reason for problem in found.problems] == [
            "SecretMissing",
            "UserNameInvalid",
        ]

    def test_what_is_told_of_keeps_no_secret_that_was_read(self) -> None:
        found = access.resolve([source({"H": "p"}, "b", 0), source({"h": ""}, "a", 1)], UserFile())

        assert [problem.__traceback__ for problem in found.problems] == [None, None]

    def test_who_is_named_no_more_goes_though_the_secret_is_wrong(self) -> None:
        """Another user name, or no access at all, is a change of the resource."""
        former = file_of(source({"h": "p"}, "a", 0), source({"h": "q"}, "b", 1))

        found = access.resolve([missing("c", 0)], former)

        assert let_in(found) == {}

    @pytest.mark.parametrize("wrong", [0, 1], ids=["of the first", "of the second"])
    def test_a_right_secret_wins_over_the_former_users_of_a_wrong_one(self, wrong: int) -> None:
        former = file_of(source({"h": "p"}, "a", wrong))
        accesses = [source({"h": "q"}, "a", 0), source({"h": "q"}, "a", 1)]
        accesses[wrong] = missing("a", wrong)

        found = access.resolve(accesses, former)

        assert let_in(found) == {"a@h": "q"}

    def test_of_a_wrong_secret_none_of_whose_users_stays_none_is_said_to(self) -> None:
        former = file_of(source({"h": "p"}, "a", 1))

        found = access.resolve([source({"h": "q"}, "a", 0), missing("a", 1)], former)

        assert complaints(found) == ["SecretMissing: gone"]

    def test_a_user_of_two_secrets_has_the_first_ones_password_and_the_others_change(self) -> None:
        former = file_of(source({"i": "p", "j": "p"}, "a", 1))

        found = access.resolve(
            [source({"h": "p"}, "a", 0), source({"h": "q", "i": "r"}, "a", 1)], former
        )

        assert let_in(found) == {"a@h": "p", "a@i": "r"}
        (complaint,) = complaints(found)
        assert complaint == (
            f"UserNamedTwice: the user a@h is named by Secret {objects.NAMESPACE}/users-0 and by "
            f"Secret {objects.NAMESPACE}/users-1, named by "
            "spec.server.additionalUserAccess[1].userAccessSecretRef; remove it from one of them. "
            f"Until then the password in Secret {objects.NAMESPACE}/users-0 counts"
        )

    def test_one_secret_named_twice_lets_its_users_in_once(self) -> None:
        twice = source({"h": "p"}, "a", 0)

        found = access.resolve([twice, twice], UserFile())

        assert let_in(found) == {"a@h": "p"}

    def test_a_user_name_is_refused_where_it_stands(self) -> None:
        found = access.resolve([source({"h": "p"}, "a", 0), source({"h": "q"}, "B", 1)], UserFile())

        (complaint,) = complaints(found)
        assert complaint.startswith(
            "UserNameInvalid: spec.server.additionalUserAccess[1].username 'B'"
        )

    def test_secrets_without_keys_let_nobody_in_and_are_warned_of(self) -> None:
        found = access.resolve([source({}, "a", 0)], file_of(source({"h": "p"}, "a", 0)))

        assert (let_in(found), found.problems) == ({}, ())
        assert found.warning == (
            f"Secret {objects.NAMESPACE}/users-0, named by "
            "spec.server.additionalUserAccess[0].userAccessSecretRef, has no keys, so that only "
            "users in the repository can connect; add a key for each user that may connect"
        )

    def test_one_of_two_without_keys_is_warned_of_in_other_words(self) -> None:
        found = access.resolve([source({"h": "p"}, "a", 0), source({}, "b", 1)], UserFile())

        assert let_in(found) == {"a@h": "p"}
        assert found.warning.startswith(f"Secret {objects.NAMESPACE}/users-1, ")
        assert "so that it lets nobody in" in found.warning


class TestTooManyUsers:
    def test_as_many_as_the_server_can_read(self, few: int) -> None:
        found = access.resolve([source(dict.fromkeys(hosts(few), "p"), "a", 0)], UserFile())

        assert len(let_in(found)) == few

    def test_more_are_told_where_most_of_them_stand_and_the_new_ones_wait(self, few: int) -> None:
        former = file_of(source({"h00": "p", "h01": "p", "gone": "p"}, "a", 0))
        most = source(dict.fromkeys(hosts(few), "q"), "a", 0)

        found = access.resolve([source({"h00": "r"}, "b", 1), most], former)

        assert let_in(found) == {"b@h00": "r", "a@h00": "q", "a@h01": "q"}
        (complaint,) = complaints(found)
        assert complaint == (
            "TooManyUsers: 11 users are too many: the server reads them from one Secret, which "
            "holds about 10 with names as long as these; remove users from Secret backup/users-0, "
            "named by spec.server.additionalUserAccess[0].userAccessSecretRef, which names 10 of "
            "them, or move some to another RepositoryServer. Until then no user is added who is "
            "new in that Secret"
        )

    @pytest.fixture
    def few(self, monkeypatch: pytest.MonkeyPatch) -> int:
        """Give a server that can read so many users with names as long as `a@h00`."""
        count = 10
        users = [f"a@{host}" for host in hosts(count)]
        fits = userfile.size([("users-0, user a", users), ("users-1, user b", [])])
        monkeypatch.setattr(access, "MAX_FILE_BYTES", fits)
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


@pytest.mark.parametrize(
    ("username", "values", "named"),
    [
        pytest.param("u", {"a": "x" * 16}, [], id="16 characters are enough"),
        pytest.param("u", {"a": "\u00e4" * 15}, ["u@a (key a of"], id="characters, not bytes"),
        pytest.param("u", {"a": f"{'x' * 15}\n"}, ["u@a (key a of"], id="a line end is none"),
        pytest.param("", {"a_at_b": "x"}, ["a@b (key a_at_b of"], id="the key has user and host"),
        pytest.param(
            "u",
            {"a": "x", "b": "x", "c": "x", "d": "x", "e": "x"},
            ["u@a (key a of", "u@b (key b of", "u@c (key c of", ", 2 more;"],
            id="three are named, and the others counted",
        ),
    ],
)
def test_who_has_a_short_password(
    username: str, values: Mapping[str, str], named: list[str]
) -> None:
    of = access_of(username)
    data = secrets.read(of.secret, objects.users_secret(values), (secrets.TYPE_USERS,))

    short = access.resolve([Access(of, data)], UserFile({}, frozenset())).short

    assert all(name in short for name in named)
    assert bool(short) == bool(named)
    assert "u@d" not in short
