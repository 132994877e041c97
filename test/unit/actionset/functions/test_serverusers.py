"""As which of a server's users a phase connects."""

from __future__ import annotations

import pytest

from reconcilers.actionset.functions import serverusers
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.connection import User


def users(*names: str) -> list[User]:
    pairs = [name.split("@") for name in names]
    return [User(user, host, f"password of {user}") for user, host in pairs]


@pytest.mark.parametrize(
    ("names", "asked", "expected"),
    [
        pytest.param(["backup@a"], {}, "backup@a", id="the only one"),
        pytest.param(
            ["backup@a", "backup@b"], {"hostname": "b"}, "backup@b", id="the host that is asked for"
        ),
        pytest.param(
            ["backup@a", "backup@b"],
            {"preferred": "backup@b"},
            "backup@b",
            id="the one that the server or the Profile names",
        ),
        pytest.param(
            ["backup@a", "backup@b"],
            {"hostname": "a", "preferred": "backup@b"},
            "backup@a",
            id="who asks for a host gets it",
        ),
        pytest.param(
            ["backup@a", "other@a"],
            {"hostname": "a"},
            "backup@a",
            id="of several of one host, the first: that of the main access Secret",
        ),
        pytest.param(
            ["backup@a", "other@a"],
            {"hostname": "a", "preferred": "other@a"},
            "other@a",
            id="of several of one host, the one that is named",
        ),
        pytest.param(
            ["backup@a"],
            {"preferred": "gone@b"},
            "backup@a",
            id="a name that is no user's any more leaves the only one",
        ),
    ],
)
def test_who_is_meant(names: list[str], asked: dict[str, str], expected: str) -> None:
    found = serverusers.choose(users(*names), server="kanister/files", **asked)

    assert f"{found.username}@{found.hostname}" == expected


@pytest.mark.parametrize(
    ("names", "asked", "message"),
    [
        pytest.param([], {}, "RepositoryServer kanister/files has no users", id="nobody"),
        pytest.param(
            ["backup@a"],
            {"hostname": "c"},
            "no user of the host that repositoryServerUserHostname asks for; it has: backup@a",
            id="no such host",
        ),
        pytest.param(
            ["backup@a", "backup@b"],
            {},
            "has several users: backup@a, backup@b. Say which by the argument or option",
            id="nothing is left to chance",
        ),
    ],
)
def test_nobody_is_meant(names: list[str], asked: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        serverusers.choose(users(*names), server="kanister/files", **asked)

    assert "password" not in refused.value.message


def test_a_message_names_ten_users() -> None:
    with pytest.raises(InvalidInput, match=r"u9@h, \.\.\. Say|u9@h, \.\.\.\. Say"):
        serverusers.choose(users(*(f"u{n}@h" for n in range(12))), server="kanister/files")
