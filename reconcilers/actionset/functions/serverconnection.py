"""Which server a data function's pod connects to, and as whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from reconcilers import resources
from reconcilers.actionset.functions import serverusers
from reconcilers.actionset.parameters import lookup, profile, targets
from reconcilers.actionset.parameters.lookup import Lookup, Reference
from reconcilers.actionset.parameters.reader import ParameterReader
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import connection
from reconcilers.secrets import data

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.clock import Clock
    from controller.resource import Object
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.parameters.lookup import Api

#: Names a user where a function has no such argument.
OPTION_HOSTNAME: Final = "repositoryServerUserHostname"

REASON_NO_SERVER: Final = "RepositoryServerMissing"
NO_SERVER: Final = (
    "nothing says which repository server is used: set spec.actions[{index}].repositoryServer, the "
    "option repositoryServer to namespace/name, or a Profile of type kopia whose endpoint is one"
)
NOT_AVAILABLE: Final = "RepositoryServer {namespace}/{name} is not available: {message}"
NOT_ADMITTED: Final = (
    "RepositoryServer {server} admits pods of its own namespace only, and this phase's pod is in "
    "{namespace}: where network policies are enforced it cannot connect. Name the peer in "
    "spec.server.networkPolicy.from of the RepositoryServer: a namespaceSelector for {namespace}, "
    "and a podSelector with the label createdBy: kanister"
)


@frozen
class ServerAccess:
    """What a pod needs to connect.

    Args:
        url: Of the server.
        fingerprint: Of its certificate.
        username: The user.
        hostname: The user's host.
        password: The user's password.
        warning: What the user should know; empty if there is nothing.
    """

    url: str
    fingerprint: str
    username: str
    hostname: str
    password: str = field(repr=False)
    warning: str = ""

    def secret(self) -> dict[str, bytes]:
        """Return the data of the pod's Secret, as the program finds it in its folders."""
        return {
            "url": self.url.encode(),
            "fingerprint": self.fingerprint.encode(),
            "username": self.username.encode(),
            "hostname": self.hostname.encode(),
            "password": self.password.encode(),
        }


@frozen
class NotAvailable:
    """The server cannot be used yet.

    Args:
        message: Why.
    """

    message: str


@frozen
class ServerFinder:
    """Finds the server of a phase. Keeps nothing.

    Args:
        api: Reads objects.
        clock: The time.
    """

    api: Api
    clock: Clock

    def find(self, run: PhaseRun, *, hostname: str, namespace: str) -> ServerAccess | NotAvailable:
        """Return how a phase's pod connects.

        Args:
            run: The phase.
            hostname: The argument `repositoryServerUserHostname`; empty without one.
            namespace: Of the pod.

        Raises:
            InvalidInput: Nothing names a server or a user, what is named is not there or in another
                namespace than the ActionSet's and its object's, or it may not be read.
            ClientError: The API server does not answer.
        """
        own = run.request.namespace
        reader = ParameterReader(self.api, self.clock)
        server = reader.server(run.action, own, run.deadline)
        if server is None:
            raise InvalidInput(REASON_NO_SERVER, NO_SERVER.format(index=run.action.index))
        found = connection.of(server)
        if not found.available or not found.url or not found.fingerprint:
            words = {key: server["metadata"][key] for key in ("namespace", "name")}
            return NotAvailable(NOT_AVAILABLE.format(message=found.message, **words))
        look = look_of(run, self.api)
        user = serverusers.choose(
            list(_users(look, server)),
            server=_title(server),
            hostname=hostname or run.action.options.get(OPTION_HOSTNAME, ""),
            preferred=_profile_user(look, run) or connection.profile_user(server),
        )
        closed = not connection.admits(server, namespace)
        return ServerAccess(
            url=found.url,
            fingerprint=found.fingerprint,
            username=user.username,
            hostname=user.hostname,
            password=user.password,
            warning=NOT_ADMITTED.format(server=_title(server), namespace=namespace)
            if closed
            else "",
        )


def look_of(run: PhaseRun, api: Api) -> Lookup:
    """Return what reads objects for a phase: of its own namespace, and its object's.

    Args:
        run: The phase.
        api: Reads objects.

    Raises:
        InvalidInput: The action's object is not known.
    """
    own = run.request.namespace
    return Lookup(api, (own, targets.target_of(run.action, own).namespace), run.deadline)


def _users(look: Lookup, server: Object) -> Iterator[connection.User]:
    """Return the users of a server, those of the main access Secret first."""
    for access in connection.details(server).accesses:
        obj = look.get(lookup.secret(access.secret))
        yield from connection.users(access, data.read(access.secret, obj, (connection.USERS_TYPE,)))


def _profile_user(look: Lookup, run: PhaseRun) -> str:
    """Return the user, as `user@host`, of the action's Profile of type kopia; empty without one."""
    reference = run.action.profile
    if reference is None:
        return ""
    path = f"spec.actions[{run.action.index}].profile"
    namespace = reference.namespace or run.request.namespace
    found = look.get(Reference(resources.PROFILES, namespace, reference.name, path))
    if not profile.endpoint(found):
        return ""
    user = (found.get("credential") or {}).get("kopiaServerSecret") or {}
    return f"{user.get('username', '')}@{user.get('hostname', '')}"


def _title(server: Object) -> str:
    return f"{server['metadata']['namespace']}/{server['metadata']['name']}"
