"""Certificate and key are read if a Go server could use them, and refused in words otherwise."""

import textwrap
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from fakes import objects
from reconcilers.errors import InvalidInput
from reconcilers.secrets import certificates
from reconcilers.secrets import data as secrets
from reconcilers.secrets.certificates import ServerCertificate, server_certificate
from reconcilers.secrets.data import SecretRef

TLS = SecretRef("spec.server.tlsSecretRef", objects.NAMESPACE, objects.TLS)

# What `openssl ecparam -genkey` prints before the key.
EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

# A certificate on the curve secp224k1, which Go knows as little as we do.
UNKNOWN_CURVE = """\
-----BEGIN CERTIFICATE-----
MIIBWjCCAQigAwIBAgIUb/z1+OPqv18b1vqWe8ZDDcdLU3UwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjQxODQ0MDBaFw0zNjExMjExODQ0MDBaMAwx
CjAIBgNVBAMMAXgwTjAQBgcqhkjOPQIBBgUrgQQAIAM6AARoZaT2gqodbFVWZul9
es70Zik9do2tzlQOCVCVqUGpoAS39hEm6uxle5hpFcMLfor8fsa1NTMdIKNTMFEw
HQYDVR0OBBYEFFvhTwpTTHU9N/tjTMmol7Hl9XG0MB8GA1UdIwQYMBaAFFvhTwpT
THU9N/tjTMmol7Hl9XG0MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDQAAw
PQIcJYKbIs+fS8b7PWiw0M1o/HUBfn++IGkQWUS4NAIdANyPKPagHnWpx6eQFkIm
iha5sYs3/ZcK+L1gWGk=
-----END CERTIFICATE-----
"""


def read(certificate: str | bytes, key: str | bytes) -> ServerCertificate:
    obj = objects.secret(objects.TLS, secrets.TYPE_TLS, {"tls.crt": certificate, "tls.key": key})
    return server_certificate(secrets.read(TLS, obj, (secrets.TYPE_TLS,)))


def encrypted(key: str) -> str:
    loaded = serialization.load_pem_private_key(key.encode(), password=None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    ).decode()


def traditional(key: str) -> str:
    loaded = serialization.load_pem_private_key(key.encode(), password=None)
    return loaded.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def der(certificate: str) -> bytes:
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    return loaded.public_bytes(serialization.Encoding.DER)


def fingerprint(certificate: str) -> str:
    loaded = x509.load_pem_x509_certificate(certificate.encode())
    return loaded.fingerprint(hashes.SHA256()).hex()


PAIR = objects.key_pair()
OTHER = objects.key_pair("other")
AUTHORITY = objects.key_pair("authority")
LEAF = objects.key_pair("leaf", issuer=AUTHORITY)
RSA, OTHER_RSA = (objects.key_pair(key=rsa.generate_private_key(65537, 2048)) for _ in range(2))


def test_a_certificate_and_its_key_are_read() -> None:
    assert read(PAIR.certificate, PAIR.key) == ServerCertificate(
        certificate=PAIR.certificate,
        key=PAIR.key,
        fingerprint=fingerprint(PAIR.certificate),
        not_after=objects.NOW + timedelta(days=365),
    )


def test_the_fingerprint_is_as_kopias_clients_take_it() -> None:
    shown = read(PAIR.certificate, PAIR.key).fingerprint

    assert len(shown) == 64
    assert set(shown) <= set("0123456789abcdef")


def test_of_a_chain_the_leaf_counts_and_the_whole_is_served() -> None:
    chain = LEAF.certificate + AUTHORITY.certificate

    found = read(chain, LEAF.key)

    assert found.fingerprint == fingerprint(LEAF.certificate)
    assert found.certificate == chain


