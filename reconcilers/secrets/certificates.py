"""The server's certificate: whether Kopia can serve it, whether it fits its key, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from controller.conditions import timestamp
from reconcilers.secrets import pem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reconcilers.secrets.data import SecretData, SecretRef

# How long before its end a certificate is reported as expiring.
NOTICE: Final = timedelta(days=30)

REASON_INVALID: Final = "CertificateInvalid"

NOT_PEM: Final = (
    "key {key} of Secret {ref}, named by {field}, is not {what} in PEM; replace its value"
)
KINDS: Final = (
    "RSA of 1024 to 8192 bits, ECDSA on P-256, P-384 or P-521 with a named curve, or Ed25519"
)
KIND: Final = (
    "the certificate in key {key} of Secret {ref}, named by {field}, has a key that Kopia cannot "
    f"serve, {{kind}}; replace certificate and key, with a key of {KINDS}"
)
UNREADABLE: Final = (
    "certificate {number} in key {key} of Secret {ref}, named by {field}, cannot be read by "
    "Kopia and its clients: {kind}; have it issued anew, or remove it"
)
MISMATCH: Final = (
    "tls.crt and tls.key of Secret {ref}, named by {field}, do not belong together; "
    "put the key of the first certificate of tls.crt into tls.key"
)
EXPIRED: Final = (
    "the certificate in key tls.crt of Secret {ref}, named by {field}, expired at {when}: clients "
    "that trust its fingerprint connect, those that trust its authority do not; put a renewed one "
    "and its key into the Secret"
)
EXPIRING: Final = (
    "the certificate in key tls.crt of Secret {ref}, named by {field}, expires at {when}; put a "
    "renewed one and its key into the Secret before then"
)
NOT_RENEWED: Final = (
    "the certificate in Secret {ref}, made for {field}, expires at {when} and could not be "
    "renewed; `certificate not renewed` in the controller's log says why"
)
NEVER_RENEWED: Final = (
    "the certificate in Secret {ref}, made for {field}, expired at {when} and could not be "
    "renewed: clients that trust its fingerprint connect; `certificate not renewed` in the "
    "controller's log says why"
)

_ELLIPTIC: Final = x509.ObjectIdentifier("1.2.840.10045.2.1")
# crypto/x509 parser.go, parsePublicKey: these curves, by name. crypto/tls auth.go,
# signatureSchemesForCertificate, has no scheme for the first.
_READ_CURVES: Final = (ec.SECP224R1, ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_SERVED_CURVES: Final = _READ_CURVES[1:]
# crypto/rsa fips.go, checkKeySize; crypto/tls handshake_client.go, defaultMaxRSAKeySize.
_RSA_BITS: Final = range(1024, 8192 + 1)

_UNKNOWN_KIND: Final = "of a kind that is not known here"


@frozen
class ServerCertificate:
    """Certificate and key of a server.

    Args:
        certificate: PEM as Go reads it, the leaf first; a chain may follow.
        key: PEM of the leaf's private key, as Go reads it.
        fingerprint: SHA-256 over the leaf's DER, lower-case hexadecimal without colons, as Kopia's
            clients take it.
        not_after: When the leaf expires.
    """

    certificate: str = field(repr=False)
    key: str = field(repr=False)
    fingerprint: str
    not_after: datetime

    @property
    def leaf(self) -> str:
        """The server's own certificate: one block of PEM, without the chain."""
        return pem.certificates_text(pem.certificates(self.certificate)[:1])


def server_certificate(secret: SecretData) -> ServerCertificate:
    """Return the certificate, whose first block is the server's, and its key.

    Both are written anew, so that Kopia reads whatever could be read here.

    Args:
        secret: The Secret with the keys `tls.crt` and `tls.key`.

    Raises:
        InvalidInput: One is missing, is not PEM or of a kind that Kopia cannot serve, or they do
            not belong together.
    """
    certificate, key = secret.text("tls.crt"), secret.text("tls.key")
    try:
        chain = pem.certificates(certificate)
    except ValueError:
        raise secret.refused(REASON_INVALID, NOT_PEM, "tls.crt", what="a certificate") from None
    leaf = chain[0]
    kind = _unserved(leaf)
    if kind:
        raise secret.refused(REASON_INVALID, KIND, "tls.crt", kind=kind)
    refuse_unreadable(secret, "tls.crt", chain, reason=REASON_INVALID)
    try:
        private_key = pem.private_key(key)
    except ValueError:
        what = "an unencrypted private key"
        raise secret.refused(REASON_INVALID, NOT_PEM, "tls.key", what=what) from None
    if private_key.public_key() != leaf.public_key():
        raise secret.refused(REASON_INVALID, MISMATCH)
    return ServerCertificate(
        pem.certificates_text(chain),
        pem.private_key_text(private_key),
        leaf.fingerprint(hashes.SHA256()).hex(),
        leaf.not_valid_after_utc,
    )


