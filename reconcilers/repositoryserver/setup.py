"""The controller of RepositoryServers: what it works with, and what wakes it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from controller.handler import (
    all_of,
    content_changed,
    enqueue_owner,
    not_own_creation,
    not_own_write,
)
from controller.manager import Group
from controller.reconcile import Request
from controller.workqueue.queue import LOW_PRIORITY
from controller.workqueue.ratelimit import ExponentialRateLimiter
from reconcilers import resources
from reconcilers.pods import allowed
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.caches import (
    INDEX_ACCOUNT,
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_RELEASED,
    INDEX_SECRET,
    INDEX_SERVICE,
)
from reconcilers.repositoryserver.children import claims
from reconcilers.repositoryserver.definition.watcher import DefinitionWatcher
from reconcilers.repositoryserver.informers import follow, instance, released
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.repositoryserver.rollout import endpoints
from reconcilers.repositoryserver.rollout.throttle import RolloutSlots
from reconcilers.repositoryserver.status.metrics import RepositoryServerCollector
from reconcilers.repositoryserver.status.sharing import Repositories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.cache.shared import SharedInformer
    from controller.handler import Change
    from controller.operator import Operator
    from controller.resource import Object
    from reconcilers.repositoryserver.caches import Caches
    from reconcilers.settings import Settings

NAME: Final = "repositoryserver"

#: Seconds between two tries of a reconcile that the API server refuses, at most. A right that was
#: missing is noticed a minute after it was given, at the cost of one request a minute; client-go's
#: 1000 s would leave a user waiting for a quarter of an hour.
MAX_RETRY_SECONDS: Final = 60.0


def setup(
    operator: Operator,
    *,
    settings: Settings,
    workers: int,
    max_replacements: int,
    pod_override: str = allowed.RESTRICTED,
) -> Caches[SharedInformer]:
    """Add the controller of RepositoryServers to an operator.

    Args:
        operator: What it runs in.
        settings: Defaults for all servers.
        workers: RepositoryServers reconciled at the same time.
        max_replacements: Servers that get another pod at the same time.
        pod_override: Which overrides of a pod are taken, one of `allowed.MODES`.

    Returns:
        What it reads.
    """
    caches = follow(operator)
    account = settings.pod.service_account_name or api.DEFAULT_ACCOUNT
    wakes = _Wakes(caches, default_account=account)
    operator.registry.register(
        RepositoryServerCollector(caches.servers.objects, claims=_claims_in(caches))
    )
    watcher = DefinitionWatcher(operator.client, clock=operator.clock, registry=operator.registry)
    operator.add(watcher, Group.CONTROLLERS)
    builder = operator.controller(NAME)
    # After what users change: it is for their information only.
    wake = functools.partial(builder.enqueue, priority=LOW_PRIORITY)
    reconciler = RepositoryServerReconciler(
        client=operator.client,
        commands=builder.commands,
        caches=caches,
        recorder=operator.recorder,
        clock=operator.clock,
        settings=settings,
        slots=RolloutSlots(max_replacements, clock=operator.clock),
        repositories=Repositories(wake),
        pod_override=pod_override,
    )
    (
        # A reconcile goes on from the status that it has written and the children that it has made.
        builder.for_(caches.servers, predicate=not_own_write)
        .owns(caches.replica_sets, predicate=all_of(not_own_creation, content_changed))
        .watches(caches.pods, wakes.server_of_pod, predicate=_has_been_seen_to)
        .owns(caches.network_policies, predicate=not_own_creation)
        .owns(caches.secrets, predicate=not_own_creation)
        .owns(caches.cron_jobs, predicate=not_own_creation)
        .owns(operator.informer(resources.PROFILES), predicate=not_own_creation)
        .watches(caches.jobs, wakes.owners_of_cron_job)
        .owns(caches.services, predicate=wakes.service_matters)
        .watches(
            caches.endpoint_slices,
            wakes.owners_of_service,
            predicate=all_of(content_changed, _has_endpoints),
        )
        .watches(caches.secrets, wakes.servers_that_name)
        .watches(caches.service_accounts, wakes.servers_that_run_as)
        .with_workers(workers)
        .with_rate_limiter(ExponentialRateLimiter(maximum=MAX_RETRY_SECONDS))
        .complete(reconciler)
    )
    return caches


def _claims_in(caches: Caches[SharedInformer]) -> Callable[[Object], list[str]]:
    """Return a way to find the claims that hold the repository of a server."""

    def of(server: Object) -> list[str]:
        owned = caches.replica_sets.by_index(INDEX_OWNER, server["metadata"]["uid"])
        return claims.in_use(owned)

    return of


def _has_been_seen_to(change: Change) -> bool:
    """Return False for a pod that has just been made: its next change, by the scheduler, is near.

    A scheduler that finds no node for it says so, which is a change too.
    """
    new = change.new
    is_new = change.old is None and new is not None
    return not is_new or bool((new or {}).get("status", {}).get("conditions"))


def _has_endpoints(change: Change) -> bool:
    """Return whether an EndpointSlice has a ready endpoint, or had one."""
    return any((state or {}).get("endpoints") for state in (change.old, change.new))


class _Wakes:
    """Mappers that look into the caches.

    Args:
        caches: What the informers hold.
        default_account: ServiceAccount of the servers that name none.
    """

    def __init__(
        self,
        caches: Caches[SharedInformer],
        *,
        default_account: str,
    ) -> None:
        self._caches = caches
        self._default_account = default_account
        self._owners = enqueue_owner(api.REPOSITORY_SERVERS)

    def owners_of_service(self, endpoint_slice: Object) -> Iterable[Request]:
        """Name the resource that owns the Service of an EndpointSlice."""
        for name in endpoints.service_of(endpoint_slice):
            service = self._caches.services.get(endpoint_slice["metadata"]["namespace"], name)
            if service is not None:
                yield from self._owners(service)

    def service_matters(self, change: Change) -> bool:
        """Return False for a Service that a reconcile has made and that routes nowhere yet.

        One of its EndpointSlices may have been seen before it, and woke nobody: only the Service
        says whom that concerns.
        """
        if not_own_creation(change):
            return True
        name = (change.new or {})["metadata"]["name"]
        slices = self._caches.endpoint_slices.by_index(INDEX_SERVICE, name)
        return any(one["endpoints"] for one in slices)

    def owners_of_cron_job(self, job: Object) -> Iterable[Request]:
        """Name the resource that owns the CronJob of a Job."""
        for reference in job["metadata"].get("ownerReferences") or ():
            namespace, name = job["metadata"]["namespace"], reference["name"]
            cron_job = self._caches.cron_jobs.get(namespace, name)
            if cron_job is not None and cron_job["metadata"]["uid"] == reference["uid"]:
                yield from self._owners(cron_job)

    def server_of_pod(self, pod: Object) -> Iterable[Request]:
        """Name the resource that a pod belongs to.

        The ReplicaSet between the two may be gone, or not be known yet, so the label counts. A pod
        of the removed controller, and one whose label somebody has taken off, are found by owner.
        One that nobody owns may outlive the resource.
        """
        namespace = pod["metadata"]["namespace"]
        yield from self._owners(pod)
        for label in instance(pod):
            for server in self._caches.servers.by_index(INDEX_INSTANCE, label):
                if server["metadata"]["namespace"] == namespace:
                    yield _request(server)
        for owner in pod["metadata"].get("ownerReferences") or ():
            replica_set = self._caches.replica_sets.get(namespace, owner["name"])
            if replica_set is not None:
                yield from self._owners(replica_set)
        for prefix in released(pod):
            servers = self._caches.servers.by_index(INDEX_RELEASED, prefix)
            found = [one for one in servers if one["metadata"]["namespace"] == namespace]
            # Nobody knows the name of a resource that is gone. This one leads to the same pods.
            yield from map(_request, found) if found else [Request(namespace, prefix)]

    def servers_that_name(self, secret: Object) -> Iterable[Request]:
        """Name the resources that refer to a Secret."""
        name = secret["metadata"]["name"]
        return map(_request, self._caches.servers.by_index(INDEX_SECRET, name))

    def servers_that_run_as(self, account: Object) -> Iterable[Request]:
        """Name the resources that run as a ServiceAccount, or would where they name none."""
        name = account["metadata"]["name"]
        found = self._caches.servers.by_index(INDEX_ACCOUNT, name)
        if name == self._default_account:
            found = [*found, *self._caches.servers.by_index(INDEX_ACCOUNT, "")]
        return map(_request, found)


def _request(obj: Object) -> Request:
    return Request(obj["metadata"]["namespace"], obj["metadata"]["name"])
