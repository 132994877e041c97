"""What templates see of a Profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fakes import application, objects
from reconcilers.actionset.parameters import profile
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from reconcilers.secrets.data import SecretRef

Object = dict[str, Any]

PAIR = objects.key_pair("files")
CHAIN = PAIR.certificate + objects.key_pair("issuer").certificate
SECRETS = {
    "store-keys": application.secret("store-keys", {"id": "AKIA", "key": "s3cr3t\n", "empty": ""}),
    "users": application.secret("users", {"client": f"{application.PASSWORD}\n"}),
    "tls": application.secret("tls", {"tls.crt": CHAIN, "none": "x"}),
}
LOCATION = {
    "type": "s3Compliant",
    "bucket": "backups",
    "endpoint": "https://store.example",
    "prefix": "",
    "region": "eu-1",
}
KOPIA: Object = {
    "location": {
        "type": "kopia",
        "endpoint": "https://repo-server-files.shop.svc:51515",
        "bucket": None,
        "region": None,
    },
    "credential": {
        "type": "kopia",
        "keyPair": None,
        "kopiaServerSecret": {
            "username": "backup",
            "hostname": "client",
            "userPassphrase": {"key": "client", "secret": {"name": "users"}},
            "tlsCert": {"key": "tls.crt", "secret": {"name": "tls", "namespace": "shop"}},
            "connectOptions": {"dataStoreGeneralContentCacheSize": 100},
        },
    },
}
WHOLE: Object = {
    "credential": {"type": "secret", "keyPair": None, "secret": {"name": "store-keys"}}
}


def parameter(change: Object) -> Object:
    def secret(ref: SecretRef) -> Object:
        assert ref.namespace == application.NAMESPACE
        return SECRETS[ref.name]

    return profile.parameter(application.profile(change), secret)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            {"skipSSLVerify": True},
            {
                "Location": LOCATION,
                "Credential": {"Type": "keyPair", "KeyPair": {"ID": "AKIA", "Secret": "s3cr3t"}},
                "SkipSSLVerify": True,
            },
            id="a pair of keys, without the line end that a shell has put there",
        ),
        pytest.param(
            {**WHOLE, "location": {"type": "gcs"}},
            {
                "Location": {**LOCATION, "type": "gcs"},
                "Credential": {"Type": "secret", "Secret": SECRETS["store-keys"]},
                "SkipSSLVerify": False,
            },
            id="a Secret, whole",
        ),
        pytest.param(
            KOPIA,
            {
                "Location": {
                    "type": "kopia",
                    "endpoint": "https://repo-server-files.shop.svc:51515",
                    "bucket": "",
                    "prefix": "",
                    "region": "",
                },
                "Credential": {
                    "Type": "kopia",
                    "KopiaServerSecret": {
                        "Username": "backup",
                        "Hostname": "client",
                        "Password": application.PASSWORD,
                        "Cert": PAIR.certificate,
                        "ConnectOptions": {"dataStoreGeneralContentCacheSize": 100},
                    },
                },
                "SkipSSLVerify": False,
            },
            id="a user of a server, with the leaf of its certificate alone",
        ),
    ],
)
def test_what_templates_see(change: Object, expected: Object) -> None:
    assert parameter(change) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            {"location": {"type": "ftp"}},
            "location.type of Profile shop/store is 'ftp'; use one of s3Compliant, gcs, azure, "
            "kopia",
            id="a store that is not known",
        ),
        pytest.param(
            {"credential": None},
            "credential.type of Profile shop/store is ''; use one of keyPair, secret, kopia",
            id="no credential",
        ),
        pytest.param(
            {"credential": {"keyPair": None}},
            "Profile shop/store has no credential.keyPair; set it",
            id="a type without what belongs to it",
        ),
        pytest.param(
            {"credential": {"keyPair": {"secret": {"name": None}}}},
            "Profile shop/store has no credential.keyPair.secret; set it",
            id="no Secret",
        ),
        pytest.param(
            {"credential": {"keyPair": {"idField": None}}},
            "Profile shop/store has no credential.keyPair.idField; set it",
            id="no key of it",
        ),
        pytest.param(
            {"credential": {"keyPair": {"idField": "none"}}},
            "Secret shop/store-keys, named by credential.keyPair.secret of Profile shop/store, has "
            "no key none; add it",
            id="a key that the Secret has not",
        ),
        pytest.param(
            {"credential": {"keyPair": {"idField": "empty"}}},
            "key empty of Secret shop/store-keys, named by credential.keyPair.secret of Profile "
            "shop/store, is empty; give it a value",
            id="an empty value",
        ),
        pytest.param(
            objects.merged(
                KOPIA, {"credential": {"kopiaServerSecret": {"tlsCert": {"key": "none"}}}}
            ),
            "key none of Secret shop/tls, named by credential.kopiaServerSecret.tlsCert.secret of "
            "Profile shop/store, is no PEM certificate",
            id="no certificate",
        ),
    ],
)
def test_what_is_wrong_with_one(change: Object, message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        parameter(change)

    assert raised.value.message == message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(KOPIA, KOPIA["location"]["endpoint"], id="of a server"),
        pytest.param({}, "", id="of a store it is none"),
        pytest.param({"location": None}, "", id="of nothing at all neither"),
    ],
)
def test_the_endpoint_of_a_server(change: Object, expected: str) -> None:
    assert profile.endpoint(application.profile(change)) == expected
