"""PEM is read as people write it, and written as Go reads it."""

import textwrap
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization

from fakes import objects
from reconcilers.secrets import pem

AUTHORITY = objects.key_pair("authority")
LEAF = objects.key_pair("leaf", issuer=AUTHORITY)


def glued(pem: str) -> str:
    return pem.replace("-----\n-----", "----------").strip()


def in_one_line(pem: str) -> str:
    return " ".join(pem.split("\n"))


def escaped(pem: str) -> str:
    return pem.replace("\n", "\\n")


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param(lambda pem: f"\ufeff{pem}", id="a byte order mark before it"),
        pytest.param(lambda pem: textwrap.indent(pem, "  "), id="all of it indented"),
        pytest.param(glued, id="files glued together that lack their last line end"),
        pytest.param(in_one_line, id="spaces in place of line ends"),
        pytest.param(escaped, id="a backslash and n in place of line ends"),
        pytest.param(lambda pem: pem.replace("\n", "\r"), id="lone carriage returns"),
        pytest.param(lambda pem: pem.replace("\n", "\r\n"), id="line ends of Windows"),
        pytest.param(
            lambda pem: pem.replace(" CERTIFICATE", " X509 CERTIFICATE"),
            id="the label of old versions of OpenSSL",
        ),
    ],
)
def test_what_go_would_not_read_is_written_as_it_does(spoilt: Callable[[str], str]) -> None:
    chain = LEAF.certificate + AUTHORITY.certificate

    found = pem.certificates(spoilt(chain))
    key = pem.private_key(spoilt(LEAF.key))

    assert (pem.certificates_text(found), pem.private_key_text(key)) == (chain, LEAF.key)


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(serialization.PrivateFormat.TraditionalOpenSSL, id="of OpenSSL before 1.0"),
        pytest.param(serialization.PrivateFormat.OpenSSH, id="of OpenSSH"),
    ],
)
def test_a_key_is_written_in_one_form_whatever_form_it_had(
    form: serialization.PrivateFormat,
) -> None:
    loaded = serialization.load_pem_private_key(LEAF.key.encode(), password=None)
    other = loaded.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())

    assert pem.private_key_text(pem.private_key(other.decode())) == LEAF.key


def test_what_openssl_trusts_is_a_certificate_with_its_trust_behind() -> None:
    (block,) = pem.blocks(LEAF.certificate)
    with_trust = pem.Block("TRUSTED CERTIFICATE", block.content + b"\x30\x02\x05\x00")

    (found,) = pem.certificates(pem.encode(with_trust))

    assert pem.certificates_text([found]) == LEAF.certificate


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("no certificate", id="no PEM"),
        pytest.param(LEAF.key, id="a key"),
        pytest.param(LEAF.certificate.partition("-----END")[0], id="the end is lost"),
        pytest.param(LEAF.certificate.partition("-----\n")[2], id="the beginning is lost"),
        pytest.param(
            LEAF.certificate.partition("-----END")[0] + AUTHORITY.certificate,
            id="the end of the first of two is lost",
        ),
        pytest.param(LEAF.certificate.replace("M", "!", 1), id="a letter that Base64 never has"),
        pytest.param(
            "-----BEGIN TRUSTED CERTIFICATE-----\nMA==\n-----END TRUSTED CERTIFICATE-----",
            id="too short to be anything",
        ),
    ],
)
def test_what_holds_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whose words nobody sees
        pem.certificates(text)


def test_many_beginnings_without_an_end_take_no_time() -> None:
    """A Secret may be 1 MiB, and each beginning could be looked for an end of its own."""
    with pytest.raises(ValueError, match="does not end"):
        pem.blocks("-----BEGIN CERTIFICATE-----\n" * 40_000)


def test_a_representation_shows_no_content() -> None:
    (block,) = pem.blocks(LEAF.key)

    assert repr(block) == "Block(label='PRIVATE KEY')"
