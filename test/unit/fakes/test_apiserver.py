"""The API server of the unit tests leaves nothing behind."""

from __future__ import annotations

import socket

from fakes import apiserver
from fakes.apiserver import FakeApiServer
from fakes.clock import STUCK_AFTER


def test_no_connection_outlives_it() -> None:
    """One that is kept alive would be a thread and two descriptors of all tests that follow."""
    with FakeApiServer(apiserver.ok({})) as server:
        client = socket.create_connection(("127.0.0.1", server.port), STUCK_AFTER)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        answer = client.makefile("rb")
        while answer.readline() != b"\r\n":
            pass
        assert answer.read(2) == b"{}"

    with client, answer:
        assert answer.read() == b""
