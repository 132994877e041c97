"""The authority of a server: what it may sign, how long it lasts, and what a renewal keeps."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.inputs import authority, selfsigned
from reconcilers.secrets import data as secrets

SERVER = api.parse(
    objects.repository_server(
        {"spec": {"server": {"tlsSecretRef": None, "tls": {"selfSigned": {}}}}}
    )
)
REF = authority.reference(SERVER)
MADE = authority.create(SERVER, objects.NOW)
YEARS = timedelta(days=3650)
NAMES = (
    "repo-server-files",
    "repo-server-files.backup",
    "repo-server-files.backup.svc",
    "repo-server-files.backup.svc.cluster.local",
)


def read(certificate: str, key: str) -> secrets.SecretData:
    values = {"tls.crt": certificate, "tls.key": key}
    return secrets.read(
        REF, objects.secret(REF.name, secrets.TYPE_TLS, values), (secrets.TYPE_TLS,)
    )


def signed(by: authority.Authority, host: x509.GeneralName) -> x509.Certificate:
    """Return a certificate for any host, which whoever has the key can make."""
    key = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "any")]))
        .issuer_name(by.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(objects.NOW)
        .not_valid_after(objects.NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([host]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(by.identifier),
            critical=False,
        )
        .sign(by.key, hashes.SHA256())
    )


def test_it_stands_in_a_secret_of_its_own() -> None:
    assert (REF.namespace, REF.name) == (objects.NAMESPACE, "repo-server-files-ca")


def test_the_names_are_those_of_the_service() -> None:
    assert authority.host_names(SERVER) == NAMES


def test_it_is_read_as_it_was_made() -> None:
    found = authority.parse(read(MADE.text, MADE.key_text))

    assert found is not None
    assert found.certificate == MADE.certificate
    assert found.key_text == MADE.key_text


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(x509.DNSName("kubernetes.default.svc"), id="another service"),
        pytest.param(x509.DNSName("repo-server-other.backup.svc"), id="another server"),
        pytest.param(x509.IPAddress(ip_address("10.0.0.1")), id="an address"),
        pytest.param(x509.IPAddress(ip_address("fd00::1")), id="an address of the sixth version"),
    ],
)
def test_who_has_its_key_can_pass_for_no_other_host(
    host: x509.DNSName | x509.IPAddress,
) -> None:
    verifier = (
        PolicyBuilder()
        .store(Store([MADE.certificate]))
        .time(objects.NOW)
        .build_server_verifier(host)
    )

    with pytest.raises(VerificationError):
        verifier.verify(signed(MADE, host), [])


def test_it_lasts_ten_years_and_is_due_when_a_third_of_them_is_left() -> None:
    assert MADE.not_after == objects.NOW + YEARS
    assert not MADE.is_due(objects.NOW + YEARS * 2 / 3 - timedelta(seconds=1))
    assert MADE.is_due(objects.NOW + YEARS * 2 / 3)


def test_it_outlives_each_certificate_that_it_signs() -> None:
    assert authority.RENEW_BEFORE > selfsigned.LIFETIME


@pytest.mark.parametrize("trusted", ["the former", "the renewed"])
def test_clients_with_either_certificate_believe_what_both_have_signed(trusted: str) -> None:
    later = objects.NOW + YEARS * 2 / 3
    renewed = authority.renewed(MADE, SERVER, later)
    store = Store([MADE.certificate if trusted == "the former" else renewed.certificate])
    verifier = (
        PolicyBuilder().store(store).time(later).build_server_verifier(x509.DNSName(NAMES[2]))
    )

    for signer in (MADE, renewed):
        issued = selfsigned.issue(SERVER, signer, later)
        verifier.verify(x509.load_pem_x509_certificate(issued.certificate.encode()), [])

    assert renewed.not_after == later + YEARS


def test_a_new_one_has_another_key_and_a_renewed_one_the_same() -> None:
    assert authority.create(SERVER, objects.NOW).key_text != MADE.key_text
    assert authority.renewed(MADE, SERVER, objects.NOW).key_text == MADE.key_text


def test_it_knows_what_it_has_signed() -> None:
    issued = selfsigned.issue(SERVER, MADE, objects.NOW)
    leaf = x509.load_pem_x509_certificate(issued.certificate.encode())
    other = authority.create(SERVER, objects.NOW)

    assert MADE.has_signed(leaf)
    assert not other.has_signed(leaf)
    assert not MADE.has_signed(
        x509.load_pem_x509_certificate(objects.key_pair().certificate.encode())
    )


def test_a_long_name_fits_a_certificate() -> None:
    server = api.parse(objects.repository_server({"metadata": {"name": "a" * 253}}))

    assert authority.create(server, objects.NOW).not_after == objects.NOW + YEARS


def test_no_representation_shows_the_key() -> None:
    assert MADE.key_text.splitlines()[1] not in repr(MADE)


def without_name() -> str:
    """Return the authority's certificate with a name that is no text."""
    der = MADE.certificate.public_bytes(Encoding.DER)
    name = NAMES[0].encode()
    broken = x509.load_der_x509_certificate(der.replace(name, b"\xff" * len(name), 2))
    return broken.public_bytes(Encoding.PEM).decode()


LEAF = selfsigned.issue(SERVER, MADE, objects.NOW)
PLAIN = objects.key_pair()
RSA = objects.key_pair(key=rsa.generate_private_key(65537, 2048))


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        pytest.param("", MADE.key_text, id="no certificate"),
        pytest.param("no PEM", MADE.key_text, id="no PEM"),
        pytest.param(MADE.text, LEAF.key, id="the key of another one"),
        pytest.param(LEAF.certificate, LEAF.key, id="a server's certificate"),
        pytest.param(PLAIN.certificate, PLAIN.key, id="one that does not say what it may do"),
        pytest.param(without_name(), MADE.key_text, id="one whose name cannot be read"),
        pytest.param(RSA.certificate, RSA.key, id="one with a key of another kind"),
    ],
)
def test_what_somebody_has_spoilt_is_none(certificate: str, key: str) -> None:
    assert authority.parse(read(certificate, key)) is None
