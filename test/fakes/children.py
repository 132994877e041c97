"""What the objects of a server are made of, in short words for tests."""

from typing import Any

from fakes import objects
from fakes import storage as fakes
from reconcilers.kopia.repository_config import repository_config
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.pod import template
from reconcilers.repositoryserver.children.secrets import ServerInputs
from reconcilers.secrets import data as secrets
from reconcilers.secrets.certificates import ServerCertificate

Object = dict[str, Any]

FINGERPRINT = "ab" * 32
DIGEST = objects.DIGEST
USERS = "v1"
FILE_STORE: fakes.Values = {
    "type": "filestore",
    "prefix": "backups",
    "claimName": objects.CLAIM,
}


def server(change: Object | None = None) -> api.RepositoryServer:
    return api.parse(objects.repository_server(change))


def named(name: str) -> api.RepositoryServer:
    return server({"metadata": {"name": name}})


def inputs(for_server: api.RepositoryServer | None = None) -> ServerInputs:
    of = for_server or server()
    storage = fakes.storage_of(of, FILE_STORE)
    pair = objects.key_pair()
    return ServerInputs(
        storage=storage,
        config=repository_config(
            storage,
            username=of.username,
            hostname=of.hostname,
            content_cache_mb=of.content_cache_mb,
            metadata_cache_mb=of.metadata_cache_mb,
            read_only=of.read_only,
        ),
        password=objects.REPOSITORY_PASSWORD_VALUE,
        admin=secrets.Admin("admin@files", objects.ADMIN_PASSWORD_VALUE),
        certificate=ServerCertificate(pair.certificate, pair.key, FINGERPRINT, objects.NOW),
        image=objects.IMAGE,
    )


def pod_spec(change: Object | None = None) -> Object:
    of = server(change)
    spec: Object = template(of, inputs(of), DIGEST)["spec"]
    return spec


def container(change: Object | None = None) -> Object:
    (only,) = pod_spec(change)["containers"]
    return dict(only)


def environment(change: Object | None = None) -> Object:
    return {
        variable["name"]: variable.get("value", variable.get("valueFrom"))
        for variable in container(change)["env"]
    }


def on_server(change: Object) -> Object:
    """Return an override of the server's container."""
    return {"containers": [{"name": names.CONTAINER, **change}]}


def of_pod(**settings: Any) -> Object:
    """Return the change of a resource that sets fields of `spec.server`."""
    return {"spec": {"server": settings}}
