"""Whose an observed object is: a RepositoryServer's, this controller's, the removed one's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers import resources
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Resource

# What the removed controller called its children, before five random characters.
REMOVED_CONTROLLER_PREFIXES: Final = {
    resources.PODS: "repo-server-pod-",
    resources.SERVICES: "repo-server-service-",
}


def is_of_removed_controller(resource: Resource, obj: Mapping[str, Any]) -> bool:
    """Return whether the removed controller has made a child of a RepositoryServer."""
    # By name: others may make the resource the owner of what is theirs, a Secret of the user's say.
    # The Service of a RepositoryServer `service-1` is called so as well, and bears our mark.
    prefix = REMOVED_CONTROLLER_PREFIXES.get(resource)
    name: str = obj["metadata"]["name"]
    return prefix is not None and name.startswith(prefix) and not mark_of(obj)


def owners(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the owner references of an object to RepositoryServers."""
    return [
        reference
        for reference in obj["metadata"].get("ownerReferences") or []
        if reference["kind"] == api.KIND and reference["apiVersion"].partition("/")[0] == api.GROUP
    ]


def mark_of(obj: Mapping[str, Any]) -> str:
    """Return the digest of the desired object that an observed one was made of; empty if none."""
    annotations = obj["metadata"].get("annotations") or {}
    mark: str = annotations.get(names.ANNOTATION_APPLIED, "")
    return mark
