"""Who may connect, with which password, by the access Secrets of a resource. Pure functions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from reconcilers.errors import InvalidInput
from reconcilers.kopia import htpasswd
from reconcilers.repositoryserver.users import userfile
from reconcilers.repositoryserver.users.userfile import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from reconcilers.repositoryserver.api import UserAccess
    from reconcilers.repositoryserver.users.userfile import UserFile
    from reconcilers.secrets.data import SecretData

#: As kopia internal/user/user_manager.go.
USER_PATTERN: Final = re.compile(r"[a-z0-9\-_.]+@[a-z0-9\-_.]+")
AT: Final = "_at_"

#: The values of a Secret may have 1 MiB (kubernetes pkg/apis/core, MaxSecretSize). The rest is for
#: the version of the users, which stands beside them.
MAX_FILE_BYTES: Final = 1024 * 1024 - 1024

#: A password of fewer characters is worth a warning.
LONG_ENOUGH: Final = 16
# How many users with shorter ones are named.
_NAMED: Final = 3

REASON_NAME: Final = "UserNameInvalid"
REASON_TWICE: Final = "UserNamedTwice"
REASON_TOO_MANY: Final = "TooManyUsers"

BAD_NAME: Final = (
    "key {key} of Secret {ref}, named by {field}, makes the user {user}, which Kopia refuses; "
    "rename the key: user and host may hold lower-case letters, digits, `-`, `_` and `.` only"
)
BAD_USERNAME: Final = (
    "{field} {username!r} is refused by Kopia; "
    "use lower-case letters, digits, `-`, `_` and `.` only"
)
NOT_A_USER: Final = (
    "key {key} of Secret {ref}, named by {field}, does not name a user; write user and host as "
    "user_at_host, or name the user in spec.server.userAccess and let the keys be host names"
)
AMBIGUOUS: Final = (
    "key {key} of Secret {ref}, named by {field}, holds `_at_` more than once, so that user and "
    "host cannot be told apart; use spec.server.userAccess for this user"
)
NAMED_TWICE: Final = (
    "the user {user} is named by Secret {first} and by Secret {second}, named by {field}; remove "
    "it from one of them. Until then the password in Secret {first} counts"
)
TOO_MANY: Final = (
    "{number} users are too many: the server reads them from one Secret, which holds about {fit} "
    "with names as long as these; remove users from Secret {ref}, named by {field}, which names "
    "{names} of them, or move some to another RepositoryServer. Until then no user is added who is "
    "new in that Secret"
)
NO_USERS: Final = (
    "Secret {ref}, named by {field}, has no keys, so that only users in the repository can "
    "connect; add a key for each user that may connect"
)
NO_USERS_OF_ONE: Final = (
    "Secret {ref}, named by {field}, has no keys, so that it lets nobody in; add a key for each "
    "user that may connect"
)
SHORT_PASSWORDS: Final = (
    "a password with fewer than 16 characters can be guessed by whoever gets hold of its hash, a "
    "salted SHA-1: that of {users}; choose longer ones at random, as `openssl rand -base64 24` "
    "prints them"
)
USER_AND_KEY: Final = "user {user} (key {key} of Secret {ref})"
USERS_STAY: Final = (
    "{message}; until this is fixed, that Secret adds nobody, and the users that it has given so "
    "far stay, each with the same password, unless another access Secret names the user: then the "
    "password there counts"
)


class UserListError(Exception):
    """What Kopia printed is not a list of users."""


@frozen
class Change:
    """How the users of a server differ from those before, by name only.

    Args:
        added: Who may connect now.
        changed: Who has another password.
        removed: Who may not connect any more.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    @classmethod
    def between(cls, before: Mapping[str, str], after: Mapping[str, str]) -> Change:
        """Return how the hashes of users differ from those before.

        Args:
            before: The hashes of before, by `user@host`.
            after: The hashes as they are now.
        """
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


@frozen
class Access:
    """One access of a resource, with what was found in its Secret.

    Args:
        access: What the resource says.
        secret: The Secret, or why it cannot be used.
    """

    access: UserAccess
    secret: SecretData | InvalidInput


@frozen
class Resolved:
    """Who may connect, and what is wrong with the access Secrets.

    Args:
        sections: By `origin_of` each access the hashes of its users.
        problems: What is wrong, in the order of the accesses.
        warning: What to say of access Secrets that name nobody; empty if each names somebody.
        short: What to say of users with short passwords; empty if there are none.
    """

    sections: Mapping[str, Mapping[str, str]] = field(repr=False)
    problems: tuple[InvalidInput, ...]
    warning: str
    short: str = ""


