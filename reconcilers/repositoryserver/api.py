"""The custom resource RepositoryServer, read into attrs classes.

The API server has checked types and required fields against the CRD before an object gets here;
what a schema cannot say is checked where it is used.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from reconcilers.repositoryserver.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "cr.kanister.io"
VERSION = "v1alpha1"
KIND = "RepositoryServer"

PORT = 51515

# The removed controller's cache limits where the resource names none (MB).
DEFAULT_CONTENT_CACHE_MB = 0
DEFAULT_METADATA_CACHE_MB = 500

REASON_FOREIGN_NAMESPACE = "ReferenceInOtherNamespace"
FOREIGN_NAMESPACE = (
    "{field} names Secret {reference}, but a RepositoryServer reads Secrets of its own namespace "
    "only; copy the Secret to namespace {namespace} and set {field}.namespace to it"
)


@frozen
class SecretRef:
    """A reference from a field of the resource to a Secret.

    Attributes:
        field: Path of the field, for messages, such as `spec.server.adminSecretRef`.
        namespace: Namespace of the Secret.
        name: Name of the Secret.
    """

    field: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `namespace/name`."""
        return f"{self.namespace}/{self.name}"


@frozen
class UserAccess:
    """Where the access users stand.

    Attributes:
        secret: The Secret that lists them.
        username: The user name before each key, which is then a host (`spec.server.userAccess`);
            empty where the keys are whole users written `user_at_host`
            (`spec.server.userAccessSecretRef`).
    """

    secret: SecretRef
    username: str


@frozen
class RepositoryServer:
    """The desired state of one repository server.

    Attributes:
        location: Secret with the storage location.
        credential: Secret with the storage credential; None where the store needs none.
        root_path: Path of the repository below the location's prefix.
        username: User name that the server's own session has in the repository.
        hostname: Host name that the server's own session has in the repository.
        content_cache_mb: Limit of Kopia's content cache in MB; 0 switches it off.
        metadata_cache_mb: Limit of Kopia's metadata cache in MB.
        password: Secret with the repository password.
        admin: Secret with the server's administrator.
        tls: Secret with certificate and key.
        access: The users that may connect.
        run_as_user: User id of the server process; None for the default.
        peers: NetworkPolicy peers that may connect besides the namespace's own pods.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    location: SecretRef
    credential: SecretRef | None
    root_path: str
    username: str
    hostname: str
    content_cache_mb: int
    metadata_cache_mb: int
    password: SecretRef
    admin: SecretRef
    tls: SecretRef
    access: UserAccess
    run_as_user: int | None = None
    peers: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def inputs(self) -> tuple[SecretRef, ...]:
        """Return the Secrets that the server process is started with."""
        refs = (self.location, self.credential, self.password, self.admin, self.tls)
        return tuple(ref for ref in refs if ref is not None)

    def owner_reference(self) -> dict[str, Any]:
        """Return the owner reference by which deleting the resource deletes its children."""
        return {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def parse(obj: Mapping[str, Any]) -> RepositoryServer:
    """Read a RepositoryServer as the API server returns it.

    Raises:
        InvalidInput: A reference leaves the resource's namespace.
    """
    namespace = obj["metadata"]["namespace"]
    name = obj["metadata"]["name"]
    storage = obj["spec"]["storage"]
    repository = obj["spec"]["repository"]
    server = obj["spec"]["server"]
    cache = repository.get("cacheSizeSettings") or {}

    def reference(parent: Mapping[str, Any], path: str) -> SecretRef:
        value = parent[path.rpartition(".")[2]]
        ref = SecretRef(path, value.get("namespace") or namespace, value["name"])
        if ref.namespace != namespace:
            raise InvalidInput(
                REASON_FOREIGN_NAMESPACE,
                FOREIGN_NAMESPACE.format(field=path, reference=ref, namespace=namespace),
            )
        return ref

    return RepositoryServer(
        namespace=namespace,
        name=name,
        uid=obj["metadata"]["uid"],
        generation=obj["metadata"].get("generation", 0),
        location=reference(storage, "spec.storage.secretRef"),
        credential=reference(storage, "spec.storage.credentialSecretRef")
        if (storage.get("credentialSecretRef") or {}).get("name")
        else None,
        root_path=repository["rootPath"],
        username=repository.get("username") or "repository-server",
        hostname=repository.get("hostname") or f"{name}.{namespace}",
        content_cache_mb=_cache_mb(cache.get("content"), DEFAULT_CONTENT_CACHE_MB),
        metadata_cache_mb=_cache_mb(cache.get("metadata"), DEFAULT_METADATA_CACHE_MB),
        password=reference(repository, "spec.repository.passwordSecretRef"),
        admin=reference(server, "spec.server.adminSecretRef"),
        tls=reference(server, "spec.server.tlsSecretRef"),
        access=UserAccess(
            secret=reference(server["userAccess"], "spec.server.userAccess.userAccessSecretRef"),
            username=server["userAccess"]["username"],
        )
        if "userAccess" in server
        else UserAccess(secret=reference(server, "spec.server.userAccessSecretRef"), username=""),
        run_as_user=server.get("runAsUser"),
        peers=tuple(_peers(server.get("networkPolicy") or {})),
    )


def secret_names(obj: Mapping[str, Any]) -> set[str]:
    """Return the names of the Secrets that a RepositoryServer refers to in its own namespace.

    Unlike `parse` it never fails: a resource that is wrong elsewhere must still be woken by its
    Secrets.
    """
    namespace = obj["metadata"]["namespace"]
    return {
        value["name"]
        for value in _references(obj.get("spec", {}))
        if (value.get("namespace") or namespace) == namespace
    }


def _references(node: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON value
    if not isinstance(node, dict):
        return []
    found = [
        value
        for key, value in node.items()
        if re.search(r"[sS]ecretRef$", key) and isinstance(value, dict) and value.get("name")
    ]
    for value in node.values():
        found.extend(_references(value))
    return found


def _cache_mb(value: int | None, default: int) -> int:
    return default if value is None else value


def _peers(policy: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    peers = list(policy.get("from") or [])
    # An empty selector selects everything; only one left out selects nothing.
    selectors = {
        key: policy[key]
        for key in ("namespaceSelector", "podSelector")
        if policy.get(key) is not None
    }
    if selectors:
        peers.append(selectors)
    # The API server drops what is empty below a selector; it would differ from it for ever.
    return [{kind: _without_empty(part) for kind, part in peer.items()} for peer in peers]


def _without_empty(node: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(node, list):
        return [_without_empty(item) for item in node]
    if isinstance(node, dict):
        return {key: _without_empty(value) for key, value in node.items() if value not in ({}, [])}
    return node
