"""As whom Kanister's Profile connects."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import objects
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.publish.profileuser import REASON_USER, ProfileUser, choose
from reconcilers.repositoryserver.users.userfile import UserFile

Object = dict[str, Any]

HOSTS = "files-users, user backup"
WHOLE = "whole"
MORE = "more, user restore"


def server(user: str = "", **settings: Any) -> api.RepositoryServer:
    """Return a server with users of `userAccess`, whose Profile is to have a user."""
    profile = {"user": user} if user else {}
    spec = {"server": settings, "publish": {"kanisterProfile": profile}}
    return api.parse(objects.repository_server({"spec": spec}))


def with_more(user: str = "") -> api.RepositoryServer:
    """Return a server with users of a further access."""
    access = {"username": "restore", "userAccessSecretRef": {"name": "more"}}
    return server(user, additionalUserAccess=[access])


def whole(user: str = "") -> api.RepositoryServer:
    """Return a server whose access Secret has whole users."""
    return server(user, userAccess=None, userAccessSecretRef={"name": WHOLE})


def users(**sections: list[str]) -> UserFile:
    named = {"hosts": HOSTS, "whole": WHOLE, "more": MORE}
    return UserFile(
        {named[name]: dict.fromkeys(found, "{SSHA}x") for name, found in sections.items()}
    )


@pytest.mark.parametrize(
    ("of", "found", "expected"),
    [
        pytest.param(
            server(),
            users(hosts=["backup@app"]),
            ProfileUser("backup", "app", "files-users", "app"),
            id="the only user needs no field; the key is the host",
        ),
        pytest.param(
            server("backup@web"),
            users(hosts=["backup@app", "backup@web"]),
            ProfileUser("backup", "web", "files-users", "web"),
            id="of several the one that the field names",
        ),
        pytest.param(
            whole(),
            users(whole=["anna@db.example"]),
            ProfileUser("anna", "db.example", "whole", "anna_at_db.example"),
            id="where the Secret has whole users the key is one",
        ),
        pytest.param(
            with_more("restore@app"),
            users(hosts=["backup@app"], more=["restore@app"]),
            ProfileUser("restore", "app", "more", "app"),
            id="one of a further access is in that Secret",
        ),
        pytest.param(
            with_more(),
            users(hosts=[], more=["restore@app"]),
            ProfileUser("restore", "app", "more", "app"),
            id="the only user may be of a further access",
        ),
        pytest.param(
            server(),
            users(hosts=["backup@app"], more=["restore@app"]),
            ProfileUser("backup", "app", "files-users", "app"),
            id="a section of an access that the resource has no more does not count",
        ),
    ],
)
def test_is(of: api.RepositoryServer, found: UserFile, expected: ProfileUser) -> None:
    assert choose(of, found) == expected


@pytest.mark.parametrize(
    ("of", "found", "message"),
    [
        pytest.param(
            server(),
            users(hosts=["backup@web", "backup@app"]),
            "a Profile has one user, and the server has 2: set spec.publish.kanisterProfile.user "
            "to one of backup@app, backup@web",
            id="of several without the field",
        ),
        pytest.param(
            server(),
            users(hosts=[f"backup@h{number}" for number in range(7)]),
            "a Profile has one user, and the server has 7: set spec.publish.kanisterProfile.user "
            "to one of backup@h0, backup@h1, backup@h2, backup@h3, backup@h4, ...",
            id="five of many are named",
        ),
        pytest.param(
            server("backup@gone"),
            users(hosts=["backup@app"]),
            "spec.publish.kanisterProfile.user is backup@gone, who is no user of the server: set "
            "it to one of backup@app, or add a key for backup@gone to an access Secret",
            id="one that is no user",
        ),
        pytest.param(
            server(),
            users(),
            "a Profile has one user, and the server has none: add a key for one to Secret "
            "backup/files-users, named by spec.server.userAccess.userAccessSecretRef",
            id="of a server without users",
        ),
        pytest.param(
            server("backup@gone"),
            users(hosts=[]),
            "spec.publish.kanisterProfile.user is backup@gone, and the server has no users: add a "
            "key for backup@gone to Secret backup/files-users, named by "
            "spec.server.userAccess.userAccessSecretRef",
            id="one that is named where there is none",
        ),
    ],
)
def test_cannot_be_chosen(of: api.RepositoryServer, found: UserFile, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        choose(of, found)

    assert refused.value.reason == REASON_USER
    assert refused.value.message == message
