"""Which informers wake which reconciler, and what it works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from controller.cache.informer import RESYNC_PERIOD, Informer, default_trim
from controller.cache.mutationcache import MutationCache
from controller.conditions import conditions_of, get_condition
from controller.controller import Controller, Request
from controller.events import EventRecorder
from controller.health import HealthServer, MetricsServer
from controller.leaderelection.elector import LeaderElector, lease_informer, new_identity
from controller.leaderelection.fence import Fence, always_open
from controller.manager import Group, Manager
from controller.metrics import Metrics
from controller.rest.client import Client
from controller.rest.podexec import Executor
from controller.rest.transport import Transport
from controller.workqueue.ratelimit import ExponentialRateLimiter
from reconcilers.options import PROGRAM
from reconcilers.repositoryserver import api, children, endpoints, resources, status
from reconcilers.repositoryserver.applier import owner_uids
from reconcilers.repositoryserver.context import INDEX_OWNER, INDEX_SERVICE, Caches
from reconcilers.repositoryserver.metrics import RepositoryServerCollector
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.repositoryserver.sharing import Repositories
from reconcilers.repositoryserver.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kubernetes.client import ApiClient

    from controller.cache.store import IndexFunction, Store
    from controller.clock import Clock
    from controller.controller import Predicate
    from controller.resource import Object, Resource
    from reconcilers.options import Options
    from reconcilers.repositoryserver.commands import Executor as CommandExecutor

CONTROLLER = "repositoryserver"

# Seconds between two tries of a reconcile that the API server refuses, at most. A right that was
# missing is noticed a minute after it was given, at the cost of one request a minute; client-go's
# 1000 s would leave a user waiting for a quarter of an hour. A pod that is refused, by a quota say,
# ends no reconcile: reconciler.UNREADY_RECHECK_SECONDS holds for it.
MAX_RETRY_SECONDS = 60.0

INDEX_SECRET = "secret"  # noqa: S105 - an index's name

# apimachinery pkg/apis/meta/v1, Condition: its required fields.
CONDITION_FIELDS = frozenset({"type", "status", "reason", "message", "lastTransitionTime"})


def build(
    options: Options,
    namespace: str,
    api_client: ApiClient,
    clock: Clock,
    *,
    executor: CommandExecutor | None = None,
    resync_period: float = RESYNC_PERIOD,
) -> Manager:
    """Put the process together; nothing runs yet, but the ports are open.

    Args:
        options: What the command was told.
        namespace: The namespace to serve.
        api_client: A connection to the API server.
        clock: The time.
        executor: Runs commands in pods; by exec requests unless given.
        resync_period: Seconds between two resyncs of the informers.

    Raises:
        OSError: A port cannot be had.
    """
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    fence = Fence(clock)
    guard = fence.check if options.leader_elect else always_open
    # Reads, writes the Lease, since what opens the fence cannot wait for it, and tells events, the
    # last one of which comes after the fence was closed.
    transport = Transport(api_client, clock=clock, metrics=metrics)
    unfenced = Client(transport, field_manager=PROGRAM)
    client = Client(transport, field_manager=PROGRAM, fence=guard)
    recorder = EventRecorder(unfenced, component=PROGRAM, clock=clock)
    sources = Sources(unfenced, namespace, clock, metrics, resync_period)
    registry.register(RepositoryServerCollector(sources.servers))
    repositories = Repositories()
    reconciler = RepositoryServerReconciler(
        client=client,
        executor=executor or Executor(transport, fence=guard),
        caches=sources.caches,
        recorder=recorder,
        clock=clock,
        image=options.server_image,
        turns=Turns(options.max_concurrent_replacements, clock=clock),
        repositories=repositories,
    )
    loop = Controller(
        CONTROLLER,
        reconciler,
        clock=clock,
        metrics=metrics,
        workers=options.workers,
        rate_limiter=ExponentialRateLimiter(maximum=MAX_RETRY_SECONDS),
    )
    sources.wake(loop, repositories)

    manager = Manager(clock=clock)
    healthz = {**manager.healthz(), "controller": loop.hung}
    if options.leader_elect:
        terms = options.lease_terms(namespace)
        leases = lease_informer(unfenced, terms, clock=clock, metrics=metrics)
        elector = LeaderElector(
            unfenced,
            terms,
            identity=new_identity(),
            fence=fence,
            recorder=recorder,
            clock=clock,
            metrics=metrics,
        )
        leases.add_handler(elector)
        manager.add_cache(leases)
        manager.set_elector(elector)
        healthz["leaderElection"] = elector.hung
    manager.add(recorder, Group.RECORDERS)
    manager.add(
        HealthServer(options.health_probe_bind_address, healthz=healthz, readyz=manager.readyz()),
        Group.SERVERS,
    )
    manager.add(MetricsServer(options.metrics_bind_address, registry), Group.SERVERS)
    for informer in sources.informers:
        manager.add_cache(informer)
    manager.add(loop, Group.CONTROLLERS)
    return manager


class Sources:
    """The informers of a namespace and the caches over them."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        clock: Clock,
        metrics: Metrics,
        resync_period: float,
    ) -> None:
        self._followed: list[tuple[Informer, MutationCache]] = []

        def follow(
            resource: Resource,
            indexers: Mapping[str, IndexFunction],
            *,
            metadata_only: bool = False,
            label_selector: str = "",
            trim: Callable[[Object], Object] = default_trim,
        ) -> tuple[Informer, MutationCache]:
            informer = Informer(
                client,
                resource,
                namespace,
                clock=clock,
                metrics=metrics,
                indexers=indexers,
                metadata_only=metadata_only,
                label_selector=label_selector,
                trim=trim,
                resync_period=resync_period,
            )
            cache = MutationCache(
                informer.store, clock=clock, indexers=indexers, metadata_only=metadata_only
            )
            informer.set_overlay(cache)
            self._followed.append((informer, cache))
            return informer, cache

        by_owner = {INDEX_OWNER: owner_uids}
        self._servers, servers = follow(
            resources.REPOSITORY_SERVERS, {INDEX_SECRET: api.secret_names}, trim=trim_server
        )
        # Of Secrets only names and versions: no content is ever in memory for longer than a use.
        self._secrets, secrets = follow(resources.SECRETS, by_owner, metadata_only=True)
        self._pods, pods = follow(resources.PODS, by_owner, trim=trim_pod)
        self._services, services = follow(resources.SERVICES, by_owner)
        self._policies, policies = follow(resources.NETWORK_POLICIES, by_owner)
        self._slices, slices = follow(
            resources.ENDPOINT_SLICES,
            {INDEX_SERVICE: endpoints.service_of},
            # The endpoint slice controller copies the labels of the Service.
            label_selector=f"{children.LABEL_MANAGED_BY}={children.MANAGER}",
            trim=trim_slice,
        )
        self.caches = Caches(
            servers=servers,
            pods=pods,
            services=services,
            network_policies=policies,
            secrets=secrets,
            endpoint_slices=slices,
        )

    @property
    def informers(self) -> list[Informer]:
        """All of them."""
        return [informer for informer, _ in self._followed]

    @property
    def servers(self) -> Store:
        """The RepositoryServers as they were last seen."""
        return self._servers.store

    def wake(self, loop: Controller, repositories: Repositories) -> None:
        """Let a controller reconcile what changes concern.

        Args:
            loop: The controller.
            repositories: Tells who is concerned by a change of another server.
        """
        # A pass goes on from the status that it has written and from the children that it has made:
        # neither wakes the resource again.
        loop.watch(
            self._servers, lambda obj: [_request(obj)], predicate=self.caches.servers.is_news
        )
        for informer, cache in (
            (self._pods, self.caches.pods),
            (self._policies, self.caches.network_policies),
            (self._secrets, self.caches.secrets),
        ):
            loop.watch(informer, owners, predicate=_unless_made_by(cache))
        # But it may wake others.
        loop.watch(
            self._servers,
            lambda obj: repositories.sharing(_request(obj)),
            predicate=_matters_to_sharing,
        )
        loop.watch(self._secrets, self._referring_to_secret)
        # A Service tells whom its EndpointSlices concern, which can be seen before it.
        loop.watch(self._services, owners)
        loop.watch(self._slices, self._owners_of_service)
        # After the predicates, which ask for the writes that a cache then forgets.
        for informer, cache in self._followed:
            informer.add_handler(cache)

    def _owners_of_service(self, obj: Object) -> Iterable[Request]:
        """Name the resource that owns the Service of an EndpointSlice."""
        for name in endpoints.service_of(obj):
            service = self._services.store.get(obj["metadata"]["namespace"], name)
            if service is not None:
                yield from owners(service)

    def _referring_to_secret(self, obj: Object) -> Iterable[Request]:
        """Name the resources that refer to a Secret."""
        name = obj["metadata"]["name"]
        yield from map(_request, self._servers.store.by_index(INDEX_SECRET, name))


