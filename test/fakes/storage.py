"""What a storage is made from, in short words for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes import objects
from reconcilers.kopia.storage import kinds
from reconcilers.kopia.storage.model import Source
from reconcilers.repositoryserver import api
from reconcilers.secrets import data as secrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.kopia.storage.model import Storage

LOCATION = secrets.SecretRef("spec.storage.secretRef", objects.NAMESPACE, objects.LOCATION)
CREDENTIAL = secrets.SecretRef(
    "spec.storage.credentialSecretRef", objects.NAMESPACE, objects.CREDENTIAL
)

Values = dict[str, str | bytes]


def location(values: Mapping[str, str | bytes]) -> secrets.SecretData:
    """Build the location Secret as it was read."""
    obj = objects.location_secret(values)
    return secrets.read(LOCATION, obj, (secrets.TYPE_LOCATION,))


def credential(values: Mapping[str, str | bytes]) -> secrets.SecretData:
    """Build the credential Secret as it was read."""
    obj = objects.secret(objects.CREDENTIAL, secrets.TYPE_OPAQUE, values)
    return secrets.read(CREDENTIAL, obj, ())


def storage(
    values: Mapping[str, str | bytes],
    credential_values: Mapping[str, str | bytes] | None = None,
    *,
    repository: Mapping[str, object] | None = None,
) -> Storage:
    """Make the storage that Secrets and resource describe.

    Args:
        values: The location Secret.
        credential_values: The credential Secret; none if None.
        repository: Fields of `spec.repository`, laid over rootPath `files`.
    """
    obj = objects.repository_server({"spec": {"repository": dict(repository or {})}})
    return storage_of(api.parse(obj), values, credential_values)


def storage_of(
    server: api.RepositoryServer,
    values: Mapping[str, str | bytes],
    credential_values: Mapping[str, str | bytes] | None = None,
) -> Storage:
    """Make the storage of a server."""
    read = None if credential_values is None else credential(credential_values)
    return kinds.kind_of(location(values)).storage(source(server, location(values), read))


def source(
    server: api.RepositoryServer,
    location_: secrets.SecretData,
    credential_: secrets.SecretData | None = None,
) -> Source:
    """Return what the storage of a server is made from."""
    return Source(
        location_,
        credential_,
        namespace=server.namespace,
        root_path=server.root_path,
        read_only=server.read_only,
        point_in_time=server.point_in_time,
    )
