"""Who may connect, who is registered, and the commands that bring the two together."""

import base64
import json
import sys
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fakes import objects
from fakes.kopia import PlainHasher
from reconcilers.repositoryserver import secrets, users
from reconcilers.repositoryserver.api import SecretRef, UserAccess
from reconcilers.repositoryserver.errors import InvalidInput
from reconcilers.repositoryserver.users import KopiaHasher, Plan, RegisteredUser

PASSWORD = "correct-horse"

# `kopia server users hash-password --user-password=correct-horse` of Kopia 0.23.1.
SCRYPT = (
    "eyJwYXNzd29yZEhhc2hWZXJzaW9uIjoxLCJwYXNzd29yZEhhc2giOiJHU0FOZW5QZHg1RUJzcFM3Qm83Q1pEMXdt"
    "SWV4RXBPQXNxcURQY0JNdkZUa0hJUVk4b1E2ckhKYnlTRFJwckw1OEMzMGZlWXRQeHZaczBjaTdCT2pmZz09In0="
)
# The same code of Kopia 0.23.1 with version 2 in place of its default, taken by its `user add`.
PBKDF2 = (
    "eyJwYXNzd29yZEhhc2hWZXJzaW9uIjoyLCJwYXNzd29yZEhhc2giOiJkNk1udmVmV1ZCZWQrNDN5ZFB3R3FRd0lG"
    "eUZxQTZ0b3NaY0RKek14cTJsNE5va28vWUk1dmh6YnNUY1JYbmhDTXZnUjhZRFB5dXpqVWVUdU9BV2ZKUT09In0="
)


def decoded(encoded: str) -> RegisteredUser:
    """Return the user that Kopia lists after it was given an encoded hash."""
    document = json.loads(base64.b64decode(encoded))
    return RegisteredUser("u@h", document["passwordHashVersion"], document["passwordHash"])


def access(username: str = "") -> UserAccess:
    field = "spec.server.userAccess" if username else "spec.server"
    ref = SecretRef(f"{field}.userAccessSecretRef", objects.NAMESPACE, objects.USERS)
    return UserAccess(ref, username)


def desired(values: Mapping[str, str | bytes], username: str = "") -> dict[str, str]:
    of = access(username)
    data = secrets.read(of.secret, objects.users_secret(values), (secrets.TYPE_USERS,))
    return users.desired_users(of, data)


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
        of = access(username)

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


class TestParseUsers:
    def test_the_list_of_kopia(self) -> None:
        listed = b"""[
         {"username":"alice@h1","passwordHashVersion":1,"passwordHash":"AA=="},
         {"username":"bob@h2","passwordHashVersion":2,"passwordHash":"BB=="}
        ]"""

        assert users.parse_users(listed) == [
            RegisteredUser("alice@h1", 1, "AA=="),
            RegisteredUser("bob@h2", 2, "BB=="),
        ]

    @pytest.mark.parametrize(
        ("listed", "expected"),
        [
            pytest.param(b"[]", [], id="nobody"),
            pytest.param(b"[\n]\n", [], id="nobody, as it is printed"),
            pytest.param(
                b'[{"username":"u@h","passwordHash":"AA=="}]',
                [RegisteredUser("u@h", 1, "AA==")],
                id="no version, which Kopia leaves out for 0: scrypt",
            ),
            pytest.param(
                b'[{"username":"u@h","passwordHashVersion":0,"passwordHash":"AA=="}]',
                [RegisteredUser("u@h", 1, "AA==")],
                id="version 0: scrypt",
            ),
            pytest.param(
                b'[{"username":"u@h","passwordHashVersion":1,"passwordHash":null}]',
                [RegisteredUser("u@h", 1, "")],
                id="null, as Go writes an empty hash",
            ),
            pytest.param(
                b'[{"username":"u@h"}]', [RegisteredUser("u@h", 1, "")], id="no hash at all"
            ),
        ],
    )
    def test_lists_that_are_less(self, listed: bytes, expected: list[RegisteredUser]) -> None:
        assert users.parse_users(listed) == expected

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"ERROR cannot list", id="words"),
            pytest.param(b"\xff", id="bytes that are no text"),
            pytest.param(b"null", id="null"),
            pytest.param(b'{"error":"no"}', id="an object"),
            pytest.param(b'["u@h"]', id="a list of names"),
            pytest.param(b'[{"user":"u@h"}]', id="a list of something else"),
            pytest.param(b'[{"username":"u@h","passwordHash":"secret-hash"', id="a list cut off"),
        ],
    )
    def test_what_is_no_list_of_users(self, text: bytes) -> None:
        with pytest.raises(users.UserListError) as caught:
            users.parse_users(text)

        assert "secret-hash" not in str(caught.value)
        # The parser's error holds the text, hashes and all.
        assert caught.value.__suppress_context__


