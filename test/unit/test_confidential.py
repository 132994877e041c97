"""The end-to-end tests' search for what is confidential finds it, however it is written."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from e2e.confidential import Confidential

PASSWORD, LONGER = "secret/password+1234", "secret/password+1234567"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def confidential() -> Confidential:
    found = Confidential()
    found.remember("password", PASSWORD)
    found.remember("longer", LONGER)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing in nothing"),
        pytest.param("secret/password+123", [], id="nothing in the most of it"),
        pytest.param(f"a {PASSWORD} b", ["password (0), plain"], id="as it is"),
        pytest.param(quote(PASSWORD, safe=""), ["password (0), URL-encoded"], id="in a URL"),
        pytest.param(in_base64(PASSWORD), ["password (0), in base64"], id="in base64"),
        pytest.param(in_base64(f"a{PASSWORD}b"), ["password (0), in base64"], id="one byte on"),
        pytest.param(in_base64(f"ab{PASSWORD}b"), ["password (0), in base64"], id="two bytes on"),
        pytest.param(
            LONGER, ["password (0), plain", "longer (1), plain"], id="one that begins with another"
        ),
    ],
)
def test_finds(confidential: Confidential, text: str, expected: list[str]) -> None:
    assert confidential.found_in(text) == expected


def test_finds_what_is_remembered_later(confidential: Confidential) -> None:
    assert confidential.found_in("another one") == []

    confidential.remember("later", "another one")

    assert confidential.found_in("another one") == ["later (2), plain"]
