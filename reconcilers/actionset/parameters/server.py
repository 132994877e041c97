"""Which RepositoryServer an action means, and what templates see of it. Pure functions."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from reconcilers.actionset.parameters import profile
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver import connection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.resource import Object
    from reconcilers.secrets.data import SecretRef

REASON_NO_ADDRESS: Final = "RepositoryServerNotReady"
NO_ADDRESS: Final = (
    "RepositoryServer {namespace}/{name} has no address yet: {message}; begin the action once it "
    "is Available"
)

_KEY_CERTIFICATE: Final = "tls.crt"
_KEY_PRIVATE: Final = "tls.key"


def service_of(endpoint: str) -> tuple[str, str] | None:
    """Return the namespace and the name of the Service that a URL goes to; None if to none.

    Args:
        endpoint: Such as `https://repo-server-files.backup.svc.cluster.local:51515`.
    """
    try:
        host = urlsplit(endpoint).hostname or ""
    except ValueError:
        return None
    service, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    # Without a domain it would be a name of the pod's own namespace, or one of the world.
    if not namespace or domain.partition(".")[0] != "svc":
        return None
    return namespace, service


def with_service(servers: Iterable[Object], service: str) -> Object | None:
    """Return the RepositoryServer that has a Service; None if none has.

    Args:
        servers: The RepositoryServers of the Service's namespace.
        service: Its name.
    """
    for server in servers:
        info = (server.get("status") or {}).get("serverInfo") or {}
        if info.get("serviceName") == service:
            return server
    return None


def parameter(server: Object, certificate: Object, users: Object) -> dict[str, Any]:
    """Return a RepositoryServer as templates see it.

    The layout is that of Kanister's last release that had it (pkg/param/param.go,
    RepositoryServer), since old images of kando read its JSON. They need no private key, and take
    one certificate alone.

    Args:
        server: The resource.
        certificate: The Secret with its certificate.
        users: The Secret with its users.

    Raises:
        InvalidInput: It has no address yet, or the Secret has no certificate.
    """
    metadata = server["metadata"]
    found = connection.of(server)
    if not found.url:
        message = NO_ADDRESS.format(
            namespace=metadata["namespace"], name=metadata["name"], message=found.message
        )
        raise InvalidInput(REASON_NO_ADDRESS, message)
    details = connection.details(server)
    info = (server.get("status") or {}).get("serverInfo") or {}
    return {
        "Name": metadata["name"],
        "Namespace": metadata["namespace"],
        "ServerInfo": {
            "podName": info.get("podName") or "",
            "serviceName": info.get("serviceName") or "",
        },
        "Username": details.accesses[0].username,
        "Credentials": {
            "ServerTLS": _public(details.certificate, certificate),
            "ServerUserAccess": users,
        },
        "Address": found.url,
        "ContentCacheMB": details.content_cache_mb,
        "MetadataCacheMB": details.metadata_cache_mb,
    }


def _public(ref: SecretRef, certificate: Object) -> Object:
    """Return the Secret with a certificate without its key and the chain behind it."""
    leaf = profile.leaf(profile.secret_data(ref, certificate), _KEY_CERTIFICATE)
    values = {key: value for key, value in certificate["data"].items() if key != _KEY_PRIVATE}
    values[_KEY_CERTIFICATE] = base64.b64encode(leaf.encode()).decode()
    return {**certificate, "data": values}
