"""Gathering: the users of the access Secrets, and those that were written for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.users.access import all_users
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.secrets.reader import SecretReader, Versions


@frozen
class StoredUsers:
    """The Secret with the users, as the server has them.

    Attributes:
        obj: The Secret.
        users: The users, as Kopia reads them.
        version: Their version.
    """

    obj: dict[str, Any] = field(repr=False)
    users: str = field(repr=False)
    version: str


class UserSource:
    """Reads who may connect to a server, and who its server was told of last."""

    def __init__(self, secret_reader: SecretReader) -> None:
        """Take what reads Secrets."""
        self._secrets = secret_reader

    def user_sources(self, server: api.RepositoryServer) -> Versions:
        """Return what the users depend on: another value means other users, perhaps."""
        accesses = server.accesses
        return self._secrets.versions(
            (access.secret for access in accesses), *(access.username for access in accesses)
        )

    def passwords(self, current: Pass) -> Mapping[str, str]:
        """Return the password of each user that may connect.

        Raises:
            InvalidInput: A Secret is missing, or Kopia would refuse one of its users.
            ClientError: One could not be read.
        """

        def read(access: api.UserAccess) -> secrets.SecretData:
            obj = self._secrets.get(current.reads, access.secret.namespace, access.secret.name)
            return secrets.read(access.secret, obj, (secrets.TYPE_USERS,))

        return all_users((access, read(access)) for access in current.server.accesses)

    def stored_users(self, current: Pass) -> StoredUsers | None:
        """Return the users as they were written for the server last; None if they never were.

        Raises:
            ClientError: They could not be read.
        """
        server = current.server
        # Unlike a Secret of the user's it is nobody's but ours to write, and own writes are in the
        # cache at once: a new server needs not ask.
        if not self.users_version(server):
            return None
        obj = self._secrets.get(current.reads, server.namespace, names.users_name(server))
        if obj is None:
            return None
        data = obj.get("data") or {}
        return StoredUsers(
            obj,
            secrets.decoded(data.get(servercommands.USERS_FILE)),
            secrets.decoded(data.get(servercommands.USERS_VERSION_FILE)),
        )

    def written_users(self, server: api.RepositoryServer, version: str) -> WrittenUsers:
        """Return the users as they were written for the server.

        Args:
            server: The resource.
            version: Their version.
        """
        name = names.users_name(server)
        return WrittenUsers.of(version, self._secrets.cached(server.namespace, name))

    def users_version(self, server: api.RepositoryServer) -> str:
        """Return what tells one state of the Secret with the users from another."""
        return self._secrets.version(server.namespace, names.users_name(server))
