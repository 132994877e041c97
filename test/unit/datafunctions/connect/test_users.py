"""As whom to connect, by what a Secret has."""

import pytest

from reconcilers.datafunctions.connect.users import User, choose
from reconcilers.datafunctions.errors import Refused

PASSWORD = "hunter2"
HOSTS = {"client": PASSWORD, "other": "other-password"}
WHOLE = {"backup_at_client": PASSWORD, "restore_at_client": "other-password"}
ONE = User("backup", "client", PASSWORD)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        pytest.param({"client": PASSWORD}, {"username": "backup"}, id="the only host"),
        pytest.param(HOSTS, {"username": "backup", "hostname": "client"}, id="one of the hosts"),
        pytest.param({"backup_at_client": PASSWORD}, {}, id="the only user"),
        pytest.param(WHOLE, {"username": "backup"}, id="the only one of a name"),
        pytest.param(
            WHOLE, {"username": "backup", "hostname": "client"}, id="one of the users, whole"
        ),
        pytest.param(
            {"password": PASSWORD},
            {"username": "backup", "hostname": "client"},
            id="a password alone, with names from the options",
        ),
        pytest.param(
            {"password": PASSWORD, "username": "backup", "hostname": "client"},
            {},
            id="a Secret for one client",
        ),
        pytest.param(
            {"password": PASSWORD, "username": "someone", "hostname": "client"},
            {"username": "backup"},
            id="an option counts more than the Secret",
        ),
        pytest.param(
            {"password": "of a host of that name", "client": PASSWORD},
            {"username": "backup", "hostname": "client"},
            id="a host that is asked for counts more than a key password",
        ),
    ],
)
def test_which_user(values: dict[str, str], wanted: dict[str, str]) -> None:
    assert choose(values, where="folder /user", **wanted) == ONE


@pytest.mark.parametrize(
    ("values", "wanted", "message"),
    [
        pytest.param({}, {}, "folder /user has no user", id="none"),
        pytest.param(
            HOSTS,
            {"username": "backup"},
            "has several users; say which with --username and --hostname: "
            "backup@client, backup@other",
            id="several hosts: none by chance",
        ),
        pytest.param(
            WHOLE,
            {"hostname": "client"},
            "has several users.*backup@client, restore@client",
            id="several users of one host",
        ),
        pytest.param(
            HOSTS,
            {"username": "backup", "hostname": "third"},
            "has no user backup@third; it has: backup@client, backup@other",
            id="a host that is not there",
        ),
        pytest.param(
            {"client": PASSWORD},
            {},
            "has the host client and no user name; give .* as --username",
            id="a host without a user name",
        ),
        pytest.param(
            {"password": PASSWORD}, {}, "has a password and no host name", id="a password alone"
        ),
        pytest.param(
            {"password": PASSWORD, "hostname": "client"},
            {},
            "has the host client and no user name",
            id="a password and a host",
        ),
    ],
)
def test_what_is_not_clear_is_refused_without_a_password(
    values: dict[str, str], wanted: dict[str, str], message: str
) -> None:
    with pytest.raises(Refused, match=message) as refused:
        choose(values, where="folder /user", **wanted)

    assert PASSWORD not in str(refused.value)


def test_a_representation_has_no_password() -> None:
    assert PASSWORD not in repr(ONE)
