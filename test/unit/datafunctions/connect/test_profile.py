"""A Profile of type kopia, as `{{ toJson .Profile }}` renders it."""

from __future__ import annotations

import copy
import hashlib
import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from fakes.certificates import self_signed
from reconcilers.datafunctions.connect.choice import connection_of
from reconcilers.datafunctions.connect.wanted import Wanted
from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "https://repo-server-files.kanister.svc.cluster.local:51515"
PASSWORD = "hunter2"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    text = self_signed(tmp_path_factory.mktemp("certificate")).read_text()
    return text[: text.index("-----BEGIN PRIVATE") if "BEGIN PRIVATE" in text else len(text)]


@pytest.fixture
def profile(certificate: str) -> dict[str, Any]:
    """Return what Kanister's text/template makes of param.Profile, names and nulls as there."""
    return {
        "Location": {"type": "kopia", "bucket": "", "endpoint": URL, "prefix": "", "region": ""},
        "Credential": {
            "Type": "kopia",
            "KeyPair": None,
            "Secret": None,
            "KopiaServerSecret": {
                "Username": "backup",
                "Hostname": "client",
                "Password": PASSWORD,
                "Cert": certificate,
                "ConnectOptions": {"dataStoreGeneralContentCacheSize": 100},
            },
        },
        "SkipSSLVerify": False,
    }


def test_a_line_end_is_no_part_of_a_password(profile: dict[str, Any]) -> None:
    """Kanister renders the value of the Secret as it is."""
    profile["Credential"]["KopiaServerSecret"]["Password"] = f"\ufeff{PASSWORD}\r\n"

    assert connection_of(Wanted(profile=json.dumps(profile))).password == PASSWORD


def test_it_says_all_that_is_needed(profile: dict[str, Any], certificate: str) -> None:
    connection = connection_of(Wanted(profile=json.dumps(profile)))

    der = ssl.PEM_cert_to_DER_cert(certificate.strip())
    assert (connection.url, connection.user) == (URL, "backup@client")
    assert connection.password == PASSWORD
    assert connection.fingerprint == hashlib.sha256(der).hexdigest()


def test_it_may_be_in_a_file(profile: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(profile))

    assert connection_of(Wanted(profile=f"@{file}")).url == URL


def test_names_count_in_any_letters_as_in_go(profile: dict[str, Any]) -> None:
    profile["credential"] = profile.pop("Credential")
    profile["credential"]["kopiaServerSecret"] = profile["credential"].pop("KopiaServerSecret")

    assert connection_of(Wanted(profile=json.dumps(profile))).user == "backup@client"


def without(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(profile: dict[str, Any]) -> None:
        node = profile
        for name in path[:-1]:
            node = node[name]
        del node[path[-1]]

    return change


def to(value: Any, *path: str) -> Callable[[dict[str, Any]], None]:
    def change(profile: dict[str, Any]) -> None:
        node = profile
        for name in path[:-1]:
            node = node[name]
        node[path[-1]] = value

    return change


SECRET = ("Credential", "KopiaServerSecret")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            to("s3Compliant", "Location", "type"),
            "its location is of type 's3Compliant'; it takes one of type kopia",
            id="of another type",
        ),
        pytest.param(without("Location"), "its location is of type ''", id="no location"),
        pytest.param(without("Location", "endpoint"), "has no Location.Endpoint", id="no endpoint"),
        pytest.param(
            without("Credential", "KopiaServerSecret"),
            "has no Credential.KopiaServerSecret.Username",
            id="another credential",
        ),
        pytest.param(
            to(7, *SECRET, "Password"),
            "has no Credential.KopiaServerSecret.Password",
            id="a password that is no text",
        ),
        pytest.param(
            to(PASSWORD, *SECRET, "Cert"), "Cert is no PEM certificate", id="no certificate"
        ),
    ],
)
def test_what_is_wrong_with_it_is_named_without_a_value(
    profile: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str
) -> None:
    changed = copy.deepcopy(profile)
    change(changed)

    with pytest.raises(Refused, match=message) as refused:
        connection_of(Wanted(profile=json.dumps(changed)))

    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(f'{{"Password": "{PASSWORD}"', "is not the JSON of a Profile", id="cut"),
        pytest.param("[]", "is not the JSON of a Profile", id="a list"),
        pytest.param("@/none/profile.json", "file /none/profile.json cannot be read", id="file"),
    ],
)
def test_what_is_no_profile(text: str, message: str) -> None:
    with pytest.raises(Refused, match=message) as refused:
        connection_of(Wanted(profile=text))

    assert PASSWORD not in str(refused.value)


def test_an_address_that_cannot_work_is_refused(profile: dict[str, Any]) -> None:
    profile["Location"]["endpoint"] = "http://repo-server:51515"

    with pytest.raises(InvalidRequest, match="the server's URL is"):
        connection_of(Wanted(profile=json.dumps(profile)))


def test_another_host_than_the_profile_s_is_refused(profile: dict[str, Any]) -> None:
    """An old Blueprint names a host; the Profile is of one user."""
    with pytest.raises(Refused, match=r"is 'other', but the Profile connects as .* 'client'"):
        connection_of(Wanted(profile=json.dumps(profile), hostname="other"))


def test_a_profile_and_a_resource_at_once_are_refused(profile: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="one of --profile and --repository-server"):
        connection_of(Wanted(profile=json.dumps(profile), repository_server="files"))