def registered(**passwords: str) -> list[RegisteredUser]:
    return [
        RegisteredUser(f"{name}@h", 1, f"hash-of-{password}")
        for name, password in passwords.items()
    ]


HASH_OF_NEW = PlainHasher().encode("new")


class TestPlan:
    @pytest.mark.parametrize(
        ("wanted", "present", "owned", "expected"),
        [
            pytest.param(
                {"a@h": "old"},
                registered(a="old"),
                {"a@h"},
                Plan(put={}),
                id="all as it should be: nothing to do",
            ),
            pytest.param(
                {"a@h": "new"},
                [],
                {"a@h"},
                Plan(put={"a@h": HASH_OF_NEW}),
                id="a user that is missing is put there, with a hash",
            ),
            pytest.param(
                {"a@h": "new"},
                registered(a="old"),
                {"a@h"},
                Plan(put={}, set_={"a@h": HASH_OF_NEW}),
                id="another password is set",
            ),
            pytest.param(
                {"a@h": "new"},
                registered(a="old"),
                set(),
                Plan(put={}, set_={"a@h": HASH_OF_NEW}),
                id="also of a user whom the removed controller registered",
            ),
            pytest.param(
                {},
                registered(a="old"),
                {"a@h"},
                Plan(put={}, delete=("a@h",)),
                id="a user that left the Secret is deleted",
            ),
            pytest.param(
                {},
                registered(a="old"),
                set(),
                Plan(put={}),
                id="but never one that this controller did not register",
            ),
            pytest.param(
                {},
                [],
                {"a@h"},
                Plan(put={}),
                id="nor one that is gone already",
            ),
            pytest.param(
                {},
                registered(b="old", a="old"),
                {"b@h", "a@h"},
                Plan(put={}, delete=("a@h", "b@h")),
                id="deletions have a fixed order",
            ),
        ],
    )
    def test_what_is_to_be_done(
        self,
        wanted: Mapping[str, str],
        present: list[RegisteredUser],
        owned: Collection[str],
        expected: Plan,
    ) -> None:
        found = users.plan(wanted, present, owned, PlainHasher(), limit=10)

        assert found == expected
        assert bool(found) == bool(expected.put or expected.set_ or expected.delete)

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [
            pytest.param(
                1,
                Plan(put={}, delete=("gone@h",), left=2),
                id="who must not connect any more comes first",
            ),
            pytest.param(
                2,
                Plan(put={}, set_={"a@h": HASH_OF_NEW}, delete=("gone@h",), left=1),
                id="then who cannot connect any more",
            ),
            pytest.param(
                3,
                Plan({"b@h": HASH_OF_NEW}, {"a@h": HASH_OF_NEW}, ("gone@h",)),
                id="then who cannot connect yet; nothing is left",
            ),
        ],
    )
    def test_a_plan_changes_no_more_users_than_fit(self, limit: int, expected: Plan) -> None:
        wanted = {"a@h": "new", "b@h": "new"}
        present = registered(a="old", gone="old")

        found = users.plan(wanted, present, {"a@h", "gone@h"}, PlainHasher(), limit=limit)

        assert found == expected

    def test_the_summary_names_users_and_shows_no_hash(self) -> None:
        summary = Plan(
            put={"a@h": "hash-1", "b@h": "hash-2"}, set_={"c@h": "hash-3"}, delete=("d@h",)
        ).summary()

        assert summary == "registered a@h, b@h; changed c@h; removed d@h"

    def test_the_summary_leaves_out_what_there_is_nothing_of(self) -> None:
        assert Plan(put={}, set_={"c@h": "hash-3"}).summary() == "changed c@h"


@pytest.fixture(scope="module")
def hasher() -> KopiaHasher:
    """Remember what was verified across tests: one scrypt takes 0.2 s."""
    return KopiaHasher()


