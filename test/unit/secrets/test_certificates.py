"""Certificate and key are read if a Go server could use them, and refused in words otherwise."""

import warnings
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

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

# Made by openssl: a certificate on P-256 with the numbers of the curve in place of its name.
EXPLICIT_CURVE = """\
-----BEGIN CERTIFICATE-----
MIICYjCCAgegAwIBAgIUf4shfU4SUhVRyJGrjOwf5AQ2G88wCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBeDAeFw0yNjExMjgxNTQyNDNaFw0yNjEyMjgxNTQyNDNaMAwx
CjAIBgNVBAMMAXgwggFLMIIBAwYHKoZIzj0CATCB9wIBATAsBgcqhkjOPQEBAiEA
/////wAAAAEAAAAAAAAAAAAAAAD///////////////8wWwQg/////wAAAAEAAAAA
AAAAAAAAAAD///////////////wEIFrGNdiqOpPns+u9VXaYhrxlHQawzFOw9jvO
PD4n0mBLAxUAxJ02CIbnBJNqZnjhE50mt4GffpAEQQRrF9Hy4SxCR/i85uVjpEDy
dwN9gS3rM6D0oTlF2JjClk/jQuL+Gn+bjufrSnwPnhYrzjNXazFezsu2QGg3v1H1
AiEA/////wAAAAD//////////7zm+q2nF56E87nKwvxjJVECAQEDQgAEL3FQQ7/0
az1Ux2YDCmuM/DffO1OKF3qOvpG/qGAMNoVD5HJ3PFwa3dHNaG2KKwKmGtAPXeJu
diAMBw7odRtxEKNTMFEwHQYDVR0OBBYEFEzGQimm8gwjqOtuPKnzxe3Z9TbzMB8G
A1UdIwQYMBaAFEzGQimm8gwjqOtuPKnzxe3Z9TbzMA8GA1UdEwEB/wQFMAMBAf8w
CgYIKoZIzj0EAwIDSQAwRgIhAKuu01hyYXfbCyi3YII8/wbc0ximVzt1Byk0f/Nz
A4pZAiEA+lOLQZxDRV+5TRWrZLy5CPu4YRuO91hGCe9MLIdBvN4=
-----END CERTIFICATE-----
"""

# Made by openssl: a certificate whose RSA key is marked for PSS.
PSS_ONLY = """\
-----BEGIN CERTIFICATE-----
MIIDYTCCAhSgAwIBAgIUXPKtdQ0XCjJp56iDSZnhg9vqYoswQgYJKoZIhvcNAQEK
MDWgDzANBglghkgBZQMEAgEFAKEcMBoGCSqGSIb3DQEBCDANBglghkgBZQMEAgEF
AKIEAgIA3jAMMQowCAYDVQQDDAF4MB4XDTI2MTEyODE1NDI0M1oXDTI2MTIyODE1
NDI0M1owDDEKMAgGA1UEAwwBeDCCASAwCwYJKoZIhvcNAQEKA4IBDwAwggEKAoIB
AQDRmU4jbzSm2Y9s9H2yCGTCJqcHhy3Idvb+9JcWbDgvLraBPoq62KyNzJf1tLUr
ye3zTYKszUPjKAipvUnFOQSzLdjKA5BvpLDurmIbh8QTKXziPthMiDTNK/aWdMPd
Wy0GRHOYCCadkDHeOcE67CcqzH+WfIfUzKG1YjXmU2Lt1FQJ+TRsOFfAberFGQOC
+Nc4YoUc0TrWFDHUcfrktiUV0LRtpsqGLz8K5yvYfo7QRWwf3F2hf5jjW3GrdQvw
d9wtOTRkIrJffMC3EgoZZ+ArxEjHD63UwfA96nzijhXJkH61X5dmAMK4yNQ1s7QY
Aw9Mrg4WszfgoeTPmVlczhtZAgMBAAGjUzBRMB0GA1UdDgQWBBTP/wv7HUrEM8QA
xANM55JGx2vvUzAfBgNVHSMEGDAWgBTP/wv7HUrEM8QAxANM55JGx2vvUzAPBgNV
HRMBAf8EBTADAQH/MEIGCSqGSIb3DQEBCjA1oA8wDQYJYIZIAWUDBAIBBQChHDAa
BgkqhkiG9w0BAQgwDQYJYIZIAWUDBAIBBQCiBAICAN4DggEBAHnGBFiamHNasJtH
X7/Thqmye7e1KVYJ6egxUsvpUhSXyOKkcYvpt0NAGvvWxp+NReRkVmlzUwY2rmMr
q04YMn/uWjQdruM3hvpnkFZtIh18QYr4a9r3sNlaQb9lFsIp4yW5kNQiZ6e5PSpm
XoAFJprw9PFgb2FhoyOtiteY4oyQBsNJKhtD+m2+P9jiiQtnBj1vqOtKmAoK6Keu
3wyTb77NeS4r/Td4EyjYvSgC5PWFf29d7bqQsztU489wlV7H0J0IT36s+Vb8mDkC
81IabB61yE0ynoBYbhZmu+DYGvxmxENnLK66i0a5cQjXpP1AFDa255VErV4VlxOX
v0849lc=
-----END CERTIFICATE-----
"""

