"""The metric families of the runtime.

Names, labels and buckets are those of controller-runtime (pkg/internal/controller/metrics,
pkg/internal/metrics/workqueue.go, pkg/metrics/client_go_adapter.go, pkg/metrics/leaderelection.go).
Dashboards and alerts for Go operators work with them. Two families of its REST client are missing:
there is no client-side rate limiter, and name resolution cannot be observed. The `informer_*` and
`pod_command*` families are this runtime's own. Those of the work queues are in
`controller.workqueue.metrics`.

`labels()` takes a lock and builds a tuple. Code in a hot path keeps the child that it returns.
"""

import contextlib
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from controller.workqueue.metrics import WorkqueueCollector

#: The kinds of names that label series, for `Metrics.claim`.
INFORMER: Final = "an informer"
CONTROLLER: Final = "a controller"
TAKEN: Final = "there is {kind} named {name!r} already: give each a name of its own"

#: Values of the label `result` of `reconcile_total`, one for each outcome of the worker loop.
RESULTS: Final = ("success", "error", "requeue", "requeue_after")

RECONCILE_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5),
    *(5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60),
)
REQUEST_SECONDS_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
REQUEST_SIZE_BUCKETS: Final = (
    *(64, 256, 512, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216),
)
#: A command may look something up in milliseconds, or copy data for hours.
COMMAND_SECONDS_BUCKETS: Final = (
    *(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30),
    *(60, 300, 900, 3600, 14400),
)


class Metrics:
    """The metric families of one process.

    Each family is a public attribute; its help text says what it counts.

    Args:
        registry: Where all families are registered, and the collectors for the process, the
            platform and the garbage collector. A registry takes one instance.

    Raises:
        ValueError: The registry has these families already.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # The Go client exports no series of creation times. This switch is global in the library.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        #: Where the families are registered.
        self.registry = registry

        self.reconcile_total = Counter(
            "controller_runtime_reconcile_total",
            "Reconciliations, by controller and result.",
            ("controller", "result"),
            registry=registry,
        )
        self.reconcile_errors_total = Counter(
            "controller_runtime_reconcile_errors_total",
            "Reconciliations that ended in an error, terminal ones among them.",
            ("controller",),
            registry=registry,
        )
        self.terminal_reconcile_errors_total = Counter(
            "controller_runtime_terminal_reconcile_errors_total",
            "Reconciliations that ended in an error which no retry can mend.",
            ("controller",),
            registry=registry,
        )
        self.reconcile_panics_total = Counter(
            "controller_runtime_reconcile_panics_total",
            "Reconciliations that ended in an exception which the reconciler did not foresee.",
            ("controller",),
            registry=registry,
        )
        self.reconcile_timeouts_total = Counter(
            "controller_runtime_reconcile_timeouts_total",
            "Reconciliations that ran into the controller's deadline.",
            ("controller",),
            registry=registry,
        )
        self.reconcile_time_seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of reconciliations.",
            ("controller",),
            buckets=RECONCILE_BUCKETS,
            registry=registry,
        )
        self.max_concurrent_reconciles = Gauge(
            "controller_runtime_max_concurrent_reconciles",
            "Workers that the controller has.",
            ("controller",),
            registry=registry,
        )
        self.active_workers = Gauge(
            "controller_runtime_active_workers",
            "Workers that are reconciling now.",
            ("controller",),
            registry=registry,
        )

        #: The families of the work queues. Each queue registers itself.
        self.workqueue = WorkqueueCollector()
        registry.register(self.workqueue)

        self.rest_requests_total = Counter(
            "rest_client_requests_total",
            "Requests to the API server; the code is <error> where no answer came.",
            ("code", "method", "host"),
            registry=registry,
        )
        self.rest_request_duration_seconds = Histogram(
            "rest_client_request_duration_seconds",
            "Time from sending a request to the API server until its answer.",
            ("verb", "host"),
            buckets=REQUEST_SECONDS_BUCKETS,
            registry=registry,
        )
        self.rest_request_size_bytes = Histogram(
            "rest_client_request_size_bytes",
            "Size of the bodies sent to the API server.",
            ("verb", "host"),
            buckets=REQUEST_SIZE_BUCKETS,
            registry=registry,
        )
        self.rest_response_size_bytes = Histogram(
            "rest_client_response_size_bytes",
            "Size of the bodies received from the API server.",
            ("verb", "host"),
            buckets=REQUEST_SIZE_BUCKETS,
            registry=registry,
        )
        self.rest_request_retries_total = Counter(
            "rest_client_request_retries_total",
            "Requests to the API server that were sent once more.",
            ("code", "verb", "host"),
            registry=registry,
        )

        self.leader_election_master_status = Gauge(
            "leader_election_master_status",
            "Whether this process holds the lease of that name: 1 when it leads, 0 when not.",
            ("name",),
            registry=registry,
        )

        self.informer_store_objects = Gauge(
            "informer_store_objects",
            "Objects in the informer's store.",
            ("resource",),
            registry=registry,
        )
        self.informer_last_contact_seconds = Gauge(
            "informer_last_contact_seconds",
            "Time since the informer's last event or bookmark.",
            ("resource",),
            registry=registry,
        )
        self.informer_relists_total = Counter(
            "informer_relists_total",
            "Times that the informer fetched all objects anew.",
            ("resource",),
            registry=registry,
        )

        # `kind` is the reconciler's name for what a command does, `pool` is short or long.
        command = ("kind", "pool")
        self.pod_commands_running = Gauge(
            "pod_commands_running",
            "Commands that run in pods now.",
            command,
            registry=registry,
        )
        self.pod_command_duration_seconds = Histogram(
            "pod_command_duration_seconds",
            "Time from the start of a command in a pod until its end, be it a failure.",
            command,
            buckets=COMMAND_SECONDS_BUCKETS,
            registry=registry,
        )
        self.pod_command_failures_total = Counter(
            "pod_command_failures_total",
            "Commands in pods that have failed, by cause.",
            (*command, "cause"),
            registry=registry,
        )

        # The values of the labels `resource` and `controller` that are in use.
        self._claimed: set[tuple[str, str]] = set()

        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def claim(self, kind: str, name: str) -> None:
        """Reserve a name for the series of an informer or a controller.

        Args:
            kind: `INFORMER` or `CONTROLLER`.
            name: The value of the label of its series.

        Raises:
            ValueError: The name is taken. The two would overwrite each other's gauges.
        """
        if (kind, name) in self._claimed:
            raise ValueError(TAKEN.format(kind=kind, name=name))
        self._claimed.add((kind, name))

    def forget_informer(self, name: str) -> None:
        """Remove the series of an informer, and free its name."""
        self._claimed.discard((INFORMER, name))
        for family in (
            self.informer_store_objects,
            self.informer_last_contact_seconds,
            self.informer_relists_total,
        ):
            with contextlib.suppress(KeyError):
                family.remove(name)
