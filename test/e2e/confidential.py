"""What must be seen nowhere but in Secrets: made here, remembered, and looked for in the end."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote

from ahocorasick_rs import AhoCorasick
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterable

# Behind what is looked for, so that shells, URLs and JSON each have something to trip over.
PASSWORD_ENDING = " &%+=/é"

_OFFSETS_OF_BASE64 = 3
# The rest of a key's last line is found everywhere and proves nothing.
_SHORTEST = 12


@define
class Confidential:
    """The passwords and keys of one session, by what they are."""

    _values: dict[str, str] = field(factory=dict, repr=False)
    # What finds all of them in one pass, with a word for each; made anew when there are others.
    _finder: tuple[AhoCorasick, list[str]] | None = field(init=False, default=None, repr=False)

    def password(self, what: str) -> str:
        """Make a password and remember it."""
        return self.remember(what, secrets.token_hex(12)) + PASSWORD_ENDING

    def remember(self, what: str, value: str) -> str:
        """Look for a value, too, and return it."""
        self._values[f"{what} ({len(self._values)})"] = value
        self._finder = None
        return value

    def remember_key(self, what: str, pem: str) -> str:
        """Look for each line of a private key in PEM, and return the whole."""
        for line in pem.splitlines():
            if not line.startswith("-----") and len(line) >= _SHORTEST:
                self.remember(what, line)
        return pem

    def values(self) -> dict[str, str]:
        """Return a copy of them, by what they are."""
        return dict(self._values)

    def found_in(self, text: str) -> list[str]:
        """Return what of it is in a text, plain or encoded, never the value itself."""
        if self._finder is None:
            told = [
                (encoded, f"{what}, {encoding}")
                for what, value in self._values.items()
                for encoding, encoded in encodings(value)
            ]
            self._finder = AhoCorasick([one for one, _ in told]), [words for _, words in told]
        finder, words = self._finder
        # Overlapping: one may begin with another.
        matches = finder.find_matches_as_indexes(text, overlapping=True)
        return [words[number] for number in sorted({match[0] for match in matches})]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)


def encodings(value: str) -> Iterable[tuple[str, str]]:
    """Return how a value may look in logs, objects and requests, with a word for each."""
    yield "plain", value
    yield "URL-encoded", quote(value, safe="")
    for offset in range(_OFFSETS_OF_BASE64):
        # Within a longer text, a value begins at any of three places in the code; what stands at
        # its ends depends on its neighbours.
        code = base64.b64encode(bytes(offset) + value.encode()).decode().rstrip("=")
        yield "in base64", code[4 if offset else 0 : -2]
