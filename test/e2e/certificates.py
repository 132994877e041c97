"""Certificates for servers, valid from now on unless told otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from e2e.waiting import CLOCK
from fakes.objects import KeyPair, key_pair

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

VALID = timedelta(days=365)


def make(
    name: str,
    *,
    valid: timedelta = VALID,
    issuer: KeyPair | None = None,
    key: CertificateIssuerPrivateKeyTypes | None = None,
    hosts: tuple[str, ...] = (),
) -> KeyPair:
    """Make a certificate and its key.

    Args:
        name: Common name.
        valid: For how long from now; negative for one that has expired.
        issuer: Who signs it; itself by default.
        key: Its private key; a new one on P-256 by default.
        hosts: Whose it is, by their DNS names; nobody's by default.
    """
    not_after = CLOCK.now() + valid
    return key_pair(name, not_after=not_after, issuer=issuer, key=key, hosts=hosts)


def fingerprint(pair: KeyPair) -> str:
    """Return the fingerprint of the first certificate as Kopia's clients take it."""
    leaf = x509.load_pem_x509_certificates(pair.certificate.encode())[0]
    return leaf.fingerprint(hashes.SHA256()).hex()