def test_an_expired_certificate_is_read_for_the_clock_is_the_reconcilers() -> None:
    expired = objects.key_pair(not_after=objects.NOW - timedelta(days=1))

    assert read(expired.certificate, expired.key).not_after == objects.NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        pytest.param(PAIR.certificate, traditional(PAIR.key), id="a key in the traditional form"),
        pytest.param(
            PAIR.certificate,
            EC_PARAMETERS + traditional(PAIR.key),
            id="a key after the parameters that openssl prints",
        ),
        pytest.param(
            PAIR.certificate.replace("\n", "\r\n"),
            PAIR.key.replace("\n", "\r\n"),
            id="line ends of Windows",
        ),
        pytest.param(
            f"subject=CN=files\n{PAIR.certificate}", f"Bag Attributes\n{PAIR.key}", id="text around"
        ),
        pytest.param(
            PAIR.key + PAIR.certificate,
            PAIR.certificate + PAIR.key,
            id="both in both keys: each finds its own block",
        ),
    ],
)
def test_what_go_reads_is_read(certificate: str, key: str) -> None:
    assert read(certificate, key).fingerprint == fingerprint(PAIR.certificate)


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda pem: f"\ufeff{pem}", id="a mark of the byte order before it"),
        pytest.param(lambda pem: textwrap.indent(pem, "  "), id="all of it indented"),
    ],
)
def test_what_go_would_not_find_is_put_at_the_beginning_of_a_line(
    spoilt: Callable[[str], str],
) -> None:
    found = read(spoilt(PAIR.certificate), spoilt(PAIR.key))

    assert (found.certificate, found.key) == (PAIR.certificate, PAIR.key)


