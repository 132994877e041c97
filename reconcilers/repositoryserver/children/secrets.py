"""The Secrets of a server that change, and the contents of the one that does not."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.children import names
from reconcilers.settings import PodDefaults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.kopia.storage.model import Storage
    from reconcilers.repositoryserver.api import RepositoryServer
    from reconcilers.secrets.certificates import ServerCertificate
    from reconcilers.secrets.data import Admin

KEY_CONFIG: Final = "repository.config"
KEY_PASSWORD: Final = "repository-password"  # noqa: S105 - a key's name
KEY_ADMIN_USERNAME: Final = "admin-username"
KEY_ADMIN_PASSWORD: Final = "admin-password"  # noqa: S105 - a key's name
KEY_CERTIFICATE: Final = "tls.crt"
KEY_PRIVATE_KEY: Final = "tls.key"
KEY_AUTHORITY: Final = "ca.crt"


@frozen
class ServerInputs:
    """All that a server process is started with: one consistent reading of the user's Secrets.

    Args:
        storage: Where the repository is.
        config: Kopia's repository configuration as JSON.
        password: The repository password.
        admin: The server's administrator.
        certificate: Certificate and key.
        image: Image with Kopia.
        defaults: What the settings say of each server's pod.
    """

    storage: Storage
    config: str = field(repr=False)
    password: str = field(repr=False)
    admin: Admin
    certificate: ServerCertificate
    image: str
    defaults: PodDefaults = field(factory=PodDefaults)

    def secret_data(self) -> dict[str, str]:
        """Return the contents of the snapshot Secret."""
        return {
            KEY_CONFIG: self.config,
            KEY_PASSWORD: self.password,
            KEY_ADMIN_USERNAME: self.admin.username,
            KEY_ADMIN_PASSWORD: self.admin.password,
            KEY_CERTIFICATE: self.certificate.certificate,
            KEY_PRIVATE_KEY: self.certificate.key,
            **self.storage.files,
        }


def users_secret(
    server: RepositoryServer, users: str, version: str, changed: str
) -> dict[str, Any]:
    """Return the Secret with the users, which the pods mount in a volume of its own.

    Args:
        server: The resource.
        users: What `kopia.htpasswd.render` returned.
        version: Another one for each other content.
        changed: When the content last changed, as Kubernetes writes times; empty if no pod can have
            another one.
    """
    metadata = names.metadata(server, names.users_name(server))
    if changed:
        metadata["annotations"] = {names.ANNOTATION_CHANGED: changed}
    data = {servercommands.USERS_FILE: users, servercommands.USERS_VERSION_FILE: version}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": encoded(data),
    }


def certificate_secret(
    server: RepositoryServer, certificate: ServerCertificate, authority: str
) -> dict[str, Any]:
    """Return the Secret with a certificate that the controller has made.

    It is not what the Pod mounts, which is a copy like that of any other certificate.

    Args:
        server: The resource.
        certificate: The certificate and its key.
        authority: Who has signed it, in PEM.
    """
    return _tls_secret(
        server,
        names.certificate_name(server),
        {
            KEY_CERTIFICATE: certificate.certificate,
            KEY_PRIVATE_KEY: certificate.key,
            KEY_AUTHORITY: authority,
        },
    )


def authority_secret(server: RepositoryServer, certificate: str, key: str) -> dict[str, Any]:
    """Return the Secret with the authority that signs what the controller makes. No pod mounts it.

    Args:
        server: The resource.
        certificate: The authority's, in PEM.
        key: Its key, in PEM.
    """
    data = {KEY_CERTIFICATE: certificate, KEY_PRIVATE_KEY: key}
    return _tls_secret(server, names.authority_name(server), data)


def _tls_secret(server: RepositoryServer, name: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names.metadata(server, name),
        "type": "kubernetes.io/tls",
        "data": encoded(data),
    }


def encoded(data: Mapping[str, str]) -> dict[str, str]:
    """Return the data of a Secret as the API takes them."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
