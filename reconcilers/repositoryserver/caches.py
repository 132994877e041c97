"""What a reconcile of RepositoryServers reads without asking, and what of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from attrs import frozen

from controller.cache.shared import Selection
from controller.cache.trim import default_trim
from reconcilers.repositoryserver import api, children, endpoints, resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.cache.shared import SharedInformer
    from controller.cache.store import Key
    from controller.operator import Operator
    from controller.resource import Object

INDEX_OWNER: Final = "owner"
INDEX_INSTANCE: Final = "instance"
INDEX_SECRET: Final = "secret"  # noqa: S105 - an index's name
INDEX_SERVICE: Final = "service"

#: The required fields of a condition (apimachinery pkg/apis/meta/v1, Condition).
CONDITION_FIELDS: Final = frozenset({"type", "status", "reason", "message", "lastTransitionTime"})

#: The endpoint slice controller copies the labels of the Service.
OF_SERVERS: Final = Selection(labels=f"{children.LABEL_MANAGED_BY}={children.MANAGER}")
#: Of Secrets only names and versions: no content is ever in memory for longer than a use.
NAMES_AND_VERSIONS: Final = Selection(metadata_only=True)


class Cache(Protocol):
    """What an informer holds, with the process's own writes laid over it.

    As `controller.cache.shared.SharedInformer`. What it returns must not be changed.
    """

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, or None."""

    def keys(self) -> list[Key]:
        """Return namespace and name of each object."""

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index."""


CacheT_co = TypeVar("CacheT_co", bound=Cache, covariant=True)


@frozen
class Caches(Generic[CacheT_co]):
    """What the informers hold.

    Args:
        servers: RepositoryServers, indexed by the Secrets that they name.
        pods: Pods, indexed by owner, and by the server that their label names.
        services: Services, indexed by owner.
        network_policies: NetworkPolicies, indexed by owner.
        secrets: Secrets without their data, indexed by owner.
        endpoint_slices: EndpointSlices of the servers, indexed by the name of their Service.
    """

    servers: CacheT_co
    pods: CacheT_co
    services: CacheT_co
    network_policies: CacheT_co
    secrets: CacheT_co
    endpoint_slices: CacheT_co


def follow(operator: Operator) -> Caches[SharedInformer]:
    """Return the caches, filled by informers that run with the operator."""
    by_owner = {INDEX_OWNER: owner_uids}
    by_service = {INDEX_SERVICE: endpoints.service_of}
    return Caches(
        servers=operator.informer(
            resources.REPOSITORY_SERVERS,
            indexers={INDEX_SECRET: api.secret_names},
            trim=trim_server,
        ),
        pods=operator.informer(
            resources.PODS, indexers={**by_owner, INDEX_INSTANCE: instance}, trim=trim_pod
        ),
        services=operator.informer(resources.SERVICES, indexers=by_owner),
        network_policies=operator.informer(resources.NETWORK_POLICIES, indexers=by_owner),
        secrets=operator.informer(resources.SECRETS, NAMES_AND_VERSIONS, indexers=by_owner),
        endpoint_slices=operator.informer(
            resources.ENDPOINT_SLICES, OF_SERVERS, indexers=by_service, trim=trim_slice
        ),
    )


def owner_uids(obj: Mapping[str, Any]) -> list[str]:
    """Return the uids of an object's owners, for the index `INDEX_OWNER`."""
    return [one["uid"] for one in obj["metadata"].get("ownerReferences") or ()]


def instance(obj: Mapping[str, Any]) -> list[str]:
    """Return the server that an object's label names, for the index `INDEX_INSTANCE`."""
    label = (obj["metadata"].get("labels") or {}).get(children.LABEL_INSTANCE)
    return [label] if label else []


def trim_server(obj: Object) -> Object:
    """Drop the conditions that lack a field: the CRD asks for their types only.

    Only another hand can have written them. The controller, which then knows of none, writes its
    own in their place.
    """
    default_trim(obj)
    status = obj.get("status") or {}
    if status.get("conditions"):
        kept = [one for one in status["conditions"] if one.keys() >= CONDITION_FIELDS]
        obj["status"] = {**status, "conditions": kept}
    return obj


def trim_pod(obj: Object) -> Object:
    """Keep of a Pod what a reconcile reads: of its spec, which cannot change, the node only."""
    default_trim(obj)
    return {**obj, "spec": {"nodeName": obj["spec"].get("nodeName")}}


def trim_slice(obj: Object) -> Object:
    """Keep of an EndpointSlice which pods it has, and whether they are ready."""
    default_trim(obj)
    kept = [
        {field: endpoint[field] for field in ("targetRef", "conditions") if field in endpoint}
        for endpoint in obj.get("endpoints") or ()
    ]
    return {"metadata": obj["metadata"], "endpoints": kept}
