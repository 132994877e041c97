"""What a reconcile of RepositoryServers reads without asking the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.cache.store import Key
    from controller.errors import ClientError
    from controller.resource import Object

INDEX_OWNER: Final = "owner"
INDEX_INSTANCE: Final = "instance"
INDEX_SECRET: Final = "secret"  # noqa: S105 - an index's name
INDEX_SERVICE: Final = "service"
INDEX_ACCOUNT: Final = "account"
INDEX_RELEASED: Final = "released"


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


class CacheOnDemand(Cache, Protocol):
    """What an informer holds of a resource that need not be there, and is followed on demand.

    As `controller.cache.shared.SharedInformer`.
    """

    def demand(self) -> None:
        """Begin to follow the resource."""

    def has_synced(self) -> bool:
        """Return whether it holds what there is; also True before a demand, and if refused."""

    def refusal(self) -> ClientError | None:
        """Return the API server's answer if by it there is nothing to follow."""


CacheT_co = TypeVar("CacheT_co", bound=Cache, covariant=True)


@frozen
class Caches(Generic[CacheT_co]):
    """What the informers hold.

    Args:
        servers: RepositoryServers, indexed by the Secrets and the account that they name, by the
            label of their children, and by what the names of their ReplicaSets begin with.
        replica_sets: ReplicaSets without the specification of their pods, but for the claim of a
            file store, indexed by owner, and by the server that their label names.
        pods: Pods, indexed by the same, and those that nobody owns by what the name of the
            ReplicaSet that has made them begins with.
        services: Services, indexed by owner and label.
        network_policies: NetworkPolicies, indexed by owner and label.
        secrets: Secrets without their data, indexed by owner and label.
        cron_jobs: CronJobs without their Jobs' template, indexed by owner and label.
        jobs: Jobs that maintain repositories, indexed by owner.
        endpoint_slices: EndpointSlices of the servers, indexed by the name of their Service.
        service_accounts: ServiceAccounts without their content.
        profiles: Kanister's Profiles, indexed by owner and label.
    """

    servers: CacheT_co
    replica_sets: CacheT_co
    pods: CacheT_co
    services: CacheT_co
    network_policies: CacheT_co
    secrets: CacheT_co
    cron_jobs: CacheT_co
    jobs: CacheT_co
    endpoint_slices: CacheT_co
    service_accounts: CacheT_co
    profiles: CacheOnDemand


def owner_uids(obj: Mapping[str, Any]) -> list[str]:
    """Return the uids of an object's owners, for the index `INDEX_OWNER`."""
    return [one["uid"] for one in obj["metadata"].get("ownerReferences") or ()]
