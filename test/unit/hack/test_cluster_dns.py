"""The DNS message that tells whether the cluster's DNS answers."""

from __future__ import annotations

import socket

import pytest

from clusterlib import dns

ASKED = dns.question("a.test", identifier=7)
QUESTION_SECTION = b"\x01a\x04test\x00\x00\x01\x00\x01"
ADDRESS = socket.inet_aton("198.18.0.1")
RECORD_A = b"\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04" + ADDRESS
RECORD_AAAA = b"\x00\x1c\x00\x01\x00\x00\x00\x05\x00\x10" + bytes(16)


def answer(record: bytes, *, identifier: int = 7, code: int = 0, records: int = 1) -> bytes:
    flags = bytes([0x84, 0x00 | code])
    header = bytes([0, identifier]) + flags + b"\x00\x01" + bytes([0, records]) + bytes(4)
    return header + QUESTION_SECTION + record


def test_the_question_is_the_wire_format_of_rfc_1035() -> None:
    header = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"

    assert header + QUESTION_SECTION == ASKED


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(answer(b"\xc0\x0c" + RECORD_A), "198.18.0.1", id="the name is a pointer back"),
        pytest.param(
            answer(b"\x01a\x04test\x00" + RECORD_A), "198.18.0.1", id="the name is spelled out"
        ),
        pytest.param(answer(b"", code=3, records=0), None, id="there is no such name"),
        pytest.param(answer(b"", records=0), None, id="the name has no address"),
        pytest.param(answer(b"\xc0\x0c" + RECORD_AAAA), None, id="the record is of another type"),
        pytest.param(
            answer(b"\xc0\x0c" + RECORD_A, identifier=8), None, id="it answers another question"
        ),
        pytest.param(b"", None, id="it is empty"),
    ],
)
def test_answered_address(message: bytes, expected: str | None) -> None:
    assert dns.answered_address(ASKED, message) == expected
