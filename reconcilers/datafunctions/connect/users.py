"""As whom to connect, by what a Secret with users has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The key of a Secret for one client, which the samples have: the password alone.
KEY_PASSWORD: Final = "password"  # noqa: S105 - a key
KEY_USERNAME: Final = "username"
KEY_HOSTNAME: Final = "hostname"
#: In a key that is a whole user, see spec.server.userAccessSecretRef.
AT: Final = "_at_"

NO_USER: Final = "{where} has no user; it needs a key for each, with the password as its value"
NO_SUCH_USER: Final = "{where} has no user {wanted}; it has: {known}"
SEVERAL_USERS: Final = (
    "{where} has several users; say which with --username and --hostname: {known}"
)
NO_USERNAME: Final = (
    "{where} has the host {hostname} and no user name; give the value of "
    "spec.server.userAccess.username as --username"
)
NO_HOSTNAME: Final = "{where} has a password and no host name; give the user's as --hostname"


@frozen
class User:
    """As whom to connect.

    Args:
        username: The user.
        hostname: The user's host.
        password: The password.
    """

    username: str
    hostname: str
    password: str = field(repr=False)


def choose(
    values: Mapping[str, str], *, where: str, username: str = "", hostname: str = ""
) -> User:
    """Return the user that is wanted, or the only one.

    Args:
        values: Of the Secret: a key for each user, `HOST` or `USER_at_HOST`, with its password; or
            `password` with, perhaps, `username` and `hostname`.
        where: What has the values, for messages.
        username: The user name that is wanted or, where the keys are hosts, is meant.
        hostname: The host that is wanted; empty for the only one.

    Raises:
        Refused: There is none, or several and nothing says which; or a name is missing.
    """
    if hostname not in values and KEY_PASSWORD in values:
        return _single(values, where=where, username=username, hostname=hostname)
    users = [_user(key, password, username) for key, password in sorted(values.items())]
    if not users:
        raise Refused(NO_USER.format(where=where))
    known = ", ".join(f"{user.username or '?'}@{user.hostname}" for user in users)
    fitting = [
        user
        for user in users
        if hostname in ("", user.hostname) and username in ("", user.username)
    ]
    if not fitting:
        wanted = "@".join((username or "?", hostname or "?"))
        raise Refused(NO_SUCH_USER.format(where=where, wanted=wanted, known=known))
    if len(fitting) > 1:
        raise Refused(SEVERAL_USERS.format(where=where, known=known))
    (user,) = fitting
    if not user.username:
        raise Refused(NO_USERNAME.format(where=where, hostname=user.hostname))
    return user


def _single(values: Mapping[str, str], *, where: str, username: str, hostname: str) -> User:
    user = User(
        username or values.get(KEY_USERNAME, ""),
        hostname or values.get(KEY_HOSTNAME, ""),
        values[KEY_PASSWORD],
    )
    if not user.hostname:
        raise Refused(NO_HOSTNAME.format(where=where))
    if not user.username:
        raise Refused(NO_USERNAME.format(where=where, hostname=user.hostname))
    return user


def _user(key: str, password: str, username: str) -> User:
    named, at, host = key.partition(AT)
    return User(named, host, password) if at else User(username, key, password)