def _matters_to_sharing(old: Object | None, new: Object | None) -> bool:
    """Return whether a server has gone, or has found that others have its repository.

    Each of a hundred on one repository would otherwise wake all others with each of its stages.
    """
    if old is None or new is None:
        return True
    before, after = (
        get_condition(conditions_of(obj), status.REPOSITORY_SHARED) for obj in (old, new)
    )
    return before != after


def _unless_made_by(cache: MutationCache) -> Predicate:
    """Return what lets every change matter but the creation of an object by this process."""
    return lambda old, new: old is not None or cache.is_news(old, new)


def owners(obj: Object) -> Iterable[Request]:
    """Name the resources that own an object.

    By name, as controller-runtime pkg/handler/enqueue_owner.go: where a resource was deleted and
    made again at once, its successor waits for the children of the first to go, and their end must
    wake it.
    """
    for reference in obj["metadata"].get("ownerReferences") or ():
        group = reference["apiVersion"].rpartition("/")[0]
        if (group, reference["kind"]) == (api.GROUP, api.KIND):
            yield Request(obj["metadata"]["namespace"], reference["name"])


def trim_server(obj: Object) -> Object:
    """Drop the conditions that lack something: the CRD asks for their types only.

    Only another hand can have written them. The controller, which then knows of none, writes its
    own in their place.
    """
    default_trim(obj)
    told = obj.get("status") or {}
    if told.get("conditions"):
        kept = [one for one in told["conditions"] if one.keys() >= CONDITION_FIELDS]
        obj["status"] = {**told, "conditions": kept}
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


def _request(obj: Object) -> Request:
    return Request(obj["metadata"]["namespace"], obj["metadata"]["name"])
