"""The server's certificate: does it fit its key, and until when."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller.conditions import timestamp
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from datetime import datetime

    from reconcilers.secrets.data import SecretData, SecretRef

# How long before its end a certificate is told to be expiring.
NOTICE = timedelta(days=30)

REASON_INVALID = "CertificateInvalid"
REASON_EXPIRED = "CertificateExpired"

NOT_PEM = "key {key} of Secret {ref}, named by {field}, is not {what} in PEM; replace its value"
MISMATCH = (
    "tls.crt and tls.key of Secret {ref}, named by {field}, do not belong together; "
    "put the key of the first certificate of tls.crt into tls.key"
)
EXPIRED = (
    "the certificate in key tls.crt of Secret {ref}, named by {field}, expired at {when}; "
    "put a renewed one and its key into the Secret"
)
EXPIRING = (
    "the certificate in key tls.crt of Secret {ref}, named by {field}, expires at {when}; put a "
    "renewed one and its key into the Secret before then"
)
NOT_RENEWED = (
    "the certificate in Secret {ref}, made for {field}, expires at {when} and could not be "
    "renewed; `certificate not renewed` in the controller's log says why"
)
NEVER_RENEWED = (
    "the certificate in Secret {ref}, made for {field}, expired at {when} and could not be "
    "renewed; `certificate not renewed` in the controller's log says why"
)

_MARGIN = re.compile(r"^[\ufeff \t]+", re.MULTILINE)


@frozen
class ServerCertificate:
    """Certificate and key of a server.

    Attributes:
        certificate: PEM, the leaf first; a chain may follow.
        key: PEM of the leaf's private key.
        fingerprint: SHA-256 over the leaf's DER, lower-case hexadecimal without colons, as Kopia's
            clients take it.
        not_after: When the leaf expires.
    """

    certificate: str = field(repr=False)
    key: str = field(repr=False)
    fingerprint: str
    not_after: datetime


def unindented(pem: str) -> str:
    """Return PEM as Go reads it, which finds a block at the beginning of a line only.

    Not after the byte order mark that some editors begin a file with, and not where the YAML that
    it came from has indented it.
    """
    return _MARGIN.sub("", pem)


def server_certificate(secret: SecretData) -> ServerCertificate:
    """Read the certificate, whose first block is the server's, and its key.

    Raises:
        InvalidInput: One is missing or not PEM, or they do not belong together.
    """
    certificate = unindented(secret.text("tls.crt"))
    key = unindented(secret.text("tls.key"))
    words = {"ref": secret.ref, "field": secret.ref.field}
    try:
        leaf = x509.load_pem_x509_certificates(certificate.encode())[0]
        public_key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        message = NOT_PEM.format(key="tls.crt", what="a certificate", **words)
        raise InvalidInput(REASON_INVALID, message) from None
    try:
        # Whether the primes of an RSA key fit costs 37 ms to check (4096 bits: 260), for each
        # server after each start of the controller. Kopia checks it as it reads the key; the public
        # numbers, which are all that is compared here, are read without.
        private_key = load_pem_private_key(
            key.encode(), password=None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = NOT_PEM.format(key="tls.key", what="an unencrypted private key", **words)
        raise InvalidInput(REASON_INVALID, message) from None
    if private_key.public_key() != public_key:
        raise InvalidInput(REASON_INVALID, MISMATCH.format(**words))
    return ServerCertificate(
        certificate, key, leaf.fingerprint(hashes.SHA256()).hex(), leaf.not_valid_after_utc
    )


def expired(tls: SecretRef, not_after: datetime, *, self_signed: bool) -> InvalidInput:
    """Return the refusal of a certificate that has expired, to be raised.

    Args:
        tls: Where it stands.
        not_after: When it expired.
        self_signed: Whether the controller made it.
    """
    message = NEVER_RENEWED if self_signed else EXPIRED
    text = message.format(ref=tls, field=tls.field, when=timestamp(not_after))
    return InvalidInput(REASON_EXPIRED, text)


def expiring(tls: SecretRef, not_after: datetime, now: datetime, *, self_signed: bool) -> str:
    """Return what to say of a certificate that is about to expire; empty while it is not.

    Args:
        tls: Where it stands.
        not_after: When it expires.
        now: The time.
        self_signed: Whether the controller made it. It is renewed long before `NOTICE`, so that it
            gets there only if that fails.
    """
    if not_after - now > NOTICE:
        return ""
    message = NOT_RENEWED if self_signed else EXPIRING
    return message.format(ref=tls, field=tls.field, when=timestamp(not_after))
