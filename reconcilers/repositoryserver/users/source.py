"""Reading: the users of the access Secrets, and those that were written for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.users.access import Access
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from reconcilers.repositoryserver import api
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.secrets.reader import SecretReader, Versions

REASON_OWN: Final = "AccessSecretInvalid"
OWN: Final = (
    "Secret {ref}, named by {field}, is written by the controller; name one of yours, with a "
    "password for each user"
)


@frozen
class StoredUsers:
    """The Secret with the users, as the server has them.

    Args:
        obj: The Secret.
        users: The users, as Kopia reads them.
        version: Their version.
    """

    obj: dict[str, Any] = field(repr=False)
    users: str = field(repr=False)
    version: str

    @property
    def changed(self) -> str:
        """When they last changed, as `children.secrets.users_secret` takes it."""
        annotations = self.obj["metadata"].get("annotations") or {}
        changed: str = annotations.get(names.ANNOTATION_CHANGED, "")
        return changed


class UserSource:
    """Reads who may connect to a server, and the users that were written for it last.

    Args:
        secret_reader: Reads Secrets.
    """

    def __init__(self, secret_reader: SecretReader) -> None:
        self._secrets = secret_reader

    def user_sources(self, server: api.RepositoryServer) -> Versions:
        """Return the state of all that the users depend on."""
        accesses = server.accesses
        wrong = ("" if one.wrong is None else one.wrong.message for one in accesses)
        return self._secrets.versions(
            (one.secret for one in accesses), *(one.username for one in accesses), *wrong
        )

    def accesses(self, current: ReconcileContext) -> list[Access]:
        """Return the accesses of a resource, each with its Secret or why it cannot be used.

        Raises:
            ClientError: A Secret could not be read.
        """
        return [Access(one, self._read(current, one)) for one in current.server.accesses]

    def _read(
        self, current: ReconcileContext, one: api.UserAccess
    ) -> secrets.SecretData | InvalidInput:
        if one.wrong is not None:
            return one.wrong
        obj = self._secrets.get(current.reads, one.secret.namespace, one.secret.name)
        if obj is not None and names.is_ours(obj):
            message = OWN.format(ref=one.secret, field=one.secret.field)
            return InvalidInput(REASON_OWN, message)
        try:
            return secrets.read(one.secret, obj, (secrets.TYPE_USERS,))
        except InvalidInput as error:
            # It is kept, and its traceback would keep the Secret.
            return error.with_traceback(None)

    def stored_users(self, current: ReconcileContext) -> StoredUsers | None:
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
