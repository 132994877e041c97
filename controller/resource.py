"""Kubernetes objects and resources, as plain data. Decision modules may import this one."""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from attrs import frozen

#: A Kubernetes object, or a list of them, as JSON. An object from a store is shared: never change
#: it.
Object = dict[str, Any]


def micro_time(when: datetime) -> str:
    """Return a time in the format of the API type MicroTime, which events and leases use."""
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


@frozen(cache_hash=True)
class Resource:
    """A kind of object, and where the API server serves it.

    Args:
        group: The API group; "" for the core group.
        version: The version in the group.
        plural: The name of the resource in URLs.
        kind: The kind in manifests.
        namespaced: False for cluster-scoped objects. Default: True.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects: "v1" or "apps/v1" for example."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """The name of the resource with its group, as a CRD has it: "pods" or "leases.group"."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of the collection or of one object in URLs.

        Args:
            namespace: The namespace. Default: all; also for a cluster-scoped resource.
            name: The name of an object. Default: none, the collection.
            subresource: "status" for example. Default: none.
        """
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts += [part for part in (self.plural, quote(name, safe=""), subresource) if part]
        return "/".join(parts)
