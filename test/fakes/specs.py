"""Specifications of RepositoryServers, in parts."""

from typing import Any

from fakes import objects
from reconcilers.secrets import data as secrets

Object = dict[str, Any]

#: The users are whole users, in place of hosts.
ACCESS_BY_USER = {
    "userAccess": None,
    "userAccessSecretRef": {"name": objects.USERS, "namespace": objects.NAMESPACE},
}


def reference(field: str, name: str) -> secrets.SecretRef:
    """Return a reference to a Secret of the resource's namespace, by the field that has it."""
    return secrets.SecretRef(field, objects.NAMESPACE, name)


def nested(path: str, value: Any) -> Object:
    """Return the merge patch that sets one field: `spec.server.runAsUser`."""
    patch: Any = value
    for name in reversed(path.split(".")):
        patch = {name: patch}
    return dict(patch)
