"""Asks a DNS server for one name, so that "the DNS works" means that it answered."""

from __future__ import annotations

import socket
import struct

PORT = 53
TIMEOUT_SECONDS = 1.0

_TYPE_A = 1
_CLASS_IN = 1
_RECURSION_DESIRED = 0x0100
_CODE_MASK = 0x000F
_HEADER = struct.Struct("!HHHHHH")
# The fixed part of a record, after its name: type, class, TTL, length of the data.
_RECORD = struct.Struct("!HHIH")
# A name is labels, each after its length, up to an empty one or to a pointer of two bytes.
_POINTER = 0xC0


def question(name: str, identifier: int) -> bytes:
    """Return the message that asks for the IPv4 address of a name (RFC 1035, section 4)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    header = _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 0)
    return header + labels + b"\0" + struct.pack("!HH", _TYPE_A, _CLASS_IN)


def answered_address(asked: bytes, message: bytes) -> str | None:
    """Return the IPv4 address of the first record of an answer, or None if there is none.

    Args:
        asked: the question as sent; an answer repeats it.
        message: what came back.
    """
    if len(message) < len(asked) or message[:2] != asked[:2]:
        return None
    _, flags, _, answers, _, _ = _HEADER.unpack_from(message)
    if flags & _CODE_MASK or not answers:
        return None
    start = _end_of_name(message, len(asked))
    kind, _, _, length = _RECORD.unpack_from(message, start)
    if kind != _TYPE_A:
        return None
    data = start + _RECORD.size
    return socket.inet_ntoa(message[data : data + length])


def _end_of_name(message: bytes, start: int) -> int:
    while length := message[start]:
        if length >= _POINTER:
            return start + 2
        start += 1 + length
    return start + 1


def lookup(server: str, name: str) -> str | None:
    """Ask a server for the IPv4 address of a name.

    Returns:
        The address; None if there is none, or no answer within a second.
    """
    asked = question(name, identifier=1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT_SECONDS)
        try:
            client.connect((server, PORT))
            client.send(asked)
            return answered_address(asked, client.recv(512))
        except OSError:
            return None
