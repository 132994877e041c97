"""What clients are shown of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import objects
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import api, connection
from reconcilers.repositoryserver.api import UserAccess
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.connection import Connection, User
from reconcilers.secrets import data as secrets
from reconcilers.secrets.data import SecretData, SecretRef

if TYPE_CHECKING:
    from controller.resource import Object

URL = f"https://repo-server-files.{objects.NAMESPACE}.svc:51515"
INFO = {"serviceName": "repo-server-files", "tlsFingerprint": "ab"}


def condition(value: str, message: str) -> Object:
    return {"type": "Available", "status": value, "reason": "Any", "message": message}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(
            {},
            Connection("", "", available=False, message=connection.NOT_SEEN),
            id="one that no controller has seen has no address",
        ),
        pytest.param(
            {"serverInfo": INFO, "conditions": [condition("True", "clients can connect")]},
            Connection(URL, "ab", available=True, message=""),
            id="one that serves is reached through its Service",
        ),
        pytest.param(
            {"serverInfo": INFO, "conditions": [condition("False", "no node")]},
            Connection(URL, "ab", available=False, message="no node"),
            id="one that does not serve keeps its address, and says why",
        ),
    ],
)
def test_how_clients_connect(status: Object, expected: Connection) -> None:
    assert connection.of(objects.repository_server({"status": status})) == expected


@pytest.mark.parametrize(
    ("tls", "name"),
    [
        pytest.param({}, objects.TLS, id="the user's Secret"),
        pytest.param(
            {"tlsSecretRef": None, "tls": {"selfSigned": {}}},
            f"repo-server-{objects.NAME}-tls",
            id="the controller's",
        ),
    ],
)
def test_where_the_certificate_is(tls: Object, name: str) -> None:
    server = api.parse(objects.repository_server({"spec": {"server": tls}}))

    assert connection.certificate(server).name == name


def test_a_condition_of_another_hand_need_not_have_more_than_its_type() -> None:
    """The CRD asks for no more, and others may write the status."""
    conditions = [{"type": type_} for type_ in ("Available", "Ready", "RepositoryShared")]
    server = objects.merged(objects.repository_server(), {"status": {"conditions": conditions}})

    assert not connection.of(server).available
    health = connection.health(server)
    assert (health.available, health.ready.message, health.warnings) == (False, "", ())


def test_what_the_resource_says() -> None:
    cache = {"cacheSizeSettings": {"content": 7, "metadata": 8}}
    obj = objects.repository_server({"spec": {"repository": cache}})

    details = connection.details(obj)

    assert details.certificate.name == objects.TLS
    assert [access.secret.name for access in details.accesses] == [objects.USERS]
    assert (details.content_cache_mb, details.metadata_cache_mb) == (7, 8)


REF = SecretRef("spec.server.userAccess.userAccessSecretRef", objects.NAMESPACE, objects.USERS)


@pytest.mark.parametrize(
    ("username", "values", "expected"),
    [
        pytest.param(
            "backup",
            {"b": b"two", "a": b"one\n"},
            (User("backup", "a", "one"), User("backup", "b", "two")),
            id="each key is a host of one user",
        ),
        pytest.param(
            "", {"me_at_here": b"one"}, (User("me", "here", "one"),), id="each key is a whole user"
        ),
        pytest.param("backup", {}, (), id="a Secret without keys names nobody"),
    ],
)
def test_who_may_connect(
    username: str, values: dict[str, bytes], expected: tuple[User, ...]
) -> None:
    found = connection.users(UserAccess(REF, username), SecretData(REF, secrets.TYPE_USERS, values))

    assert found == expected


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(User("a", "b", "secret"))


def test_a_key_that_is_no_user_is_refused() -> None:
    with pytest.raises(InvalidInput) as raised:
        connection.users(UserAccess(REF, ""), SecretData(REF, secrets.TYPE_USERS, {"nobody": b"x"}))

    assert "does not name a user" in raised.value.message


@pytest.mark.parametrize(
    ("username", "user", "key"),
    [
        pytest.param("backup", "backup@web", "web", id="a host of one user"),
        pytest.param("", "me@here", "me_at_here", id="a whole user"),
        pytest.param("backup", "me@here", "", id="another user"),
    ],
)
def test_which_key_has_the_password_of_a_user(username: str, user: str, key: str) -> None:
    assert connection.key_of(UserAccess(REF, username), user) == key


def test_the_pods_of_a_server_are_found_by_the_label_that_they_have() -> None:
    server = api.parse(objects.repository_server())
    ((key, value),) = names.selector(server).items()

    assert connection.pod_selector(server.name) == f"{key}={value}"