CERTIFICATE_NOT_PEM = (
    "key tls.crt of Secret backup/files-tls, named by spec.server.tlsSecretRef, is not a "
    "certificate in PEM; replace its value"
)
KEY_NOT_PEM = (
    "key tls.key of Secret backup/files-tls, named by spec.server.tlsSecretRef, is not an "
    "unencrypted private key in PEM; replace its value"
)
MISMATCH = (
    "tls.crt and tls.key of Secret backup/files-tls, named by spec.server.tlsSecretRef, do not "
    "belong together; put the key of the first certificate of tls.crt into tls.key"
)


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        pytest.param("no certificate", PAIR.key, CERTIFICATE_NOT_PEM, id="not PEM"),
        pytest.param(PAIR.key, PAIR.key, CERTIFICATE_NOT_PEM, id="a key in its place"),
        pytest.param(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            PAIR.key,
            CERTIFICATE_NOT_PEM,
            id="PEM that holds no certificate",
        ),
        pytest.param(
            UNKNOWN_CURVE, PAIR.key, CERTIFICATE_NOT_PEM, id="a certificate on an unknown curve"
        ),
        pytest.param(PAIR.certificate, "no key", KEY_NOT_PEM, id="a key that is not PEM"),
        pytest.param(
            PAIR.certificate, PAIR.certificate, KEY_NOT_PEM, id="a certificate in its place"
        ),
        pytest.param(
            PAIR.certificate,
            encrypted(PAIR.key),
            KEY_NOT_PEM,
            id="an encrypted key, whose password nobody could give",
        ),
        pytest.param(PAIR.certificate, OTHER.key, MISMATCH, id="the key of another certificate"),
        pytest.param(RSA.certificate, OTHER_RSA.key, MISMATCH, id="another RSA key"),
        pytest.param(RSA.certificate, PAIR.key, MISMATCH, id="a key of another kind"),
        pytest.param(
            AUTHORITY.certificate + LEAF.certificate,
            LEAF.key,
            MISMATCH,
            id="a chain whose first certificate is not the leaf",
        ),
    ],
)
def test_what_no_server_can_use_is_refused(certificate: str, key: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(certificate, key)

    assert caught.value.reason == "CertificateInvalid"
    assert caught.value.message == message


def test_a_certificate_in_der_is_no_text() -> None:
    with pytest.raises(InvalidInput) as caught:
        read(der(PAIR.certificate), PAIR.key)

    assert caught.value.message == (
        "key tls.crt of Secret backup/files-tls, named by spec.server.tlsSecretRef, is not UTF-8 "
        "text; correct its value"
    )


@pytest.mark.parametrize("key", ["tls.crt", "tls.key"])
def test_each_key_is_needed(key: str) -> None:
    obj = objects.merged(objects.tls_secret(), {"data": {key: None}})

    with pytest.raises(InvalidInput, match=f"has no key {key}; add it"):
        server_certificate(secrets.read(TLS, obj, (secrets.TYPE_TLS,)))


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(rsa.generate_private_key(65537, 2048), id="RSA"),
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="elliptic curve"),
        pytest.param(ed25519.Ed25519PrivateKey.generate(), id="Ed25519"),
    ],
)
def test_every_kind_of_key_that_go_serves(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    pair = objects.key_pair(key=key)

    assert read(pair.certificate, pair.key).fingerprint == fingerprint(pair.certificate)


def test_whether_the_primes_of_an_rsa_key_fit_is_left_to_kopia() -> None:
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    damaged = rsa.RSAPrivateNumbers(
        numbers.p,
        numbers.q,
        numbers.d,
        numbers.dmp1 + 2,
        numbers.dmq1,
        numbers.iqmp,
        numbers.public_numbers,
    ).private_key(unsafe_skip_rsa_key_validation=True)
    pem = damaged.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    certificate = objects.key_pair(key=key).certificate

    assert read(certificate, pem).fingerprint == fingerprint(certificate)


@pytest.mark.parametrize(
    ("self_signed", "message"),
    [
        pytest.param(
            False,
            "the certificate in key tls.crt of Secret backup/files-tls, named by "
            "spec.server.tlsSecretRef, expired at 2026-01-01T00:00:00Z; put a renewed one and its "
            "key into the Secret",
            id="whose certificate is the user's is told what to do",
        ),
        pytest.param(
            True,
            "the certificate in Secret backup/files-tls, made for spec.server.tlsSecretRef, "
            "expired at 2026-01-01T00:00:00Z and could not be renewed; `certificate not renewed` "
            "in the controller's log says why",
            id="whose certificate is the controller's is told where to look",
        ),
    ],
)
def test_expiry_is_told_with_its_time_and_the_fix(*, self_signed: bool, message: str) -> None:
    refused = certificates.expired(TLS, objects.NOW, self_signed=self_signed)

    assert refused.reason == "CertificateExpired"
    assert refused.message == message


NOTICE = timedelta(days=30)


@pytest.mark.parametrize(
    ("left", "self_signed", "message"),
    [
        pytest.param(NOTICE + timedelta(seconds=1), False, "", id="a month before nobody is told"),
        pytest.param(
            NOTICE,
            False,
            "the certificate in key tls.crt of Secret backup/files-tls, named by "
            "spec.server.tlsSecretRef, expires at 2026-01-31T00:00:00Z; put a renewed one and its "
            "key into the Secret before then",
            id="from 30 days on the Secret, the date and the fix are told",
        ),
        pytest.param(
            NOTICE,
            True,
            "the certificate in Secret backup/files-tls, made for spec.server.tlsSecretRef, "
            "expires at 2026-01-31T00:00:00Z and could not be renewed; `certificate not renewed` "
            "in the controller's log says why",
            id="one that should have been renewed long ago",
        ),
    ],
)
def test_a_certificate_is_told_to_be_expiring_30_days_before(
    left: timedelta, *, self_signed: bool, message: str
) -> None:
    told = certificates.expiring(TLS, objects.NOW + left, objects.NOW, self_signed=self_signed)

    assert told == message


def test_a_representation_shows_neither_key_nor_certificate() -> None:
    shown = repr(read(PAIR.certificate, PAIR.key))

    assert "BEGIN" not in shown
    assert PAIR.key.splitlines()[1] not in shown
