"""As whom Kanister's Profile connects. A Profile has one user. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.users.access import AT
from reconcilers.repositoryserver.users.userfile import origin_of

if TYPE_CHECKING:
    from reconcilers.repositoryserver.api import RepositoryServer, UserAccess
    from reconcilers.repositoryserver.users.userfile import UserFile

FIELD: Final = "spec.publish.kanisterProfile.user"

REASON_USER: Final = "ProfileUserInvalid"
SEVERAL: Final = (
    "a Profile has one user, and the server has {number}: set {field} to one of {users}"
)
UNKNOWN: Final = (
    "{field} is {user}, who is no user of the server: set it to one of {users}, or add a key for "
    "{user} to an access Secret"
)
NONE: Final = (
    "a Profile has one user, and the server has none: add a key for one to Secret {secret}, named "
    "by {secret_field}"
)
NONE_SUCH: Final = (
    "{field} is {user}, and the server has no users: add a key for {user} to Secret {secret}, "
    "named by {secret_field}"
)
#: How many users a message names.
_NAMED: Final = 5


@frozen
class ProfileUser:
    """The user of a Profile, and where the password is.

    Args:
        username: Before the `@`.
        hostname: After it.
        secret: Name of the access Secret.
        key: The key of the password in it.
    """

    username: str
    hostname: str
    secret: str
    key: str


def choose(server: RepositoryServer, users: UserFile) -> ProfileUser:
    """Return as whom the Profile connects: the user that the resource names, or the only one.

    Args:
        server: The resource.
        users: The users that may connect.

    Raises:
        InvalidInput: The resource names none of them, or there are several and it names none.
    """
    found: dict[str, UserAccess] = {}
    for access in server.accesses:
        for user in users.sections.get(origin_of(access), ()):
            found.setdefault(user, access)
    wanted = server.publish.profile_user
    if not found:
        raise _refused(NONE_SUCH if wanted else NONE, server, wanted, found)
    if not wanted and len(found) > 1:
        raise _refused(SEVERAL, server, wanted, found)
    user = wanted or next(iter(found))
    if user not in found:
        raise _refused(UNKNOWN, server, wanted, found)
    access = found[user]
    username, _, hostname = user.partition("@")
    key = hostname if access.username else f"{username}{AT}{hostname}"
    return ProfileUser(username, hostname, access.secret.name, key)


def _refused(
    template: str, server: RepositoryServer, wanted: str, found: dict[str, UserAccess]
) -> InvalidInput:
    named = sorted(found)
    secret = server.access.secret
    message = template.format(
        field=FIELD,
        user=wanted,
        number=len(named),
        users=", ".join([*named[:_NAMED], *(["..."] if len(named) > _NAMED else [])]),
        secret=secret,
        secret_field=secret.field,
    )
    return InvalidInput(REASON_USER, message)
