"""Files of users and salted password hashes, as Kopia's server reads them.

Kopia takes what github.com/tg123/go-htpasswd takes: a line for each user, name and hash apart by a
colon. Of its schemes `{SSHA}` is used, a SHA-1 with a salt: it limits no password's length, as
bcrypt does, and costs a login nothing. It need not withstand guessing: whoever can read the file
can read the Secret with the passwords beside it (docs/decisions/users-by-htpasswd.md).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SCHEME: Final = "{SSHA}"
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 20
# Of a line, besides the user: colon, scheme, salt and hash in Base64, line end.
_LINE_BYTES: Final = 1 + len(_SCHEME) + (_SALT_BYTES + _HASH_BYTES) // 3 * 4 + 1


def hashes(
    passwords: Mapping[str, str], present: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return a hash of each user's password.

    Args:
        passwords: By user.
        present: The hashes as they are. A user with the same password keeps the hash, so that the
            same users make the same file. Default: none.
    """
    before = present or {}
    return {
        user: before[user] if user in before and verify(password, before[user]) else _hash(password)
        for user, password in passwords.items()
    }


def render(hashes_: Mapping[str, str]) -> str:
    """Return the lines of users, in the order of their names."""
    return "".join(f"{user}:{hash_}\n" for user, hash_ in sorted(hashes_.items()))


def size(users: Iterable[str]) -> int:
    """Return how many bytes `render` makes of users, whatever their passwords.

    Args:
        users: Their names, in ASCII.
    """
    return sum(len(user) + _LINE_BYTES for user in users)


def entries(text: str) -> dict[str, str]:
    """Return the hash of each user of a file."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {user: hash_ for user, _, hash_ in pairs if user and hash_}


def verify(password: str, hash_: str) -> bool:
    """Return whether a hash of this module is that of the password; False for any other text."""
    if not hash_.startswith(_SCHEME):
        return False
    try:
        raw = base64.b64decode(hash_.removeprefix(_SCHEME), validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(raw[:_HASH_BYTES], _digest(password, raw[_HASH_BYTES:]))


def _hash(password: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    return _SCHEME + base64.b64encode(_digest(password, salt) + salt).decode()


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.sha1(password.encode() + salt).digest()  # noqa: S324 - the scheme's, see above
