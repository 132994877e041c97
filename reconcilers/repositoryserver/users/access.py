"""Access users: who may connect, with which password, and who may through an entry of before."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from attrs import frozen

from reconcilers.errors import InvalidInput
from reconcilers.kopia import htpasswd
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconcilers.repositoryserver.api import UserAccess
    from reconcilers.secrets.data import SecretData

# kopia internal/user/user_manager.go
USER_PATTERN = re.compile(r"[a-z0-9\-_.]+@[a-z0-9\-_.]+")
AT = "_at_"

# The values of a Secret may have 1 MiB (kubernetes pkg/apis/core, MaxSecretSize). The rest is for
# the version of the users, which stands beside them.
MAX_FILE_BYTES = 1024 * 1024 - 1024

REASON_NAME = "UserNameInvalid"
REASON_NO_USERS = "NoUsers"
REASON_TWICE = "UserNamedTwice"
REASON_TOO_MANY = "TooManyUsers"

BAD_NAME = (
    "key {key} of Secret {ref}, named by {field}, makes the user {user}, which Kopia refuses; "
    "user and host may hold lower-case letters, digits, `-`, `_` and `.` only"
)
BAD_USERNAME = (
    "{field} {username!r} is refused by Kopia; "
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
NAMED_TWICE = (
    "the user {user} is named by Secret {first} and by Secret {second}, named by {field}; remove "
    "it from one of them"
)
TOO_MANY = (
    "{number} users are too many: the server reads them from one Secret, which holds about {fit} "
    "with names as long as these; remove users from Secret {ref}, named by {field}, which names "
    "{names} of them, or move some to another RepositoryServer"
)


class UserListError(Exception):
    """What Kopia printed is not a list of users."""


@frozen
class Change:
    """How the users of a server differ from those before, by name only.

    Attributes:
        added: Who may connect now.
        changed: Who has another password.
        removed: Who may not connect any more.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Change:
        """Compare the hashes of users, by name, with those before."""
        return cls(
            added=tuple(sorted(after.keys() - before.keys())),
            changed=tuple(
                sorted(user for user in after.keys() & before.keys() if after[user] != before[user])
            ),
            removed=tuple(sorted(before.keys() - after.keys())),
        )

    def summary(self) -> str:
        """Return the names by what happens to them, for an event; empty if nothing does."""
        parts = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in parts if names)


def all_users(sources: Iterable[tuple[UserAccess, SecretData]]) -> dict[str, str]:
    """Return the password of each user that may connect, by `user@host`.

    Args:
        sources: Each access of the resource with its Secret.

    Raises:
        InvalidInput: As for `users_of`, two Secrets name the same user, or all users together are
            more than the server can read.
    """
    passwords: dict[str, str] = {}
    named_by: dict[str, SecretData] = {}
    for access, secret in sources:
        for user, password in users_of(access, secret).items():
            if user in passwords:
                message = NAMED_TWICE.format(
                    user=user, first=named_by[user].ref, second=secret.ref, field=secret.ref.field
                )
                raise InvalidInput(REASON_TWICE, message)
            passwords[user] = password
            named_by[user] = secret
    _refuse_too_many(named_by)
    return passwords


def _refuse_too_many(named_by: Mapping[str, SecretData]) -> None:
    size = htpasswd.size(named_by)
    if size <= MAX_FILE_BYTES:
        return
    ((ref, names),) = Counter(secret.ref for secret in named_by.values()).most_common(1)
    message = TOO_MANY.format(
        number=len(named_by),
        fit=len(named_by) * MAX_FILE_BYTES // size,
        ref=ref,
        field=ref.field,
        names=names,
    )
    raise InvalidInput(REASON_TOO_MANY, message)


def users_of(access: UserAccess, secret: SecretData) -> dict[str, str]:
    """Return the password of each user of one access Secret, by `user@host`.

    Raises:
        InvalidInput: There is none, a key makes no user that Kopia takes, or a password is
            empty.
    """
    if not secret.values:
        message = secrets.NO_USERS.format(ref=secret.ref, field=secret.ref.field)
        raise InvalidInput(REASON_NO_USERS, message)
    if access.username and not USER_PATTERN.fullmatch(f"{access.username}@h"):
        field = secret.ref.field.rpartition(".")[0] + ".username"
        raise InvalidInput(REASON_NAME, BAD_USERNAME.format(field=field, username=access.username))
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


def parse_names(text: bytes) -> frozenset[str]:
    """Return the names in the output of `kopia server user list --json`.

    Raises:
        UserListError: It is something else.
    """
    try:
        return frozenset(item["username"] for item in json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise UserListError(f"unreadable user list: {type(error).__name__}") from None