def resolve(accesses: Sequence[Access], present: UserFile) -> Resolved:
    """Return who may connect: each access is judged by itself.

    The users of an access whose Secret is wrong stay as they were, and those of the others change:
    who writes one Secret cannot keep in a user whom somebody removes from another. A user whom two
    of them name has the password of the first right one. Users who are too many for the server are
    left out of the access that names the most, but only those who are new.

    Args:
        accesses: Those of the resource, the main one first.
        present: The users as they are.
    """
    origins = [origin_of(one.access) for one in accesses]
    problems: dict[int, InvalidInput] = {}
    passwords: dict[int, dict[str, str]] = {}
    named_by: dict[str, SecretData] = {}
    empty: list[SecretData] = []
    for number, one in enumerate(accesses):
        try:
            secret, users = _read(one)
        except InvalidInput as error:
            # Its traceback would keep all passwords.
            problems[number] = error.with_traceback(None)
            continue
        if not users:
            empty.append(secret)
        twice = sorted(users.keys() & named_by.keys())
        if twice:
            problems[number] = _named_twice(twice[0], named_by[twice[0]], secret)
        passwords[number] = {user: users[user] for user in users if user not in named_by}
        named_by |= dict.fromkeys(passwords[number], secret)
    stay: dict[int, dict[str, str]] = {}
    for number in problems.keys() - passwords.keys():
        users = dict(present.sections.get(origins[number], {}))
        stay[number] = {user: users[user] for user in users if user not in named_by}
        if stay[number]:
            problems[number] = _with(problems[number], USERS_STAY)
    problems |= _leave_out(origins, passwords, stay, present, named_by)
    hashes = {
        number: htpasswd.hashes(users, present.entries()) for number, users in passwords.items()
    }
    sections: dict[str, dict[str, str]] = {}
    for number, users in sorted({**hashes, **stay}.items()):
        sections.setdefault(origins[number], {}).update(users)
    return Resolved(
        sections=sections,
        problems=tuple(problems[number] for number in sorted(problems)),
        warning=_names_nobody(empty, nobody=not any(sections.values())),
        short=_short(
            (accesses[number].access, named_by[user], user)
            for number, users in sorted(passwords.items())
            for user, password in users.items()
            if len(password) < LONG_ENOUGH
        ),
    )


def _read(one: Access) -> tuple[SecretData, dict[str, str]]:
    if isinstance(one.secret, InvalidInput):
        raise one.secret
    return one.secret, users_of(one.access, one.secret)


def _named_twice(user: str, first: SecretData, second: SecretData) -> InvalidInput:
    message = NAMED_TWICE.format(
        user=user, first=first.ref, second=second.ref, field=second.ref.field
    )
    return InvalidInput(REASON_TWICE, message)


def _leave_out(
    origins: Sequence[str],
    passwords: dict[int, dict[str, str]],
    stay: Mapping[int, Mapping[str, str]],
    present: UserFile,
    named_by: Mapping[str, SecretData],
) -> dict[int, InvalidInput]:
    """Leave out new users until the others fit into one Secret, and return what is wrong."""
    problems: dict[int, InvalidInput] = {}
    known = present.entries().keys()

    def needed() -> int:
        users = {**passwords, **stay}.items()
        return userfile.size((origins[number], names) for number, names in users)

    while (size := needed()) > MAX_FILE_BYTES:
        growing = [number for number, users in passwords.items() if users.keys() - known]
        if not growing:
            break
        most = max(growing, key=lambda number: len(passwords[number]))
        users, total = passwords[most], sum(map(len, (*stay.values(), *passwords.values())))
        ref = named_by[next(iter(users))].ref
        message = TOO_MANY.format(
            number=total,
            fit=total * MAX_FILE_BYTES // size,
            ref=ref,
            field=ref.field,
            names=len(users),
        )
        problems[most] = InvalidInput(REASON_TOO_MANY, message)
        passwords[most] = {user: users[user] for user in users if user in known}
    return problems


def _with(problem: InvalidInput, template: str) -> InvalidInput:
    return InvalidInput(problem.reason, template.format(message=problem.message))


def _names_nobody(empty: Sequence[SecretData], *, nobody: bool) -> str:
    template = NO_USERS if nobody else NO_USERS_OF_ONE
    return "; ".join(template.format(ref=one.ref, field=one.ref.field) for one in empty)


def _short(found: Iterable[tuple[UserAccess, SecretData, str]]) -> str:
    """Return what to say of users with short passwords, each with its access and its Secret."""
    named = [
        USER_AND_KEY.format(user=user, key=key_of(access, user), ref=secret.ref)
        for access, secret, user in found
    ]
    if not named:
        return ""
    more = [f"{len(named) - _NAMED} more"] if len(named) > _NAMED else []
    return SHORT_PASSWORDS.format(users=", ".join([*named[:_NAMED], *more]))


def key_of(access: UserAccess, user: str) -> str:
    """Return the key of the access Secret that makes a user, see `users_of`.

    Args:
        access: What the resource says.
        user: As `user@host`; `users_of` has it, or would.
    """
    return user.partition("@")[2] if access.username else user.replace("@", AT)


def users_of(access: UserAccess, secret: SecretData) -> dict[str, str]:
    """Return the password of each user of one access Secret, by `user@host`; it may name nobody.

    Raises:
        InvalidInput: A key makes no user that Kopia takes, or a password is empty.
    """
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
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UserListError(f"unreadable user list: {type(error).__name__}") from None
