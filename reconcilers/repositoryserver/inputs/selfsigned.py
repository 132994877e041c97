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
from reconcilers.repositoryserver.children.secrets import KEY_AUTHORITY
from reconcilers.repositoryserver.inputs import authority
from reconcilers.secrets import pem
from reconcilers.secrets.certificates import ServerCertificate, server_certificate
from reconcilers.secrets.data import SecretRef

if TYPE_CHECKING:
    from datetime import datetime

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.repositoryserver.inputs.authority import Authority
    from reconcilers.secrets.data import SecretData

LIFETIME: Final = timedelta(days=365)
# Four months in which a renewal can fail before the certificate expires.
RENEW_BEFORE: Final = LIFETIME / 3
MISSING: Final = "there was none"
UNUSABLE: Final = "the previous one was not a certificate with its key"
DUE: Final = "the previous one expires at {when}"
OTHER_AUTHORITY: Final = "the previous one is not signed by the authority that there is now"


def reference(server: RepositoryServer) -> SecretRef:
    """Return where the certificate of a server stands."""
    return SecretRef(authority.FIELD, server.namespace, names.certificate_name(server))


def issue(server: RepositoryServer, signer: Authority, now: datetime) -> ServerCertificate:
    """Return a new certificate with a new key (ECDSA on P-256).

    Args:
        server: The resource whose Service it is for.
        signer: Signs it.
        now: The time from which its `LIFETIME` counts.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    hosts = authority.host_names(server)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]))
        .issuer_name(signer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - authority.BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_SIGNATURES, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer.identifier),
            critical=False,
        )
        .sign(signer.key, hashes.SHA256())
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


def stands_alone(secret: SecretData, now: datetime) -> bool:
    """Return whether a certificate needs no authority yet: it signs itself, and is not due.

    The controller made such ones before it made authorities. Clients pin the fingerprint, which
    must not change before its time.

    Args:
        secret: The Secret, whoever has written what is in it.
        now: The time.
    """
    try:
        found, told = server_certificate(secret), secret.optional(KEY_AUTHORITY)
    except InvalidInput:
        return False
    leaf = pem.certificates(found.certificate)[0]
    try:
        signs_itself = leaf.issuer == leaf.subject
    except ValueError:
        # Names are read only now.
        return False
    return signs_itself and not told and not is_due(found.not_after, now)


def why_another(secret: SecretData, signer: Authority, now: datetime) -> str:
    """Return why the certificate in a Secret has to be replaced; empty if it has not.

    Args:
        secret: The Secret, whoever has written what is in it.
        signer: The authority of the server.
        now: The time.
    """
    try:
        found, told = server_certificate(secret), secret.optional(KEY_AUTHORITY)
    except InvalidInput:
        return UNUSABLE
    if is_due(found.not_after, now):
        return DUE.format(when=timestamp(found.not_after))
    leaf = pem.certificates(found.certificate)[0]
    # What stands beside the certificate is what clients get to trust.
    fits = told.strip() == signer.text.strip() and signer.has_signed(leaf)
    return "" if fits else OTHER_AUTHORITY


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
