"""What a client needs to know of a server: the one public door of this package. Pure functions.

Other reconcilers and programs import nothing else of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from attrs import field, frozen

from controller.conditions import conditions_of, get_condition, is_true
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import reasons
from reconcilers.repositoryserver.users import access
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.repositoryserver.api import RepositoryServer, UserAccess
    from reconcilers.secrets.data import SecretData, SecretRef

#: The kind of resource.
RESOURCE: Final = api.REPOSITORY_SERVERS
#: The type that an access Secret should have.
USERS_TYPE: Final = secrets.TYPE_USERS

#: The container of a server's pod in which Kopia runs.
CONTAINER: Final = names.CONTAINER
#: What kind of news the reason of the condition Ready is.
Kind: TypeAlias = reasons.Kind

NOT_SEEN: Final = "no controller has reported on it yet"


@frozen
class Connection:
    """How clients connect to a server, as its status says.

    Args:
        url: Of the Service, as every pod of the cluster reaches it; empty before there is one.
        fingerprint: SHA-256 of the server's certificate in hexadecimal, by which a client trusts
            it; empty before the server has served.
        available: Whether clients can connect now.
        message: Why they cannot; empty if they can.
    """

    url: str
    fingerprint: str
    available: bool
    message: str


@frozen
class User:
    """Somebody who may connect.

    Args:
        username: The part before the `@`.
        hostname: The part after it.
        password: The user's password.
    """

    username: str
    hostname: str
    password: str = field(repr=False)


@frozen
class Details:
    """What a server's resource says of it that clients may want to know.

    Args:
        certificate: The Secret with the certificate that it is to show, whoever has made it.
        accesses: Which Secrets have its users, the main one first.
        content_cache_mb: Limit of Kopia's content cache in MB.
        metadata_cache_mb: Limit of Kopia's metadata cache in MB.
    """

    certificate: SecretRef
    accesses: tuple[UserAccess, ...]
    content_cache_mb: int
    metadata_cache_mb: int


@frozen
class Finding:
    """What a condition of a server reports.

    Args:
        type_: Of the condition.
        reason: Why, in one word.
        message: Why, in words, and what to do about it.
        since: Since when, as Kubernetes writes times; empty if that is not known.
    """

    type_: str
    reason: str
    message: str
    since: str


@frozen
class Health:
    """What a server's status says of its state.

    Args:
        ready: What the condition Ready says, whatever its status.
        kind: What kind of news that is.
        available: Whether clients can connect.
        current: Whether the controller has looked at the resource as it is now.
        warnings: What there is to be warned of beside.
    """

    ready: Finding
    kind: Kind
    available: bool
    current: bool
    warnings: tuple[Finding, ...]


def of(obj: Mapping[str, Any]) -> Connection:
    """Return how clients connect to a server.

    Args:
        obj: The RepositoryServer.
    """
    info = (obj.get("status") or {}).get("serverInfo") or {}
    found = get_condition(conditions_of(obj), status.AVAILABLE)
    available = found is not None and found.get("status") == "True"
    reason = NOT_SEEN if found is None else found.get("message") or ""
    return Connection(
        url=url(obj["metadata"]["namespace"], info.get("serviceName", "")),
        fingerprint=info.get("tlsFingerprint", ""),
        available=available,
        message="" if available else reason,
    )


def health(obj: Mapping[str, Any]) -> Health:
    """Return what a server's status says of its state.

    Args:
        obj: The RepositoryServer.
    """
    conditions = conditions_of(obj)
    ready = get_condition(conditions, status.READY)
    found = Finding(status.READY, "", NOT_SEEN, "") if ready is None else _finding(ready)
    seen = (obj.get("status") or {}).get("observedGeneration")
    warnings = (get_condition(conditions, type_) for type_ in status.WARNINGS)
    return Health(
        ready=found,
        kind=Kind.WAIT if ready is None else reasons.REASONS.get(found.reason, Kind.LASTING),
        available=is_true(conditions, status.AVAILABLE),
        current=ready is not None and seen == obj["metadata"].get("generation"),
        warnings=tuple(
            _finding(one) for one in warnings if one is not None and one.get("status") == "True"
        ),
    )


def _finding(condition: Mapping[str, Any]) -> Finding:
    words = (condition.get(word) or "" for word in ("reason", "message", "lastTransitionTime"))
    return Finding(condition["type"], *words)


def pod_selector(name: str) -> str:
    """Return the label selector of the pods of a server.

    Args:
        name: Of the RepositoryServer.
    """
    return f"{names.LABEL_INSTANCE}={names.instance_label(name)}"


def url(namespace: str, service: str) -> str:
    """Return the URL of a server; empty without a Service.

    It names no cluster domain: every pod's resolver adds its own.

    Args:
        namespace: Of the Service.
        service: Its name.
    """
    return f"https://{service}.{namespace}.svc:{api.PORT}" if service else ""


def certificate(server: RepositoryServer) -> SecretRef:
    """Return the Secret with the certificate that the server is to show, whoever has made it."""
    if server.tls is not None:
        return server.tls
    # Not above: it makes certificates, and what that needs takes a third of the time in which the
    # plugin of kubectl has begun, which asks for none.
    from reconcilers.repositoryserver.inputs import selfsigned  # noqa: PLC0415

    return selfsigned.reference(server)


def accesses(obj: Mapping[str, Any]) -> tuple[UserAccess, ...]:
    """Return which Secrets have the users of a server.

    Args:
        obj: The RepositoryServer.

    Raises:
        InvalidInput: A field of the resource cannot work.
    """
    return api.parse(obj).accesses


def details(obj: Mapping[str, Any]) -> Details:
    """Return what the resource of a server says of it.

    Args:
        obj: The RepositoryServer.

    Raises:
        InvalidInput: A field of the resource cannot work.
    """
    server = api.parse(obj)
    return Details(
        certificate(server), server.accesses, server.content_cache_mb, server.metadata_cache_mb
    )


def profile_user(obj: Mapping[str, Any]) -> str:
    """Return the user that the resource names for its Profile, as `user@host`; empty for none.

    Args:
        obj: The RepositoryServer.

    Raises:
        InvalidInput: A field of the resource cannot work.
    """
    return api.parse(obj).publish.profile_user


def admits(obj: Mapping[str, Any], namespace: str) -> bool:
    """Return whether the server's NetworkPolicy may let a pod in: False if it surely does not.

    Args:
        obj: The RepositoryServer.
        namespace: Of the pod.

    Raises:
        InvalidInput: A field of the resource cannot work.
    """
    return namespace == obj["metadata"]["namespace"] or bool(api.parse(obj).peers)


def users(access_: UserAccess, secret: SecretData) -> tuple[User, ...]:
    """Return the users of one access of a resource, in the order of their names.

    Args:
        access_: What the resource says.
        secret: The Secret that it names.

    Raises:
        InvalidInput: A key makes no user that Kopia takes, or a password is empty.
    """
    found = sorted(access.users_of(access_, secret).items())
    names = ((name.partition("@"), password) for name, password in found)
    return tuple(User(user, host, password) for (user, _, host), password in names)


def key_of(access_: UserAccess, user: str) -> str:
    """Return the key of an access Secret that has the password of a user; empty if none can.

    Args:
        access_: What the resource says.
        user: As `user@host`.
    """
    username, _, _ = user.partition("@")
    if access_.username not in ("", username):
        return ""
    return access.key_of(access_, user)
