"""Access users: who may connect, who is registered in Kopia, and what brings the two together.

Passwords are compared by Kopia's own hashes (kopia internal/user/password_hashings.go): scrypt for
version 1, PBKDF2-HMAC-SHA256 for version 2, each stored as salt and key of 32 bytes.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import threading
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen
from cachetools import LRUCache
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from reconcilers.repositoryserver import secrets
from reconcilers.repositoryserver.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from reconcilers.repositoryserver.api import UserAccess
    from reconcilers.repositoryserver.secrets import SecretData

# kopia internal/user/user_manager.go
USER_PATTERN = re.compile(r"[a-z0-9\-_.]+@[a-z0-9\-_.]+")
AT = "_at_"

HASH_SCRYPT = 1
HASH_PBKDF2 = 2
SALT_BYTES = 32
KEY_BYTES = 32
_VERIFICATIONS_AT_ONCE = 2

REASON_NAME = "UserNameInvalid"
REASON_NO_USERS = "NoUsers"

BAD_NAME = (
    "key {key} of Secret {ref}, named by {field}, makes the user {user}, which Kopia refuses; "
    "user and host may hold lower-case letters, digits, `-`, `_` and `.` only"
)
BAD_USERNAME = (
    "spec.server.userAccess.username {username!r} is refused by Kopia; "
    "use lower-case letters, digits, `-`, `_` and `.` only"
)
NOT_A_USER = (
    "key {key} of Secret {ref}, named by {field}, does not name a user; write user and host as "
    "user_at_host, or name the user in spec.server.userAccess and let the keys be host names"
)
AMBIGUOUS = (
    "key {key} of Secret {ref}, named by {field}, holds `_at_` more than once, so that user and "
    "host cannot be told apart; use spec.server.userAccess for this user"
)


class UserListError(Exception):
    """What Kopia printed is not a list of users."""


@frozen
class RegisteredUser:
    """A user as Kopia lists it."""

    name: str
    version: int
    hash_: str = field(repr=False)


@frozen
class Plan:
    """Commands that bring the registered users to the desired ones.

    Attributes:
        put: Names to add, with the hash each gets; one that is there after all gets it too.
        set_: Names whose hash is replaced.
        delete: Names to remove.
        left: How many more users are to be changed after these.
    """

    put: Mapping[str, str] = field(repr=False)
    set_: Mapping[str, str] = field(factory=dict, repr=False)
    delete: tuple[str, ...] = ()
    left: int = 0

    def __bool__(self) -> bool:
        """Return whether there is anything to do."""
        return bool(self.put or self.set_ or self.delete)

    def summary(self) -> str:
        """Return the names by what happens to them, for an event."""
        parts = (
            ("registered", tuple(self.put)),
            ("changed", tuple(self.set_)),
            ("removed", self.delete),
        )
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts if names)


def desired_users(access: UserAccess, secret: SecretData) -> dict[str, str]:
    """Return the password of each user that may connect, by `user@host`.

    Raises:
        InvalidInput: There is none, a key makes no user that Kopia takes, or a password is
            empty.
    """
    if not secret.values:
        message = secrets.NO_USERS.format(ref=secret.ref, field=secret.ref.field)
        raise InvalidInput(REASON_NO_USERS, message)
    if access.username and not USER_PATTERN.fullmatch(f"{access.username}@h"):
        raise InvalidInput(REASON_NAME, BAD_USERNAME.format(username=access.username))
    users: dict[str, str] = {}
    for key in sorted(secret.values):
        user = f"{access.username}@{key}" if access.username else _split(key, secret)
        if not USER_PATTERN.fullmatch(user):
            words = {"key": key, "ref": secret.ref, "field": secret.ref.field}
            raise InvalidInput(REASON_NAME, BAD_NAME.format(user=user, **words))
        # Kopia's client trims the password that it is given (cli/password.go), so a line end in the
        # Secret would lock the user out.
        users[user] = secret.text(key).strip()
    return users


def _split(key: str, secret: SecretData) -> str:
    words = {"key": key, "ref": secret.ref, "field": secret.ref.field}
    parts = key.split(AT)
    if len(parts) == 1:
        raise InvalidInput(REASON_NAME, NOT_A_USER.format(**words))
    if len(parts) > 2:  # noqa: PLR2004 - a user and a host
        raise InvalidInput(REASON_NAME, AMBIGUOUS.format(**words))
    return "@".join(parts)


def parse_users(text: bytes) -> list[RegisteredUser]:
    """Read the output of `kopia server user list --json`.

    Raises:
        UserListError: It is something else.
    """
    try:
        return [
            RegisteredUser(
                item["username"],
                # Kopia leaves the version out of entries older than the field; they are scrypt.
                item.get("passwordHashVersion") or HASH_SCRYPT,
                item.get("passwordHash") or "",
            )
            for item in json.loads(text)
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserListError(f"unreadable user list: {type(error).__name__}") from None


def plan(
    desired: Mapping[str, str],
    registered: Collection[RegisteredUser],
    owned: Collection[str],
    hasher: PasswordHasher,
    *,
    limit: int,
) -> Plan:
    """Decide what is to be done to the registered users.

    Args:
        desired: Passwords by user, from the access Secret.
        registered: What Kopia lists.
        owned: Users that this controller registered; nobody else is ever removed.
        hasher: Makes and verifies hashes.
        limit: How many users one plan changes. Who must not connect any more comes first, then
            who can no longer.

    Returns:
        The plan; false if everything is as it should be.
    """
    present = {user.name: user for user in registered}
    gone = sorted(set(owned) & set(present) - set(desired))
    changed = [
        name
        for name, password in desired.items()
        if name in present and not hasher.verify(password, present[name])
    ]
    new = [name for name in desired if name not in present]
    chosen = set([*gone, *changed, *new][:limit])
    return Plan(
        put={name: hasher.encode(desired[name]) for name in new if name in chosen},
        set_={name: hasher.encode(desired[name]) for name in changed if name in chosen},
        delete=tuple(name for name in gone if name in chosen),
        left=len(gone) + len(changed) + len(new) - len(chosen),
    )


def first_plan(desired: Mapping[str, str], hasher: PasswordHasher) -> Plan:
    """Return the plan that needs no list of what is registered."""
    return Plan(put={name: hasher.encode(password) for name, password in desired.items()})


class PasswordHasher(Protocol):
    """Kopia's password hashes."""

    def encode(self, password: str) -> str:
        """Return what `kopia server user add --user-password-hash` takes for the password."""
        ...

    def verify(self, password: str, user: RegisteredUser) -> bool:
        """Return whether the password is the user's."""
        ...


