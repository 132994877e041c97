"""A certificate of the controller's own: what clients find in it, and when another is made."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.inputs import authority, selfsigned
from reconcilers.secrets import data as secrets
from reconcilers.secrets.certificates import ServerCertificate, server_certificate

SERVER = api.parse(
    objects.repository_server(
        {"spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}}
    )
)
REF = selfsigned.reference(SERVER)
NAMES = list(authority.host_names(SERVER))
SIGNER = authority.create(SERVER, objects.NOW)
OTHER_SIGNER = authority.create(SERVER, objects.NOW)


@pytest.fixture(scope="module")
def issued() -> ServerCertificate:
    return selfsigned.issue(SERVER, SIGNER, objects.NOW)


@pytest.fixture(scope="module")
def leaf(issued: ServerCertificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate.encode())


def read(certificate: str, key: str, told: str = "") -> secrets.SecretData:
    values = {"tls.crt": certificate, "tls.key": key, **({"ca.crt": told} if told else {})}
    return secrets.read(
        REF, objects.secret(REF.name, secrets.TYPE_TLS, values), (secrets.TYPE_TLS,)
    )


def test_it_is_read_as_one_that_a_user_made(issued: ServerCertificate) -> None:
    assert server_certificate(read(issued.certificate, issued.key)) == issued


def test_every_name_of_the_service_is_in_it(leaf: x509.Certificate) -> None:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert names.get_values_for_type(x509.DNSName) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_authority_verifies_each_name(
    leaf: x509.Certificate, name: str
) -> None:
    store = Store([SIGNER.certificate])
    builder = PolicyBuilder().store(store).time(objects.NOW)

    chain = builder.build_server_verifier(x509.DNSName(name)).verify(leaf, [])

    assert chain == [leaf, SIGNER.certificate]


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
    assert selfsigned.issue(SERVER, SIGNER, objects.NOW).key != issued.key


def test_no_representation_shows_the_key(issued: ServerCertificate) -> None:
    assert issued.key.splitlines()[1] not in repr(issued)


def test_a_long_name_fits_a_certificate() -> None:
    server = api.parse(objects.repository_server({"metadata": {"name": "a" * 253}}))

    issued = selfsigned.issue(server, authority.create(server, objects.NOW), objects.NOW)

    assert len(authority.host_names(server)[0]) == 63
    assert issued.not_after == objects.NOW + timedelta(days=365)


# A third of 365 days is 121 days and 16 hours.
THIRD = timedelta(days=121, hours=16)
OTHER = objects.key_pair("other")
NOT_SIGNED = "the previous one is not signed by the authority that there is now"


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
    made = selfsigned.issue(SERVER, SIGNER, objects.NOW + left - timedelta(days=365))
    stored = read(made.certificate, made.key, SIGNER.text)

    assert selfsigned.why_another(stored, SIGNER, objects.NOW) == why


@pytest.mark.parametrize(
    ("told", "signer", "why"),
    [
        pytest.param(
            SIGNER.text,
            OTHER_SIGNER,
            NOT_SIGNED,
            id="one of an authority that was deleted is made anew",
        ),
        pytest.param(
            OTHER_SIGNER.text, SIGNER, NOT_SIGNED, id="one beside another authority is made anew"
        ),
        pytest.param("", SIGNER, NOT_SIGNED, id="one beside no authority is made anew"),
        pytest.param(
            SIGNER.text,
            authority.renewed(SIGNER, SERVER, objects.NOW + timedelta(days=1)),
            NOT_SIGNED,
            id="clients are told of an authority that was renewed",
        ),
        pytest.param(f"\n{SIGNER.text}\n", SIGNER, "", id="empty lines make no difference"),
    ],
)
def test_it_stays_with_its_authority(told: str, signer: authority.Authority, why: str) -> None:
    made = selfsigned.issue(SERVER, SIGNER, objects.NOW)

    stored = read(made.certificate, made.key, told)

    assert selfsigned.why_another(stored, signer, objects.NOW) == why


def test_one_whose_names_cannot_be_read_is_made_anew() -> None:
    """Python reads the names of a certificate only when they are asked for."""
    pair = objects.key_pair("files")
    der = x509.load_pem_x509_certificate(pair.certificate.encode()).public_bytes(Encoding.DER)
    broken = x509.load_der_x509_certificate(der.replace(b"files", b"\xff\xfe\xfd\xfc\xfb"))
    stored = read(broken.public_bytes(Encoding.PEM).decode(), pair.key)

    assert not selfsigned.stands_alone(stored, objects.NOW)
    assert selfsigned.why_another(stored, SIGNER, objects.NOW) == NOT_SIGNED


def test_one_that_somebody_else_has_signed_is_made_anew() -> None:
    pair = objects.key_pair()

    stored = read(pair.certificate, pair.key, SIGNER.text)

    assert selfsigned.why_another(stored, SIGNER, objects.NOW) == NOT_SIGNED


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        pytest.param("", OTHER.key, id="no certificate"),
        pytest.param("no PEM", OTHER.key, id="no PEM"),
        pytest.param(objects.key_pair().certificate, OTHER.key, id="the key of another one"),
    ],
)
def test_what_somebody_has_spoilt_is_made_anew(certificate: str, key: str) -> None:
    stored = read(certificate, key)

    assert not selfsigned.stands_alone(stored, objects.NOW)
    why = selfsigned.why_another(stored, SIGNER, objects.NOW)
    assert why == "the previous one was not a certificate with its key"


BEFORE = objects.key_pair()
MADE = selfsigned.issue(SERVER, SIGNER, objects.NOW)


@pytest.mark.parametrize(
    ("stored", "later", "stays"),
    [
        pytest.param(
            read(BEFORE.certificate, BEFORE.key),
            timedelta(),
            True,
            id="one that signs itself, made before there were authorities",
        ),
        pytest.param(
            read(BEFORE.certificate, BEFORE.key),
            timedelta(days=365) - THIRD,
            False,
            id="the same when it is due: the next one has an authority",
        ),
        pytest.param(
            read(MADE.certificate, MADE.key), timedelta(), False, id="one that an authority signed"
        ),
        pytest.param(
            read(BEFORE.certificate, BEFORE.key, SIGNER.text),
            timedelta(),
            False,
            id="one that signs itself beside an authority",
        ),
    ],
)
def test_one_of_before_authorities_stays_until_it_is_due(
    stored: secrets.SecretData, later: timedelta, stays: bool
) -> None:
    assert selfsigned.stands_alone(stored, objects.NOW + later) is stays
