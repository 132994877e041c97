"""The file with the users of a server, and what it remembers besides what Kopia reads."""

from __future__ import annotations

import pytest

from fakes import objects
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver.api import UserAccess
from reconcilers.repositoryserver.users import userfile
from reconcilers.repositoryserver.users.userfile import UserFile, origin_of
from reconcilers.secrets.data import SecretRef

USERS = UserFile(
    sections={"second, user b": {"b@h": "{SSHA}2", "b@g": "{SSHA}3"}, "first": {"a@h": "{SSHA}1"}},
    legacy=frozenset({"b@h", "b@g"}),
)
TEXT = """\
# Secret second, user b
b@g:{SSHA}3
b@h:{SSHA}2
# Secret first
a@h:{SSHA}1
# delete from the repository b@g
# delete from the repository b@h
"""


def test_users_are_grouped_by_the_access_that_names_them() -> None:
    assert USERS.text() == TEXT


def test_what_was_written_is_read_again() -> None:
    assert UserFile.parse(TEXT) == USERS


def test_kopia_takes_no_comment_for_a_user() -> None:
    """Its reader passes over a line without a colon."""
    assert htpasswd.entries(TEXT) == USERS.entries()
    assert all(":" not in line for line in TEXT.splitlines() if line.startswith("#"))


def test_an_access_without_users_leaves_no_trace() -> None:
    assert UserFile({"first": {}}).text() == ""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("stranger@h:{SSHA}1\n", id="a user that no Secret names"),
        pytest.param("# nothing\n", id="a comment of another hand"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_others_have_written_belongs_to_no_access(text: str) -> None:
    assert UserFile.parse(text) == UserFile()


def test_accesses_differ_by_secret_and_by_user_name() -> None:
    def access(secret: str, username: str) -> UserAccess:
        return UserAccess(SecretRef("f", objects.NAMESPACE, secret), username)

    origins = {origin_of(access(*words)) for words in (("a", "u"), ("a", ""), ("b", "u"))}

    assert len(origins) == 3


def test_the_size_is_known_before_a_password_is_hashed() -> None:
    sections = {origin: htpasswd.hashes(dict.fromkeys(users, "p")) for origin, users in NAMES}

    assert userfile.size(NAMES) == len(UserFile(sections).text())


NAMES = [("first", ["a@h", "b@example.com"]), ("second, user c", ["c@h"])]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(TEXT, True, id="the same file"),
        pytest.param(UserFile(USERS.sections).text(), True, id="entries have been deleted"),
        pytest.param(TEXT.replace("{SSHA}1", "{SSHA}4"), False, id="another password"),
        pytest.param(TEXT + "x:\n", False, id="a user without a password, whom Kopia lets in"),
        pytest.param(TEXT + " # x:y\n", False, id="a user who looks like a comment"),
    ],
)
def test_what_kopia_reads_is_compared_and_nothing_else(other: str, *, same: bool) -> None:
    assert userfile.kopia_reads_the_same(TEXT, other) == same
