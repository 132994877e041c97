"""The object stores of tests and demo: how they are started, and what is said of them."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from fakes import objects
from fakes import storage as fakes
from reconcilers.kopia.storage import kinds
from reconcilers.secrets import data as secrets
from storelib import cli
from storelib.requests import sas_token
from storelib.servers import SERVERS, Credentials, Programs, Site, Store, identity

SECRETS = ("secret-key-1", "a2V5LTI=", objects.key_pair("store").key)
SITE = Site(
    address=ipaddress.IPv4Address("198.18.0.1"),
    directory=Path("/stores"),
    certificate=Path("/stores/stores.crt"),
    key=Path("/stores/stores.key"),
    authority=objects.key_pair().certificate,
    credentials=Credentials(
        access_key="access",
        secret_key=SECRETS[0],
        account_key=SECRETS[1],
        service_account=json.dumps({"type": "service_account", "private_key": SECRETS[2]}),
    ),
)
PROGRAMS = Programs(
    Path("/versitygw"), Path("/fake-gcs-server"), Path("/moto_server"), (Path("/node"), Path("/az"))
)

every_store = pytest.mark.parametrize("name", SERVERS)


@every_store
def test_a_server_is_started_without_a_secret_among_its_arguments(name: str) -> None:
    command = SERVERS[name].command(SITE, PROGRAMS)

    assert command.name == f"store-{name}"
    assert not [secret for secret in SECRETS if secret in " ".join(command.arguments)]


@every_store
def test_the_controller_takes_what_is_said_of_a_store(name: str) -> None:
    store = SERVERS[name].store(SITE)

    storage = fakes.storage(store.location, store.credential)

    kind = kinds.kind_of(fakes.location(store.location))
    assert kind.credential_type == store.credential_type
    assert "198.18.0.1" in json.dumps([*storage.config.values(), store.pod_override, store.objects])


@every_store
def test_and_shows_no_secret_by_itself(name: str) -> None:
    shown = repr(SERVERS[name].store(SITE)) + repr(SITE)

    assert not [secret for secret in SECRETS if secret in shown]


def test_the_storage_account_is_reached_by_the_name_of_a_service() -> None:
    store: Store = SERVERS["azure"].store(SITE)
    (service,) = (obj for obj in store.objects if obj["kind"] == "Service")
    metadata = service["metadata"]
    host = f"{store.credential['azure_storage_account_id']}.{store.location['storageDomain']}"

    assert host == f"{metadata['name']}.{metadata['namespace']}.svc:7004"
    assert f"DNS:{host.partition(':')[0]}" in identity(SITE.address).hosts


def test_types_of_credential_secrets_are_the_removed_controllers() -> None:
    types = {SERVERS[name].store(SITE).credential_type for name in SERVERS}

    assert types == {secrets.TYPE_AWS, secrets.TYPE_GCP, secrets.TYPE_AZURE}


def test_a_token_is_signed_with_the_key_and_does_not_hold_it() -> None:
    fields = parse_qs(sas_token("a2V5"))

    assert fields["ss"] == ["b"]
    assert fields["sig"] != parse_qs(sas_token("b3RoZXI="))["sig"]
    assert "a2V5" not in sas_token("a2V5")


def test_an_unknown_store_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["build", "ftp"])

    assert caught.value.code == 2
    assert "there is no store 'ftp'; there are s3, sts, gcs, azure" in capsys.readouterr().err
