"""Kubernetes objects and their kinds, as plain data: decision code may import this."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from attrs import frozen

#: A Kubernetes object, or a list of them, as JSON. One that comes out of a store is shared: never
#: changed.
Object = dict[str, Any]


def micro_time(when: datetime) -> str:
    """Write a time as the type MicroTime of events and leases."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def controller_reference(owner: Object) -> Object:
    """Return the owner reference that makes an object the child of another one.

    The garbage collector deletes a child after its owner, and `Builder.owns` has the owner
    reconciled when the child changes. Follows apimachinery pkg/apis/meta/v1/controller_ref.go
    (NewControllerRef).

    Args:
        owner: The owner, as a cache or the API server has it.
    """
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


@frozen
class Resource:
    """A kind of object and where the API server serves it.

    Attributes:
        group: The API group, "" for the core one.
        version: The API version in that group.
        plural: The resource's name in URLs.
        kind: The kind in manifests.
        namespaced: False for cluster-wide objects.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return what stands in an object's `apiVersion`: "v1", "apps/v1"."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """Return the name that is unique in a cluster, as in a CRD: "pods", "leases.group"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of the collection or of one object.

        Args:
            namespace: "" for all namespaces, and for a cluster-wide resource.
            name: "" for the collection.
            subresource: For example "status".
        """
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [part for part in (self.plural, quote(name, safe=""), subresource) if part]
        return "/".join(parts)