# Made by openssl: a certificate with an RSA key of 768 bits.
SHORT_RSA = """\
-----BEGIN CERTIFICATE-----
MIIBrzCCATmgAwIBAgIUX+sIujYMTtXPjqhEytUPcpdhxKcwDQYJKoZIhvcNAQEL
BQAwDDEKMAgGA1UEAwwBeDAeFw0yNjExMjgxNTQyNDNaFw0yNjEyMjgxNTQyNDNa
MAwxCjAIBgNVBAMMAXgwfDANBgkqhkiG9w0BAQEFAANrADBoAmEAwwyflxVcwBUM
11UK5EuffcvzNiytwOxqC63lX/KV31iPOgLDJj/gEYTL0Pv5hMAAG/98+Hr0sECp
BxefDF2jtyjEV8p9KSjlkgqffFLx9yzNzao1mKHLh1AxJzybwuiFAgMBAAGjUzBR
MB0GA1UdDgQWBBSeGfyHhETmUj68uRW9L0X/+A0AzTAfBgNVHSMEGDAWgBSeGfyH
hETmUj68uRW9L0X/+A0AzTAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUA
A2EARTnCb1MSBq5bD27ee0kELubcDEdUJfrSpiOmny++gsFs8DXmIX0l6sg5CAXh
EZmaWp4hK4zyjHgtA6G+vvyCeLu9tBlBghfYvMC7jfME1LR4WURgySpOsdbJdPpt
DQ2J
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


def test_the_leaf_is_one_block_of_a_chain() -> None:
    root = objects.key_pair("root")
    signed = objects.key_pair("leaf", issuer=root)

    found = read(signed.certificate + root.certificate, signed.key)

    assert found.leaf == signed.certificate
    assert read(signed.certificate, signed.key).leaf == signed.certificate


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(None, "", id="no key"),
        pytest.param(" ", "", id="cert-manager leaves it empty for some issuers"),
        pytest.param(
            "# root\n" + objects.key_pair("root").certificate,
            objects.key_pair("root").certificate,
            id="written as Go reads it",
        ),
    ],
)
def test_the_authority_of_a_certificate(value: str | None, expected: str) -> None:
    assert certificates.authority(with_authority(value)) == expected


def test_an_authority_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"key ca\.crt of Secret .* is not a certificate in PEM"):
        certificates.authority(with_authority("none"))


def with_authority(value: str | None) -> secrets.SecretData:
    values = {} if value is None else {"ca.crt": value.encode()}
    return secrets.SecretData(TLS, "kubernetes.io/tls", values)


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


def test_what_go_would_not_read_is_written_as_it_does() -> None:
    chain = LEAF.certificate + AUTHORITY.certificate

    found = read(chain.replace("\n", " "), LEAF.key.replace("\n", " "))

    assert (found.certificate, found.key) == (chain, LEAF.key)


def unserved(kind: str) -> str:
    return (
        "the certificate in key tls.crt of Secret backup/files-tls, named by "
        f"spec.server.tlsSecretRef, has a key that Kopia cannot serve, {kind}; replace certificate "
        "and key, with a key of RSA of 1024 to 8192 bits, ECDSA on P-256, P-384 or P-521 with a "
        "named curve, or Ed25519"
    )


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        pytest.param(
            ec.generate_private_key(ec.SECP224R1()),
            "ECDSA on secp224r1",
            id="a curve that Go reads, and TLS has no scheme for",
        ),
        pytest.param(
            ec.generate_private_key(ec.SECP256K1()), "ECDSA on secp256k1", id="Bitcoin's curve"
        ),
        pytest.param(
            ec.generate_private_key(ec.BrainpoolP256R1()),
            "ECDSA on brainpoolP256r1",
            id="a curve of Brainpool",
        ),
        pytest.param(ed448.Ed448PrivateKey.generate(), "Ed448", id="Ed448"),
    ],
)
def test_a_key_that_gos_tls_cannot_serve_is_refused_with_those_that_it_can(
    key: ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey, kind: str
) -> None:
    pair = objects.key_pair(key=key)

    with pytest.raises(InvalidInput) as caught:
        read(pair.certificate, pair.key)

    assert caught.value.reason == "CertificateInvalid"
    assert caught.value.message == unserved(kind)


@pytest.mark.parametrize(
    ("certificate", "kind"),
    [
        pytest.param(
            UNKNOWN_CURVE, "ECDSA on a curve without a known name", id="a curve unknown to both"
        ),
        pytest.param(
            EXPLICIT_CURVE,
            "ECDSA on a curve without a known name",
            id="a known curve that is written out by its numbers",
        ),
        pytest.param(PSS_ONLY, "RSA for PSS only", id="an RSA key that is for PSS alone"),
        pytest.param(SHORT_RSA, "RSA of 768 bits", id="an RSA key that Go takes for too short"),
    ],
)
def test_a_certificate_that_gos_tls_cannot_serve_is_refused(certificate: str, kind: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(certificate, PAIR.key)

    assert caught.value.message == unserved(kind)


def test_a_certificate_of_the_chain_that_gos_clients_cannot_read_is_refused() -> None:
    authority = objects.key_pair("brainpool", key=ec.generate_private_key(ec.BrainpoolP256R1()))

    with pytest.raises(InvalidInput) as caught:
        read(PAIR.certificate + authority.certificate, PAIR.key)

    assert caught.value.message == (
        "certificate 2 in key tls.crt of Secret backup/files-tls, named by "
        "spec.server.tlsSecretRef, cannot be read by Kopia and its clients: its key is on the "
        "curve brainpoolP256r1; have it issued anew, or remove it"
    )


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
            timedelta(0),
            False,
            "the certificate in key tls.crt of Secret backup/files-tls, named by "
            "spec.server.tlsSecretRef, expired at 2026-01-01T00:00:00Z: clients that trust its "
            "fingerprint connect, those that trust its authority do not; put a renewed one and its "
            "key into the Secret",
            id="one that has expired is no less a warning",
        ),
        pytest.param(
            timedelta(days=-1),
            True,
            "the certificate in Secret backup/files-tls, made for spec.server.tlsSecretRef, "
            "expired at 2025-12-31T00:00:00Z and could not be renewed: clients that trust its "
            "fingerprint connect; `certificate not renewed` in the controller's log says why",
            id="one that the controller could not renew until its end",
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


def test_a_negative_serial_number_is_one_that_go_does_not_read() -> None:
    """Go refuses the certificate (crypto/x509 parser.go); Python reads it, with a warning."""
    right = x509.load_pem_x509_certificate(objects.key_pair().certificate.encode())
    der = right.public_bytes(serialization.Encoding.DER)
    length = (right.serial_number.bit_length() + 8) // 8
    serial = right.serial_number.to_bytes(length, "big", signed=True)
    negative = (right.serial_number - (1 << (8 * length - 1))).to_bytes(length, "big", signed=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrong = x509.load_der_x509_certificate(der.replace(serial, negative, 1))

        assert certificates.unread(wrong) == "its serial number is negative"
    assert certificates.unread(right) == ""
