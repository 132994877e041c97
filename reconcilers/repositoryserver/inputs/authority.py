"""The authority of a server's own, which signs the certificates that the controller makes for it.

Clients that trust it need nothing new when the server's certificate is renewed. A renewal of the
authority keeps name and key, so that either of its certificates stands for what it has signed:
clients have from `RENEW_BEFORE` until the end of the first to take the second.
"""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.children import names
from reconcilers.secrets import pem
from reconcilers.secrets.certificates import server_certificate
from reconcilers.secrets.data import SecretRef

if TYPE_CHECKING:
    from datetime import datetime

    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.secrets.data import SecretData

FIELD: Final = "spec.server.tls.selfSigned"

LIFETIME: Final = timedelta(days=3650)
# More than three years, in which each certificate of a server is renewed three times.
RENEW_BEFORE: Final = LIFETIME / 3
# Clocks of clients may be slow by this much.
BACKDATED: Final = timedelta(hours=1)

MISSING: Final = "there was none"
UNUSABLE: Final = "the previous one was not an authority with its key"
DUE: Final = "the previous one expires at {when}"

# Apart from the subject of what it signs, which has the same common name.
_ORGANIZATION: Final = "RepositoryServer authority"

_EVERY_ADDRESS: Final = ("0.0.0.0/0", "::/0")


@frozen
class Authority:
    """A certificate that signs others, and its key.

    Args:
        certificate: The certificate.
        key: Its private key.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def text(self) -> str:
        """The certificate in PEM."""
        return pem.certificates_text([self.certificate])

    @property
    def key_text(self) -> str:
        """The key in PEM."""
        return pem.private_key_text(self.key)

    @property
    def not_after(self) -> datetime:
        """When the certificate expires."""
        return self.certificate.not_valid_after_utc

    @property
    def identifier(self) -> x509.SubjectKeyIdentifier:
        """The identifier of its key, by which clients find it."""
        return x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())

    def is_due(self, now: datetime) -> bool:
        """Return whether it is to be renewed."""
        return self.not_after - now <= RENEW_BEFORE

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Return whether a certificate is signed with its key, in its name."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return False
        return True


def reference(server: RepositoryServer) -> SecretRef:
    """Return where the authority of a server stands."""
    return SecretRef(FIELD, server.namespace, names.authority_name(server))


def host_names(server: RepositoryServer) -> tuple[str, ...]:
    """Return the names by which clients reach the Service, the shortest first."""
    service = names.stable_name(server)
    qualified = f"{service}.{server.namespace}"
    return (service, qualified, f"{qualified}.svc", f"{qualified}.svc.cluster.local")


def create(server: RepositoryServer, now: datetime) -> Authority:
    """Return a new authority with a new key (ECDSA on P-256), for the names of the Service alone.

    Args:
        server: The resource.
        now: The time from which its `LIFETIME` counts.
    """
    return _signed(server, now, ec.generate_private_key(ec.SECP256R1()))


def renewed(previous: Authority, server: RepositoryServer, now: datetime) -> Authority:
    """Return an authority that stands for all that the previous one has signed: by the same key.

    Args:
        previous: The previous one.
        server: The resource.
        now: The time from which its `LIFETIME` counts.
    """
    return _signed(server, now, previous.key)


def parse(secret: SecretData) -> Authority | None:
    """Return the authority in a Secret; None if what is in it is none that the controller makes.

    Args:
        secret: The Secret, whoever has written what is in it.
    """
    try:
        found = server_certificate(secret)
    except InvalidInput:
        return None
    certificate, key = pem.certificates(found.certificate)[0], pem.private_key(found.key)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not _signs(certificate):
        return None
    return Authority(certificate, key)


def _signs(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        # It is the issuer of what is signed. Names are read only when they are asked for.
        return constraints.value.ca and bool(certificate.subject)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return False


def _signed(server: RepositoryServer, now: datetime, key: ec.EllipticCurvePrivateKey) -> Authority:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, names.stable_name(server)),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNATURES, critical=True)
        # Whoever gets hold of the key can pass for this server, and for no other host.
        .add_extension(
            x509.NameConstraints(
                permitted_subtrees=[x509.DNSName(host) for host in host_names(server)],
                excluded_subtrees=[x509.IPAddress(ip_network(one)) for one in _EVERY_ADDRESS],
            ),
            critical=True,
        )
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


# What an authority does with its key.
_SIGNATURES: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
