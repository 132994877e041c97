"""An operator: a process with its clients, informers, lease, probes, metrics and controllers.

The counterpart of controller-runtime's `manager.New` with its cluster, cache and client.
docs/runtime.md has a complete operator of thirty lines.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from controller.builder import Builder
from controller.cache.informer import RESYNC_PERIOD
from controller.cache.shared import ALL_NAMESPACES, Informers, Selection
from controller.clock import SystemClock
from controller.commands import Commands
from controller.events import EventRecorder
from controller.health import DISABLED, HealthServer, MetricsServer
from controller.leaderelection.elector import LeaderElector
from controller.leaderelection.fence import Fence
from controller.leaderelection.lease import new_identity
from controller.manager import Group, Manager
from controller.metrics import Metrics
from controller.rest.client import Client
from controller.rest.podexec import Executor
from controller.rest.podlogs import PodLogs
from controller.rest.transport import Transport, unfenced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kubernetes.client import ApiClient

    from controller.cache.informer import Informer
    from controller.cache.shared import SharedInformer
    from controller.cache.store import IndexFunction
    from controller.clock import Clock
    from controller.commands import Executor as CommandExecutor
    from controller.leaderelection.lease import LeaseTerms
    from controller.manager import Runnable
    from controller.reconcile import Request
    from controller.resource import Object, Resource
    from controller.stop import Stop

#: All objects of a kind, whole.
_WHOLE: Final = Selection()

NOT_FOLLOWED: Final = (
    "no informer follows all {resource}: name the resource to for_(), owns() or watches(), or ask"
    " for its informer, before run()"
)


class Operator:
    """The parts that all controllers of a process share.

    Its ports are open once it is made. Nothing else runs before `run`.

    Args:
        api_client: The connection to the API server, from `load_api_client`.
        name: The field manager of its writes, and the reporting controller of its events.
        namespaces: The namespaces to follow. Default: all.
        clock: The time. Default: the system's.
        lease: The Lease for which its replicas compete. Default: None, there is one replica.
        metrics_address: Where to serve `/metrics`: `host:port` or `:port`. Default: nowhere.
        metrics_cert_path: A folder with `tls.crt` and `tls.key` to serve `/metrics` with, as
            `MetricsServer`. Default: none, plain HTTP.
        health_address: Where to serve `/healthz` and `/readyz`. Default: nowhere.
        resync_period: Seconds between two resyncs of an informer, plus or minus a tenth. Default:
            10 h.
        executor: Runs commands in pods. Default: exec requests.

    Raises:
        OSError: A port is taken or not allowed, or there is no certificate for the metrics.
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
        metrics_cert_path: str = "",
        health_address: str = DISABLED,
        resync_period: float = RESYNC_PERIOD,
        executor: CommandExecutor | None = None,
    ) -> None:
        #: The time.
        self.clock = clock or SystemClock()
        #: The registry that `/metrics` serves. Register collectors of your own here.
        self.registry = CollectorRegistry()
        #: The metric families of the runtime.
        self.metrics = Metrics(self.registry)
        fence = Fence(self.clock)
        guard = fence.check if lease is not None else unfenced
        transport = Transport(api_client, clock=self.clock, metrics=self.metrics)
        # The elector writes the Lease before it opens the fence, and the last event is written
        # after the fence was closed. Informers only read.
        unfenced_client = Client(transport, field_manager=name)
        #: The shared informers.
        self.informers = Informers(
            unfenced_client,
            namespaces,
            clock=self.clock,
            metrics=self.metrics,
            resync_period=resync_period,
        )
        #: Reads and writes objects. It writes only while this process leads. The informers show its
        #: writes at once.
        self.client = Client(
            transport, field_manager=name, fence=guard, on_write=self.informers.written
        )
        self._executor = executor or Executor(transport, fence=guard)
        #: Reads the logs of containers.
        self.logs = PodLogs(transport)
        #: Records events.
        self.recorder = EventRecorder(unfenced_client, component=name, clock=self.clock)
        self._manager = Manager(clock=self.clock, has_synced=self.informers.has_synced)
        # Guards the changes of the namespaces and the field below.
        self._namespaces_lock = threading.Lock()
        # Whether the informers run. Before, those of a new namespace wait for `run`.
        self._started = False
        if lease is not None:
            elector = LeaderElector(
                unfenced_client,
                lease,
                identity=new_identity(),
                fence=fence,
                recorder=self.recorder,
                clock=self.clock,
                metrics=self.metrics,
            )
            self._manager.set_elector(elector)
            # Not a cache that is waited for: without the right to watch it never syncs, and the
            # elector polls.
            self.add(elector.informer, Group.ELECTION)
        self.add(self.recorder, Group.RECORDERS)
        manager = self._manager
        self.add(
            HealthServer(health_address, healthz=manager.healthz, readyz=manager.readyz),
            Group.SERVERS,
        )
        self.add(
            MetricsServer(metrics_address, self.registry, cert_path=metrics_cert_path),
            Group.SERVERS,
        )

    def informer(
        self,
        resource: Resource,
        selection: Selection | None = None,
        *,
        name: str = "",
        optional: bool = False,
        on_demand: bool = False,
        own_namespaces: bool = False,
        indexers: Mapping[str, IndexFunction] | None = None,
        trim: Callable[[Object], Object] | None = None,
    ) -> SharedInformer:
        """Return the shared informer of a resource (see `Informers.informer`).

        Call it before `run`.
        """
        return self.informers.informer(
            resource,
            selection,
            name=name,
            optional=optional,
            on_demand=on_demand,
            own_namespaces=own_namespaces,
            indexers=indexers,
            trim=trim,
        )

    def cached(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Return an object from the cache, with own writes.

        Args:
            resource: Its resource. An informer must follow all of it, without a selection.
            namespace: Its namespace; "" for a cluster-scoped object.
            name: Its name.

        Returns:
            The object, None if there is none. Never change it.

        Raises:
            ValueError: No informer follows all of the resource.
        """
        for shared in self.informers.all():
            if (shared.resource, shared.selection) == (resource, _WHOLE):
                return shared.get(namespace, name)
        raise ValueError(NOT_FOLLOWED.format(resource=resource.full_name))

    def controller(self, name: str) -> Builder:
        """Return a builder. Its `complete` adds the controller to this operator.

        Call it before `run`.

        Args:
            name: Labels metrics and logs. Unique in the process.
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
        """Run one more runnable with the process (see `Manager.add`)."""
        self._manager.add(runnable, group)

    def add_namespace(self, namespace: str) -> None:
        """Follow one more namespace. This may be called before `run` and while it runs."""
        with self._namespaces_lock:
            added = self.informers.add_namespace(namespace)
            if self._started:
                self._run_informers(added)

    def remove_namespace(self, namespace: str) -> None:
        """Stop following a namespace. This may be called before `run` and while it runs.

        Its objects are gone from the caches at once. Each is reconciled once more, as if it had
        been deleted.
        """
        with self._namespaces_lock:
            for informer in self.informers.remove_namespace(namespace):
                self._manager.remove(informer)

    def follow(self, shared: SharedInformer, namespace: str) -> None:
        """Follow one more namespace with an informer that has its own. A second call does nothing.

        Until its list has come, `shared.has_synced(namespace)` is False. This may be called before
        `run` and while it runs, from any thread but that of an informer.

        Args:
            shared: An informer that was made with `own_namespaces`.
            namespace: The namespace.
        """
        if shared.follows(namespace):
            return
        with self._namespaces_lock:
            informer = shared.add_namespace(namespace)
            if informer is not None and self._started:
                self._run_informers([informer])

    def run(self, stop: Stop) -> None:
        """Run until the stop is set or a runnable fails (see `Manager.run`).

        Args:
            stop: Ends this. The lease is released.

        Raises:
            RunnableFailed: A runnable failed, or did not end in its time. Then the process should
                exit at once.
        """
        with self._namespaces_lock:
            self._started = True
            for shared in self.informers.all():
                self._run_informers(shared.informers)
        self._manager.run(stop)

    def _run_informers(self, informers: Iterable[Informer]) -> None:
        for informer in informers:
            self.add(informer, Group.CACHES)

    def _make_commands(self, name: str, enqueue: Callable[[Request], None]) -> Commands:
        commands = Commands(
            name, self._executor, clock=self.clock, metrics=self.metrics, enqueue=enqueue
        )
        self.add(commands, Group.CONTROLLERS)
        return commands