def authority(secret: SecretData) -> str:
    """Return the certificates of the authority that has signed the server's; empty without any.

    Args:
        secret: The Secret of the server's certificate. cert-manager writes the key `ca.crt`.

    Raises:
        InvalidInput: The key holds something else.
    """
    text = secret.optional("ca.crt")
    if not text:
        return ""
    try:
        return pem.certificates_text(pem.certificates(text))
    except ValueError:
        raise secret.refused(REASON_INVALID, NOT_PEM, "ca.crt", what="a certificate") from None


def refuse_unreadable(
    secret: SecretData, key: str, chain: Sequence[x509.Certificate], *, reason: str
) -> None:
    """Refuse certificates that Python reads and Go does not (crypto/x509 parser.go).

    Args:
        secret: Where they stand.
        key: Its key.
        chain: The certificates in their order.
        reason: CamelCase word of the refusal.

    Raises:
        InvalidInput: There is such a one among them.
    """
    for number, certificate in enumerate(chain, start=1):
        kind = unread(certificate)
        if kind:
            raise secret.refused(reason, UNREADABLE, key, number=str(number), kind=kind)


def unread(certificate: x509.Certificate) -> str:
    """Return what of a certificate Go cannot read (crypto/x509 parser.go); empty if it can."""
    if certificate.serial_number < 0:
        return "its serial number is negative"
    if certificate.public_key_algorithm_oid != _ELLIPTIC:
        return ""
    curve = _curve(certificate)
    if curve is None:
        return "its key is on an elliptic curve without a known name"
    return "" if isinstance(curve, _READ_CURVES) else f"its key is on the curve {curve.name}"


def _unserved(certificate: x509.Certificate) -> str:
    """Return of what kind the key of a certificate is if Go cannot serve it; empty if it can."""
    if certificate.public_key_algorithm_oid == _ELLIPTIC:
        curve = _curve(certificate)
        if curve is None:
            return "ECDSA on a curve without a known name"
        return "" if isinstance(curve, _SERVED_CURVES) else f"ECDSA on {curve.name}"
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return _UNKNOWN_KIND
    if isinstance(key, rsa.RSAPublicKey):
        if not _is_plain(certificate):
            return "RSA for PSS only"
        return "" if key.key_size in _RSA_BITS else f"RSA of {key.key_size} bits"
    other = type(key).__name__.removesuffix("PublicKey").strip("_") or _UNKNOWN_KIND
    return "" if isinstance(key, ed25519.Ed25519PublicKey) else other


def _curve(certificate: x509.Certificate) -> ec.EllipticCurve | None:
    """Return the curve of a certificate's key; None if it is unknown, or written out by numbers."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    if isinstance(key, ec.EllipticCurvePublicKey) and _is_plain(certificate):
        return key.curve
    return None


def _is_plain(certificate: x509.Certificate) -> bool:
    """Return whether the key stands in the certificate in the form that all others have."""
    plain = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return plain in certificate.tbs_certificate_bytes


def expiring(tls: SecretRef, not_after: datetime, now: datetime, *, self_signed: bool) -> str:
    """Return what to report of a certificate that expires soon or has expired; empty before that.

    An expired certificate is no reason to refuse a server: Kopia serves it, and clients that pin
    its fingerprint, as Kopia's own do, do not look at the time.

    Args:
        tls: Where it stands.
        not_after: When it expires.
        now: The time.
        self_signed: Whether the controller made it. It is renewed long before `NOTICE`, so that it
            gets there only if that fails.
    """
    if not_after - now > NOTICE:
        return ""
    if not_after <= now:
        message = NEVER_RENEWED if self_signed else EXPIRED
    else:
        message = NOT_RENEWED if self_signed else EXPIRING
    return message.format(ref=tls, field=tls.field, when=timestamp(not_after))
