"""The file that Kopia reads its users from."""

from __future__ import annotations

import pytest

from reconcilers.kopia import htpasswd

# Made by other hands: (printf 'secret0123456789abcdef' | openssl dgst -sha1 -binary; printf
# 0123456789abcdef) | base64
FOREIGN = "{SSHA}FTtLy4UHGF6CE6rK0obse+lIYuYwMTIzNDU2Nzg5YWJjZGVm"


def test_the_scheme_is_the_common_one() -> None:
    assert htpasswd.verify("secret", FOREIGN)


def test_each_user_has_a_line_with_a_salted_hash() -> None:
    text = htpasswd.render(htpasswd.hashes({"b@h": "same", "a@h": "same"}))

    first, second = text.splitlines()
    assert first.startswith("a@h:{SSHA}")
    assert second.startswith("b@h:{SSHA}")
    assert first.partition(":")[2] != second.partition(":")[2]
    assert "same" not in text


def test_who_keeps_the_password_keeps_the_hash() -> None:
    old = htpasswd.hashes({"a@h": "old", "b@h": "old", "gone@h": "old"})

    new = htpasswd.hashes({"a@h": "old", "b@h": "new", "c@h": "new"}, old)

    assert list(new) == ["a@h", "b@h", "c@h"]
    assert new["a@h"] == old["a@h"]
    assert htpasswd.verify("new", new["b@h"])
    assert not htpasswd.verify("old", new["b@h"])


def test_the_same_users_make_the_same_file() -> None:
    passwords = {"a@h": "p", "b@h": "q"}
    text = htpasswd.render(htpasswd.hashes(passwords))

    again = htpasswd.hashes(passwords, htpasswd.entries(text))

    assert htpasswd.render(again) == text


def test_the_size_is_known_before_a_password_is_hashed() -> None:
    passwords = {"a@h": "p", "backup@client.example.com": "a longer one"}

    assert htpasswd.size(passwords) == len(htpasswd.render(htpasswd.hashes(passwords)).encode())


@pytest.mark.parametrize(
    "password",
    ["with:colon", "ü", "x" * 500, " inner space "],
    ids=["a colon", "not ASCII", "longer than bcrypt takes", "white space"],
)
def test_any_password_can_be_verified(password: str) -> None:
    (hash_,) = htpasswd.hashes({"a@h": password}).values()

    assert htpasswd.verify(password, hash_)
    assert not htpasswd.verify(password + "x", hash_)


@pytest.mark.parametrize(
    "hash_",
    ["", "plain", "{SHA}abc", "{SSHA}", "{SSHA}###", "{SSHA}c2hvcnQ="],
    ids=["nothing", "a plain text", "another scheme", "no hash", "no Base64", "too short"],
)
def test_what_is_no_hash_of_ours_is_nobodys_password(hash_: str) -> None:
    assert not htpasswd.verify("plain", hash_)


def test_a_file_that_somebody_spoilt_is_read_as_far_as_it_goes() -> None:
    assert htpasswd.entries("a@h:x\n\nno colon\n:no name\nb@h:\n") == {"a@h": "x"}
