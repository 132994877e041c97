"""Which objects a RepositoryServer refers to: what wakes it when one of them changes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Every field that refers to a Secret which the controller reads; lists on the way are walked.
SECRET_FIELDS: Final = (
    "spec.storage.secretRef",
    "spec.storage.credentialSecretRef",
    "spec.repository.passwordSecretRef",
    "spec.server.adminSecretRef",
    "spec.server.tlsSecretRef",
    "spec.server.userAccess.userAccessSecretRef",
    "spec.server.userAccessSecretRef",
    "spec.server.additionalUserAccess.userAccessSecretRef",
)


def secret_names(obj: Mapping[str, Any]) -> set[str]:
    """Return the names of the Secrets that a RepositoryServer refers to in its own namespace.

    Unlike `api.parse` it never fails: a resource that is wrong elsewhere must still be woken by its
    Secrets.
    """
    namespace = obj["metadata"]["namespace"]
    return {
        reference["name"]
        for path in SECRET_FIELDS
        for reference in _values(obj, path.split("."))
        if reference.get("name") and (reference.get("namespace") or namespace) == namespace
    }


def service_account_names(obj: Mapping[str, Any]) -> list[str]:
    """Return the name of the ServiceAccount that a RepositoryServer asks for; empty for none.

    Like `secret_names` it never fails.
    """
    server = obj["spec"].get("server") or {}
    return [server.get("serviceAccountName") or ""]


def _values(node: Any, path: Sequence[str]) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - JSON
    if isinstance(node, list):
        for item in node:
            yield from _values(item, path)
    elif isinstance(node, dict):
        if path:
            yield from _values(node.get(path[0]), path[1:])
        else:
            yield node
