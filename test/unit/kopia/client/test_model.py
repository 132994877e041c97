"""What a client takes is checked when it is made."""

from typing import Any

import pytest

from reconcilers.kopia.client.errors import InvalidRequest, Kind
from reconcilers.kopia.client.model import ServerConnection

FINGERPRINT = "0a" * 32
USUAL = {
    "url": "https://server.ns.svc:51515",
    "username": "u",
    "hostname": "h",
    "password": "secret-51d0",
    "fingerprint": FINGERPRINT,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"url": "http://server:1"}, "https://HOST:PORT", id="a URL without TLS"),
        pytest.param({"url": "https://server"}, "https://HOST:PORT", id="a URL without a port"),
        pytest.param({"url": "https://server:x"}, "https://HOST:PORT", id="a port that is none"),
        pytest.param({"url": "server:1"}, "https://HOST:PORT", id="no URL"),
        pytest.param({"url": "https://[server:1"}, "https://HOST:PORT", id="half an address"),
        pytest.param({"username": ""}, "no user name", id="no user"),
        pytest.param({"hostname": ""}, "no host name", id="no host"),
        pytest.param({"password": ""}, "no password", id="no password"),
        pytest.param({"password": " \n"}, "no password", id="nothing but white space"),
        pytest.param({"fingerprint": "0a"}, "64 hexadecimal digits", id="a short fingerprint"),
        pytest.param({"fingerprint": ""}, "neither a fingerprint nor", id="nothing to trust"),
    ],
)
def test_a_connection_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        ServerConnection(**{**USUAL, **changes})

    assert caught.value.kind is Kind.INVALID_REQUEST
    assert USUAL["password"] not in str(caught.value)


def test_a_connection_has_what_commands_need() -> None:
    printed = "0A:" * 31 + "0A\n"

    connection = ServerConnection(**{**USUAL, "fingerprint": printed})

    assert (connection.host, connection.port) == ("server.ns.svc", 51515)
    assert connection.user == "u@h"
    assert connection.fingerprint == FINGERPRINT
    assert "secret-51d0" not in repr(connection)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("{}\n", id="a line end, as echo adds one"),
        pytest.param("{}\r\n", id="one of Windows"),
        pytest.param("\ufeff{}\r\n", id="a byte order mark, which Kopia itself would keep"),
    ],
)
@pytest.mark.parametrize("name", ["url", "username", "hostname", "password"])
def test_what_surrounds_a_value_of_a_secret_is_none_of_it(name: str, written: str) -> None:
    """The server leaves it out of its users' passwords as well, whoever has passed the value on."""
    connection = ServerConnection(**{**USUAL, name: written.format(USUAL[name])})

    assert getattr(connection, name) == USUAL[name]


def test_exit_codes_tell_failures_apart_and_are_no_shells() -> None:
    codes = [kind.exit_code for kind in Kind]

    assert len(set(codes)) == len(codes)
    # 1 and 2 are the program's own; from 126 on a shell's, of which one is meant.
    assert all(2 < code < 126 for code in codes if code != Kind.CANCELLED.exit_code)
    assert Kind.CANCELLED.exit_code == 128 + 15