class KopiaHasher:
    """Hashes as Kopia does, and remembers what it has verified.

    A scrypt verification takes about 0.2 s and 64 MB. What is remembered is a keyed digest under a
    key that lives as long as the process, so memory holds neither passwords nor anything to try
    passwords on.
    """

    def __init__(self, *, remembered: int = 100_000) -> None:
        """Start with an empty memory.

        Args:
            remembered: How many verified passwords are kept; the longest unused go first.
        """
        self._key = os.urandom(32)
        # Many workers at once must not take 64 MB each.
        self._turn = threading.BoundedSemaphore(_VERIFICATIONS_AT_ONCE)
        # Guards the field below: to look something up moves it, too.
        self._lock = threading.Lock()
        self._verified: LRUCache[bytes, bool] = LRUCache(remembered)

    def encode(self, password: str) -> str:
        """Return what `kopia server user add --user-password-hash` takes for the password.

        Version 2: a login then costs the server a third of the time and none of the 64 MB that
        version 1 does (docs/decisions/password-hashes.md).
        """
        salt = os.urandom(SALT_BYTES)
        key = _pbkdf2(salt).derive(password.encode())
        hash_ = base64.b64encode(salt + key).decode()
        self._remember(password, hash_)
        document = {"passwordHashVersion": HASH_PBKDF2, "passwordHash": hash_}
        return base64.b64encode(json.dumps(document).encode()).decode()

    def verify(self, password: str, user: RegisteredUser) -> bool:
        """Return whether the password is the user's; False as well for a hash nobody can read."""
        with self._lock:
            if self._digest(password, user.hash_) in self._verified:
                return True
        try:
            raw = base64.b64decode(user.hash_, validate=True)
        except ValueError:
            return False
        if len(raw) != SALT_BYTES + KEY_BYTES or user.version not in _KDF:
            return False
        try:
            with self._turn:
                _KDF[user.version](raw[:SALT_BYTES]).verify(password.encode(), raw[SALT_BYTES:])
        except InvalidKey:
            return False
        self._remember(password, user.hash_)
        return True

    def _remember(self, password: str, hash_: str) -> None:
        with self._lock:
            self._verified[self._digest(password, hash_)] = True

    def _digest(self, password: str, hash_: str) -> bytes:
        return hmac.digest(self._key, f"{hash_}\0{password}".encode(), "sha256")


def _scrypt(salt: bytes) -> Scrypt:
    return Scrypt(salt=salt, length=KEY_BYTES, n=65536, r=8, p=1)


def _pbkdf2(salt: bytes) -> PBKDF2HMAC:
    return PBKDF2HMAC(hashes.SHA256(), length=KEY_BYTES, salt=salt, iterations=600_000)


_KDF: dict[int, Callable[[bytes], Scrypt | PBKDF2HMAC]] = {
    HASH_SCRYPT: _scrypt,
    HASH_PBKDF2: _pbkdf2,
}
