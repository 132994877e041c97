"""The certificates that the controller makes: what is in one, and when the next one is due."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.conditions import timestamp
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names
from reconcilers.secrets.certificates import ServerCertificate, server_certificate
from reconcilers.secrets.data import SecretRef

if TYPE_CHECKING:
    from datetime import datetime

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.secrets.data import SecretData

FIELD: Final = "spec.server.tls.selfSigned"

LIFETIME: Final = timedelta(days=365)
# Four months in which a renewal can fail before the certificate expires.
RENEW_BEFORE: Final = LIFETIME / 3
# Clocks of clients may be slow by this much.
BACKDATED: Final = timedelta(hours=1)

MISSING: Final = "there was none"
UNUSABLE: Final = "the previous one was not a certificate with its key"
DUE: Final = "the previous one expires at {when}"


def reference(server: RepositoryServer) -> SecretRef:
    """Return where the certificate of a server stands."""
    return SecretRef(FIELD, server.namespace, names.certificate_name(server))


def host_names(server: RepositoryServer) -> tuple[str, ...]:
    """Return the names by which clients reach the Service, the shortest first."""
    service = names.stable_name(server)
    qualified = f"{service}.{server.namespace}"
    return (service, qualified, f"{qualified}.svc", f"{qualified}.svc.cluster.local")


def issue(server: RepositoryServer, now: datetime) -> ServerCertificate:
    """Return a new self-signed certificate with a new key (ECDSA on P-256).

    Args:
        server: The resource whose Service it is for.
        now: The time from which its `LIFETIME` counts.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    names = host_names(server)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    leaf = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNATURES, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # Some verifiers ask for both, even of a certificate that signs itself.
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    return ServerCertificate(
        certificate=leaf.public_bytes(serialization.Encoding.PEM).decode(),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        not_after=leaf.not_valid_after_utc,
    )


def is_due(not_after: datetime, now: datetime) -> bool:
    """Return whether a certificate that the controller made is to be renewed."""
    return not_after - now <= RENEW_BEFORE


def why_another(secret: SecretData, now: datetime) -> str:
    """Return why the certificate in a Secret has to be replaced; empty if it has not.

    Args:
        secret: The Secret, whoever has written what is in it.
        now: The time.
    """
    try:
        found = server_certificate(secret)
    except InvalidInput:
        return UNUSABLE
    return DUE.format(when=timestamp(found.not_after)) if is_due(found.not_after, now) else ""


# What TLS asks of a key on an elliptic curve.
_SIGNATURES: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
