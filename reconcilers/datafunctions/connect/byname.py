"""A RepositoryServer by its name: address and certificate from its status.

The user is that of the environment or of a mounted Secret. Then the right to get this one resource
is all that it needs, as in manifests/samples/functions. Otherwise it reads the Secrets with the
resource's users, and needs the right to get those.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry

from controller import log
from controller.clock import Deadline, SystemClock
from controller.errors import ClientError, ConfigError, Forbidden, NotFound, Stopped
from controller.metrics import Metrics
from controller.rest.client import Client
from controller.rest.kubeconfig import current_namespace, load_api_client
from controller.rest.transport import Transport
from reconcilers import resources
from reconcilers.datafunctions.connect import folders, users
from reconcilers.datafunctions.connect.wanted import PASSWORD_VARIABLE
from reconcilers.datafunctions.errors import Refused
from reconcilers.errors import InvalidInput
from reconcilers.kopia.client.errors import ClientFailed, Kind
from reconcilers.kopia.client.model import ServerConnection
from reconcilers.repositoryserver import connection
from reconcilers.secrets import data

if TYPE_CHECKING:
    from controller.resource import Object, Resource
    from controller.stop import Stop
    from reconcilers.datafunctions.connect.wanted import Wanted

MISSING: Final = "--repository-server: there is no {kind} {namespace}/{name}"
FORBIDDEN: Final = (
    "--repository-server: this service account may not get {kind} {namespace}/{name}; apply "
    "a Role as in manifests/samples/functions"
)
NOT_ANSWERED: Final = "--repository-server: the API server has not answered: {reason}"
CANCELLED: Final = "stopped before the API server has answered"
NO_API_SERVER: Final = "--repository-server: {reason}"
NO_ADDRESS: Final = "RepositoryServer {namespace}/{name} has no server yet: {message}"
INVALID: Final = "--repository-server: {reason}"


class Api(Protocol):
    """Reads objects of the API server."""

    def get(self, resource: Resource, namespace: str, name: str, *, deadline: Deadline) -> Object:
        """Return one object."""


def connection_of(wanted: Wanted, *, stop: Stop | None = None) -> ServerConnection:
    """Return the connection to a RepositoryServer.

    Args:
        wanted: The options.
        stop: Cuts a request that hangs. Default: None, nothing does.

    Raises:
        Refused: There is no API server, resource or Secret, it may not be read, or it has no user
            that fits.
        ClientFailed: It has no server yet, the API server has not answered, or the stop was set.
        InvalidRequest: A value cannot work.
    """
    # Of the client of the API server; by itself structlog prints to standard output.
    log.configure("warning", log.FORMAT_CONSOLE)
    clock = SystemClock()
    try:
        client = Client(
            Transport(
                load_api_client(wanted.kubeconfig),
                clock=clock,
                metrics=Metrics(CollectorRegistry()),
            ),
            field_manager="repository-server-functions",
        )
        # No end of its own, which is the transport's to set.
        deadline = Deadline(clock, math.inf, stop)
        return read(client, wanted, current_namespace(wanted.kubeconfig), deadline)
    except (ConfigError, OSError) as error:
        raise Refused(NO_API_SERVER.format(reason=error)) from None


def read(client: Api, wanted: Wanted, own_namespace: str, deadline: Deadline) -> ServerConnection:
    """Return the connection to a RepositoryServer.

    Args:
        client: Of the API server.
        wanted: The options.
        own_namespace: The namespace where `wanted` names none.
        deadline: For each request.

    Raises:
        Refused: As of `connection_of`.
        ClientFailed: As of `connection_of`.
        InvalidRequest: As of `connection_of`.
    """
    namespace, _, name = wanted.repository_server.rpartition("/")
    namespace = namespace or own_namespace
    server = _get(client, connection.RESOURCE, namespace, name, deadline)
    found = connection.of(server)
    if not found.url or not found.fingerprint:
        message = NO_ADDRESS.format(namespace=namespace, name=name, message=found.message)
        raise ClientFailed(Kind.CANNOT_CONNECT, message)
    user = folders.user_of(wanted, variable=PASSWORD_VARIABLE) or users.choose(
        _passwords(client, server, deadline),
        where=f"RepositoryServer {namespace}/{name}",
        username=wanted.username,
        hostname=wanted.hostname,
    )
    return ServerConnection(
        url=wanted.url or found.url,
        username=user.username,
        hostname=user.hostname,
        password=user.password,
        fingerprint=wanted.fingerprint or found.fingerprint,
    )


def _passwords(client: Api, server: Object, deadline: Deadline) -> dict[str, str]:
    """Return the password of each user of a server, by `USER_at_HOST`."""
    found: dict[str, str] = {}
    try:
        for access in connection.accesses(server):
            ref = access.secret
            obj = _get(client, resources.SECRETS, ref.namespace, ref.name, deadline)
            secret = data.read(ref, obj, (connection.USERS_TYPE,))
            for user in connection.users(access, secret):
                found[f"{user.username}{users.AT}{user.hostname}"] = user.password
    except InvalidInput as error:
        raise Refused(INVALID.format(reason=error.message)) from None
    return found


def _get(client: Api, resource: Resource, namespace: str, name: str, deadline: Deadline) -> Object:
    words = {"kind": resource.kind, "namespace": namespace, "name": name}
    try:
        return client.get(resource, namespace, name, deadline=deadline)
    except NotFound:
        raise Refused(MISSING.format(**words)) from None
    except Forbidden:
        raise Refused(FORBIDDEN.format(**words)) from None
    except Stopped:
        raise ClientFailed(Kind.CANCELLED, CANCELLED) from None
    except ClientError as error:
        raise ClientFailed(Kind.CANNOT_CONNECT, NOT_ANSWERED.format(reason=error)) from None
