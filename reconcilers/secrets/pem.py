"""PEM as people write it, read and written again in the one form that Go reads.

Go (encoding/pem, crypto/tls) finds a block only where a line begins with it, only under the label
`CERTIFICATE` or one that ends in `PRIVATE KEY`, and not behind a byte order mark. Python's readers
and OpenSSL are more tolerant, and so is what writes Secrets: templates indent values, editors use
line ends of their own, variables lose them or hold them as backslash and n, `cat` glues files
together that lack the last one.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_ssh_private_key,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_TRUSTED: Final = "TRUSTED CERTIFICATE"
_OPENSSH: Final = "OPENSSH PRIVATE KEY"
_CERTIFICATES: Final = frozenset({"CERTIFICATE", "X509 CERTIFICATE", _TRUSTED})
_PRIVATE_KEY: Final = "PRIVATE KEY"

_BOUNDARY: Final = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]+)-----")
# What may stand between two characters of Base64; the escapes are those of JSON and of shells.
_BETWEEN: Final = re.compile(r"\\[rn]|[\s\ufeff]+")

_LONG_LENGTH: Final = 0x80
_DER_HEADER_BYTES: Final = 2


@frozen
class Block:
    """One block of PEM.

    Args:
        label: What stands behind `BEGIN`.
        content: The decoded content; never shown in a representation.
    """

    label: str
    content: bytes = field(repr=False)


def blocks(text: str) -> list[Block]:
    """Return the blocks of a text in their order; what stands around them does not count.

    Args:
        text: Any text that a user wrote.

    Raises:
        ValueError: A block does not end, or its content is not Base64.
    """
    found: list[Block] = []
    begun: re.Match[str] | None = None
    for boundary in _BOUNDARY.finditer(text):
        word, label = boundary.groups()
        if word == "BEGIN":
            if begun is not None:
                raise ValueError("a block does not end")
            begun = boundary
        elif begun is None or begun.group(2) != label:
            raise ValueError("a block does not begin")
        else:
            content = _BETWEEN.sub("", text[begun.end() : boundary.start()])
            found.append(Block(label, base64.b64decode(content, validate=True)))
            begun = None
    if begun is not None:
        raise ValueError("a block does not end")
    return found


def certificates(text: str) -> list[x509.Certificate]:
    """Return the certificates of a text in their order; blocks of other kinds do not count.

    Args:
        text: Any text that a user wrote.

    Raises:
        ValueError: There is none, or one cannot be read.
    """
    found = [
        x509.load_der_x509_certificate(
            _first_element(block.content) if block.label == _TRUSTED else block.content
        )
        for block in blocks(text)
        if block.label in _CERTIFICATES
    ]
    if not found:
        raise ValueError("there is no certificate")
    return found


def private_key(text: str) -> PrivateKeyTypes:
    """Return the first private key of a text; blocks of other kinds do not count.

    Whether the primes of an RSA key fit is not checked: that takes 37 ms (4096 bits: 260 ms), for
    each server after each start of the controller. Kopia checks it when it reads the key.

    Args:
        text: Any text that a user wrote.

    Raises:
        ValueError: There is none, it is encrypted, or it is of a kind that cannot be read.
    """
    block = next((block for block in blocks(text) if block.label.endswith(_PRIVATE_KEY)), None)
    if block is None:
        raise ValueError("there is no private key")
    try:
        if block.label == _OPENSSH:
            return load_ssh_private_key(
                encode(block).encode(), password=None, unsafe_skip_rsa_key_validation=True
            )
        return load_der_private_key(
            block.content, password=None, unsafe_skip_rsa_key_validation=True
        )
    except (TypeError, UnsupportedAlgorithm) as error:
        # TypeError: it is encrypted, and there is no password.
        raise ValueError("the private key cannot be read") from error


def certificates_text(chain: list[x509.Certificate]) -> str:
    """Return certificates as Go reads them."""
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)


def private_key_text(key: PrivateKeyTypes) -> str:
    """Return a private key as Go reads it: PKCS #8, whatever form it had."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def encode(block: Block) -> str:
    """Return one block as PEM, with line ends where they belong."""
    content = base64.encodebytes(block.content).decode()
    return f"-----BEGIN {block.label}-----\n{content}-----END {block.label}-----\n"


def _first_element(der: bytes) -> bytes:
    """Return the first element of DER: OpenSSL's trusted certificates have their trust behind."""
    if len(der) < _DER_HEADER_BYTES:
        return der
    header, length = _DER_HEADER_BYTES, der[1]
    if length >= _LONG_LENGTH:
        header += length - _LONG_LENGTH
        length = int.from_bytes(der[_DER_HEADER_BYTES:header])
    return der[: header + length]
