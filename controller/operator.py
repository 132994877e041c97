"""An operator: one process with its clients, informers, lease, probes, metrics and controllers.

The counterpart of controller-runtime's manager.New and builder. docs/runtime.md has a complete
operator of thirty lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from controller.builder import Builder
from controller.cache.informer import RESYNC_PERIOD
from controller.cache.shared import ALL_NAMESPACES, Informers
from controller.clock import SystemClock
from controller.commands import Commands
from controller.events import EventRecorder
from controller.health import DISABLED, HealthServer, MetricsServer
from controller.leaderelection.elector import LeaderElector
from controller.leaderelection.fence import Fence, always_open
from controller.leaderelection.lease import new_identity
from controller.manager import Group, Manager
from controller.metrics import Metrics
from controller.rest.client import Client
from controller.rest.podexec import Executor
from controller.rest.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kubernetes.client import ApiClient

    from controller.cache.shared import Selection, SharedInformer
    from controller.cache.store import IndexFunction
    from controller.clock import Clock
    from controller.commands import Executor as CommandExecutor
    from controller.leaderelection.lease import LeaseTerms
    from controller.manager import Runnable
    from controller.reconcile import Request
    from controller.resource import Object, Resource
    from controller.stop import Stop


class Operator:
    """Everything that controllers share, wired in the one order that works.

    The ports are open once it is made; nothing else runs before `run`.

    Args:
        api_client: A connection to the API server, as `load_api_client` returns it.
        name: Field manager of its writes, and reporter of its events.
        namespaces: Those whose objects it follows; `ALL_NAMESPACES` for all.
        clock: The time.
        lease: What its replicas agree on, so that one works at a time; None for a single one.
        metrics_address: Where `/metrics` is served, `host:port` or `:port`; `0` for nowhere.
        health_address: The same for `/healthz` and `/readyz`.
        resync_period: Seconds between two resyncs of an informer, give or take a tenth.
        executor: Runs commands in pods. Default: by exec requests.

    Raises:
        OSError: A port cannot be had.
    """

    def __init__(
        self,
        api_client: ApiClient,
        name: str,
        *,
        namespaces: Iterable[str] = ALL_NAMESPACES,
        clock: Clock | None = None,
        lease: LeaseTerms | None = None,
        metrics_address: str = DISABLED,
        health_address: str = DISABLED,
        resync_period: float = RESYNC_PERIOD,
        executor: CommandExecutor | None = None,
    ) -> None:
        #: The time.
        self.clock = clock or SystemClock()
        #: Collectors that are registered here are served at `/metrics`.
        self.registry = CollectorRegistry()
        #: The metric families of the runtime.
        self.metrics = Metrics(self.registry)
        fence = Fence(self.clock)
        guard = fence.check if lease is not None else always_open
        transport = Transport(api_client, clock=self.clock, metrics=self.metrics)
        # Reads, writes the Lease, since what opens the fence cannot wait for it, and delivers
        # events, the last of which comes after the fence was closed.
        unfenced = Client(transport, field_manager=name)
        #: The shared informers.
        self.informers = Informers(
            unfenced,
            namespaces,
            clock=self.clock,
            metrics=self.metrics,
            resync_period=resync_period,
        )
        #: Reads and writes objects, the latter only while this process leads. The informers show
        #: what it has written at once.
        self.client = Client(
            transport, field_manager=name, fence=guard, on_write=self.informers.written
        )
        self._executor = executor or Executor(transport, fence=guard)
        #: Records events.
        self.recorder = EventRecorder(unfenced, component=name, clock=self.clock)
        self._manager = Manager(clock=self.clock, has_synced=self.informers.has_synced)
        if lease is not None:
            elector = LeaderElector(
                unfenced,
                lease,
                identity=new_identity(),
                fence=fence,
                recorder=self.recorder,
                clock=self.clock,
                metrics=self.metrics,
            )
            self._manager.set_elector(elector)
            # Not among the caches: without the right to watch the Lease the elector asks for it.
            self.add(elector.informer, Group.ELECTION)
        self.add(self.recorder, Group.RECORDERS)
        manager = self._manager
        self.add(
            HealthServer(health_address, healthz=manager.healthz, readyz=manager.readyz),
            Group.SERVERS,
        )
        self.add(MetricsServer(metrics_address, self.registry), Group.SERVERS)

    def informer(
        self,
        resource: Resource,
        selection: Selection | None = None,
        *,
        name: str = "",
        optional: bool = False,
        indexers: Mapping[str, IndexFunction] | None = None,
        trim: Callable[[Object], Object] | None = None,
    ) -> SharedInformer:
        """Return the informer of a resource; see `Informers.informer`. Before `run`."""
        return self.informers.informer(
            resource, selection, name=name, optional=optional, indexers=indexers, trim=trim
        )

    def controller(self, name: str) -> Builder:
        """Begin a controller; its `complete` adds it to the operator. Before `run`.

        Args:
            name: Labels metrics and logs; unique in the process.
        """
        return Builder(
            name,
            informers=self.informers,
            clock=self.clock,
            metrics=self.metrics,
            make_commands=self._make_commands,
            add=lambda controller: self.add(controller, Group.CONTROLLERS),
        )

    def add(self, runnable: Runnable, group: Group = Group.OTHERS) -> None:
        """Have a further part run with the process; see `Manager.add`."""
        self._manager.add(runnable, group)

    def add_namespace(self, namespace: str) -> None:
        """Follow the objects of one more namespace, also while the operator runs."""
        for informer in self.informers.add_namespace(namespace):
            self.add(informer, Group.CACHES)

    def remove_namespace(self, namespace: str) -> None:
        """Follow the objects of a namespace no longer, also while the operator runs.

        They are gone from the caches at once, and each is reconciled once more: a reconciler does
        what it does for an object that was deleted.
        """
        for informer in self.informers.remove_namespace(namespace):
            self._manager.remove(informer)

    def run(self, stop: Stop) -> None:
        """Run until told to stop, or until a part fails; see `Manager.run`.

        Args:
            stop: Ends it in good order, with the lease released.

        Raises:
            RunnableFailed: A part failed, or did not end in its time. The process should end hard.
        """
        for shared in self.informers.all():
            for informer in shared.informers:
                self.add(informer, Group.CACHES)
        self._manager.run(stop)

    def _make_commands(self, name: str, enqueue: Callable[[Request], None]) -> Commands:
        commands = Commands(
            name, self._executor, clock=self.clock, metrics=self.metrics, enqueue=enqueue
        )
        self.add(commands, Group.CONTROLLERS)
        return commands
