"""A certificate of the controller's own: what clients find in it, and when another is made."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.inputs import selfsigned
from reconcilers.secrets import data as secrets
from reconcilers.secrets.certificates import ServerCertificate, server_certificate

SERVER = api.parse(
    objects.repository_server(
        {"spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}}
    )
)
REF = selfsigned.reference(SERVER)
NAMES = [
    "repo-server-files",
    "repo-server-files.backup",
    "repo-server-files.backup.svc",
    "repo-server-files.backup.svc.cluster.local",
]


@pytest.fixture(scope="module")
def issued() -> ServerCertificate:
    return selfsigned.issue(SERVER, objects.NOW)


@pytest.fixture(scope="module")
def leaf(issued: ServerCertificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate.encode())


def read(certificate: str, key: str) -> secrets.SecretData:
    values = {"tls.crt": certificate, "tls.key": key}
    return secrets.read(
        REF, objects.secret(REF.name, secrets.TYPE_TLS, values), (secrets.TYPE_TLS,)
    )


def test_it_is_read_as_one_that_a_user_made(issued: ServerCertificate) -> None:
    assert server_certificate(read(issued.certificate, issued.key)) == issued


def test_every_name_of_the_service_is_in_it(leaf: x509.Certificate) -> None:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_it_verifies_each_name(leaf: x509.Certificate, name: str) -> None:
    builder = PolicyBuilder().store(Store([leaf])).time(objects.NOW)

    assert builder.build_server_verifier(x509.DNSName(name)).verify(leaf, []) == [leaf]


def test_it_serves_and_signs_no_other(leaf: x509.Certificate) -> None:
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert not constraints.ca
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_its_key_is_on_the_curve_p_256(issued: ServerCertificate) -> None:
    key = load_pem_private_key(issued.key.encode(), password=None)

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(key.curve, ec.SECP256R1)


def test_it_is_valid_for_a_year_and_for_clocks_that_are_slow(leaf: x509.Certificate) -> None:
    assert leaf.not_valid_before_utc == objects.NOW - timedelta(hours=1)
    assert leaf.not_valid_after_utc == objects.NOW + timedelta(days=365)


def test_another_one_has_another_key(issued: ServerCertificate) -> None:
    assert selfsigned.issue(SERVER, objects.NOW).key != issued.key


def test_no_representation_shows_the_key(issued: ServerCertificate) -> None:
    assert issued.key.splitlines()[1] not in repr(issued)


def test_a_long_name_fits_a_certificate() -> None:
    server = api.parse(objects.repository_server({"metadata": {"name": "a" * 253}}))

    issued = selfsigned.issue(server, objects.NOW)

    assert len(selfsigned.host_names(server)[0]) == 63
    assert issued.not_after == objects.NOW + timedelta(days=365)


# A third of 365 days is 121 days and 16 hours.
THIRD = timedelta(days=121, hours=16)
OTHER = objects.key_pair("other")


@pytest.mark.parametrize(
    ("left", "why"),
    [
        pytest.param(timedelta(days=365), "", id="a new one stays"),
        pytest.param(
            THIRD + timedelta(seconds=1), "", id="one stays while more than a third is left"
        ),
        pytest.param(
            THIRD, "the previous one expires at 2026-05-02T16:00:00Z", id="at a third it is renewed"
        ),
        pytest.param(
            timedelta(days=-1),
            "the previous one expires at 2025-12-31T00:00:00Z",
            id="one that expired while no controller ran is renewed",
        ),
    ],
)
def test_it_is_renewed_when_a_third_of_its_life_is_left(left: timedelta, why: str) -> None:
    pair = objects.key_pair(not_after=objects.NOW + left)

    assert selfsigned.why_another(read(pair.certificate, pair.key), objects.NOW) == why


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        pytest.param("", OTHER.key, id="no certificate"),
        pytest.param("no PEM", OTHER.key, id="no PEM"),
        pytest.param(objects.key_pair().certificate, OTHER.key, id="the key of another one"),
    ],
)
def test_what_somebody_has_spoilt_is_made_anew(certificate: str, key: str) -> None:
    why = selfsigned.why_another(read(certificate, key), objects.NOW)

    assert why == "the previous one was not a certificate with its key"
