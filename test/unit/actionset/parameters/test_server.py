"""Which RepositoryServer is meant, and what templates see of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fakes import objects
from reconcilers.actionset.parameters import server
from reconcilers.errors import InvalidInput

Object = dict[str, Any]
STATUS = {"serverInfo": {"serviceName": "repo-server-files", "podName": "files-1"}}


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        pytest.param(
            "https://repo-server-files.backup.svc:51515",
            ("backup", "repo-server-files"),
            id="as the controller publishes it",
        ),
        pytest.param(
            "https://repo-server-files.backup.svc.cluster.local:51515",
            ("backup", "repo-server-files"),
            id="with the cluster's domain",
        ),
        pytest.param("https://backup.example.com", None, id="a host of the world"),
        pytest.param("https://files.backup", None, id="a name without svc may be of the world"),
        pytest.param("https://10.0.0.1:51515", None, id="an address"),
        pytest.param("https://[::1", None, id="no URL"),
        pytest.param("", None, id="none at all"),
    ],
)
def test_the_service_of_a_url(endpoint: str, expected: tuple[str, str] | None) -> None:
    assert server.service_of(endpoint) == expected


def test_the_server_with_a_service() -> None:
    other = objects.repository_server({"metadata": {"name": "other"}})
    files = objects.repository_server({"status": STATUS})

    assert server.with_service([other, files], "repo-server-files") == files
    assert server.with_service([other], "repo-server-files") is None


def test_what_templates_see() -> None:
    resource = objects.repository_server({"status": STATUS})
    pair = objects.key_pair()
    chain = pair.certificate + objects.key_pair("issuer").certificate
    tls = objects.tls_secret(objects.KeyPair(chain, pair.key))
    users = objects.users_secret()

    seen = server.parameter(resource, tls, users)

    credentials = seen.pop("Credentials")
    assert seen == {
        "Name": "files",
        "Namespace": "backup",
        "ServerInfo": {"podName": "files-1", "serviceName": "repo-server-files"},
        "Username": "backup",
        "Address": "https://repo-server-files.backup.svc:51515",
        "ContentCacheMB": 0,
        "MetadataCacheMB": 500,
    }
    assert credentials["ServerUserAccess"] == users
    leaf = base64.b64encode(pair.certificate.encode()).decode()
    # Neither the key, nor the chain that kando does not take.
    assert credentials["ServerTLS"] == {**tls, "data": {"tls.crt": leaf}}
    assert tls["data"]["tls.key"]


def test_users_with_names_of_their_own_have_no_common_name() -> None:
    access = {"name": objects.USERS, "namespace": objects.NAMESPACE}
    change = {"spec": {"server": {"userAccess": None, "userAccessSecretRef": access}}}
    resource = objects.repository_server({**change, "status": STATUS})

    seen = server.parameter(resource, objects.tls_secret(), objects.users_secret())

    assert seen["Username"] == ""


def test_one_that_has_never_been_up_has_no_address() -> None:
    with pytest.raises(InvalidInput) as raised:
        server.parameter(objects.repository_server(), objects.tls_secret(), objects.users_secret())

    assert raised.value.message == (
        "RepositoryServer backup/files has no address yet: no controller has reported on it yet; "
        "begin the action once it is Available"
    )