class Gullible:
    """A key derivation that takes no time and any password."""

    def verify(self, password: bytes, key: bytes) -> None:
        pass


class TestKopiaHasher:
    @pytest.mark.parametrize("encoded", [SCRYPT, PBKDF2], ids=["scrypt", "pbkdf2"])
    def test_a_hash_of_kopia_is_verified(self, encoded: str, hasher: KopiaHasher) -> None:
        assert hasher.verify(PASSWORD, decoded(encoded))

    @pytest.mark.parametrize("encoded", [SCRYPT, PBKDF2], ids=["scrypt", "pbkdf2"])
    def test_another_password_is_not(self, encoded: str, hasher: KopiaHasher) -> None:
        assert not hasher.verify("wrong", decoded(encoded))

    def test_a_hash_for_kopia_is_versioned_and_salted(self, hasher: KopiaHasher) -> None:
        user = decoded(hasher.encode(PASSWORD))

        assert user.version == 2
        assert len(base64.b64decode(user.hash_)) == 64
        # A hasher that remembers nothing computes anew.
        assert KopiaHasher().verify(PASSWORD, user)

    def test_what_was_verified_costs_nothing_the_next_time(
        self, hasher: KopiaHasher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = decoded(PBKDF2)
        assert hasher.verify(PASSWORD, user)
        monkeypatch.setattr(users, "_KDF", {})

        assert hasher.verify(PASSWORD, user)
        assert not hasher.verify("wrong", user)

    def test_what_was_encoded_needs_no_verification(
        self, hasher: KopiaHasher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = decoded(hasher.encode("another"))
        monkeypatch.setattr(users, "_KDF", {})

        assert hasher.verify("another", user)

    def test_what_was_unused_longest_is_forgotten_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hasher = KopiaHasher(remembered=1)
        first = decoded(hasher.encode("first"))
        second = decoded(hasher.encode("second"))
        monkeypatch.setattr(users, "_KDF", {})

        assert hasher.verify("second", second)
        assert not hasher.verify("first", first)

    @pytest.mark.parametrize(
        "user",
        [
            pytest.param(RegisteredUser("u@h", 1, ""), id="none"),
            pytest.param(RegisteredUser("u@h", 1, "no base64!"), id="no base64"),
            pytest.param(RegisteredUser("u@h", 1, "ä"), id="no ASCII"),
            pytest.param(RegisteredUser("u@h", 1, "AAAA"), id="too short"),
            pytest.param(
                RegisteredUser("u@h", 3, decoded(SCRYPT).hash_), id="of a version yet to come"
            ),
        ],
    )
    def test_a_hash_that_cannot_be_read_is_another_password(self, user: RegisteredUser) -> None:
        assert not KopiaHasher().verify(PASSWORD, user)

    def test_many_threads_share_a_memory(
        self, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        monkeypatch.setitem(users._KDF, 1, lambda _salt: Gullible())  # noqa: SLF001 - no time for scrypt
        registered = [
            RegisteredUser("u@h", 1, base64.b64encode(bytes([number]) * 64).decode())
            for number in range(16)
        ]
        # Too small for all, so that nearly every look-up also throws something out.
        hasher = KopiaHasher(remembered=8)
        request.addfinalizer(partial(sys.setswitchinterval, sys.getswitchinterval()))
        sys.setswitchinterval(1e-6)

        def work(password: str) -> None:
            for number in range(2000):
                assert hasher.verify(password, registered[number % 16])

        with ThreadPoolExecutor(8) as pool:
            workers = [pool.submit(work, str(number)) for number in range(8)]

        assert [error for one in workers if (error := one.exception())] == []

    def test_memory_holds_no_password(self) -> None:
        hasher = KopiaHasher()
        assert hasher.verify(PASSWORD, decoded(PBKDF2))

        assert PASSWORD not in repr(vars(hasher))


class TestNothingIsShown:
    def test_no_hash_in_a_registered_user(self) -> None:
        assert "secret-hash" not in repr(RegisteredUser("u@h", 1, "secret-hash"))

    def test_no_hash_in_a_plan(self) -> None:
        plan = Plan(put={"a@h": "secret-hash"}, set_={"b@h": "secret-hash"}, delete=())

        assert "secret-hash" not in repr(plan)
        assert "secret-hash" not in plan.summary()
