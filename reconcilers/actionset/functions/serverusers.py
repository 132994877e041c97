"""As which of a server's users a phase connects. Pure.

Kopia shows a user the snapshots of that user only. So nothing is left to chance: what restores must
connect as the one who has backed up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconcilers.repositoryserver.connection import User

REASON: Final = "RepositoryServerUserUnknown"
NONE: Final = "RepositoryServer {server} has no users; add a key for one to its access Secret"
NO_SUCH: Final = (
    "RepositoryServer {server} has no user of the host that repositoryServerUserHostname asks for; "
    "it has: {known}"
)
SEVERAL: Final = (
    "RepositoryServer {server} has several users: {known}. Say which by the argument or option "
    "repositoryServerUserHostname, or name one in spec.publish.kanisterProfile.user of it"
)
#: How many users a message names.
_NAMED: Final = 10


def choose(users: Sequence[User], *, server: str, hostname: str = "", preferred: str = "") -> User:
    """Return the user that is meant.

    Args:
        users: Those of the server, of the main access Secret first.
        server: Namespace and name of the server, for messages.
        hostname: The host that is asked for; empty if none is. Of several users of one host it is
            the preferred one, or else the first.
        preferred: Who is taken unless a host is asked for, as `user@host`, if the server has that
            user; empty for nobody.

    Raises:
        InvalidInput: There is no such user, or several and nothing says which.
    """
    words = {"server": server}
    if not users:
        raise InvalidInput(REASON, NONE.format(**words))
    names = [f"{user.username}@{user.hostname}" for user in users]
    more = ", ..." if len(names) > _NAMED else ""
    known = ", ".join(names[:_NAMED]) + more
    fitting = [user for user in users if hostname in ("", user.hostname)]
    if not fitting:
        raise InvalidInput(REASON, NO_SUCH.format(known=known, **words))
    for user in fitting:
        if f"{user.username}@{user.hostname}" == preferred:
            return user
    if len(fitting) > 1 and not hostname:
        raise InvalidInput(REASON, SEVERAL.format(known=known, **words))
    return fitting[0]
