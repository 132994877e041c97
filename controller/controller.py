"""A controller: informers fill its queue, and workers pass the requests to a reconciler.

Follows controller-runtime pkg/internal/controller/controller.go. The worker loop alone decides
whether and when a request is reconciled again.
"""

import threading
import uuid
from queue import SimpleQueue
from typing import Final, Protocol

import structlog
from structlog.contextvars import bound_contextvars

from controller.cache.informer import Handler
from controller.clock import Clock, Deadline, DeadlineExceeded
from controller.errors import ClientError, Stopped, pause_asked_for
from controller.handler import EnqueueRequests, Mapper, Predicate, any_change
from controller.health import CheckFailed
from controller.metrics import CONTROLLER, RESULTS, Metrics
from controller.reconcile import Reconciler, Request, Result, TerminalError
from controller.resource import Object, Resource
from controller.stop import Stop
from controller.workqueue.queue import PriorityQueue
from controller.workqueue.ratelimit import RateLimiter

#: Seconds for one reconcile. controller-runtime sets no limit (`ReconciliationTimeout`).
DEFAULT_RECONCILE_TIMEOUT: Final = 120.0

#: A reconcile counts as hung after so many times its timeout. The deadline bounds each of its
#: requests. Writing the status about a missed deadline may take a second one.
HUNG_DEADLINES: Final = 2

#: Seconds until it is looked again whether a namespace has synced.
UNSYNCED_PAUSE_SECONDS: Final = 1.0

HUNG: Final = "{name}: a reconcile has run for {running:.0f} s, its deadline is {limit:g} s"
NO_WORKERS: Final = "{name}: workers is {workers}, must be 1 or more"
NO_RESULT: Final = "the reconciler returned {type}, must be Result"
STARTED_TWICE: Final = "{name} was started before: its queue is shut down for good"

#: One entry for each worker that has ended: its error, or None.
_Ends = SimpleQueue[BaseException | None]

_log = structlog.get_logger()


class Source(Protocol):
    """An informer that a controller watches, as `controller.cache.shared.SharedInformer`."""

    @property
    def resource(self) -> Resource:
        """The resource that it follows."""

    def add_handler(self, handler: Handler) -> None:
        """Call a handler with all changes."""

    def has_synced(self, namespace: str = "") -> bool:
        """Return whether the handlers were called with the first list.

        Args:
            namespace: Only this namespace. Default: all.
        """

    def is_own_write(self, obj: Object) -> bool:
        """Return whether an object is exactly as a write of this process has left it."""


class _Unsynced:
    """The requests of namespaces that have not synced.

    One of each namespace comes back to the queue again and again, to see whether it has. The others
    cost nothing meanwhile: thousands may wait for a right that is missing.
    """

    def __init__(self) -> None:
        # Guards the changes of the field below.
        self._lock = threading.Lock()
        # By namespace the requests, with the highest priority that each was added with. The first
        # one of a namespace is in the queue as well.
        self._parked: dict[str, dict[Request, int]] = {}

    def park(self, request: Request, priority: int) -> bool:
        """Keep a request. Return whether the caller has to add it to the queue again."""
        with self._lock:
            parked = self._parked.setdefault(request.namespace, {})
            parked[request] = max(priority, parked.get(request, priority))
            return next(iter(parked)) == request

    def release(self, namespace: str) -> list[tuple[Request, int]]:
        """Forget the requests of a namespace, which has synced, and return them."""
        if namespace not in self._parked:
            return []
        with self._lock:
            return list(self._parked.pop(namespace, {}).items())


class Controller:
    """A queue and the workers that reconcile what is in it. A runnable that runs once.

    Args:
        name: Labels metrics and logs. Unique in the process.
        reconciler: Reconciles the objects.
        clock: Times reconciles, delays and deadlines.
        metrics: Exports the series of the controller and its queue.
        workers: How many objects are reconciled at the same time. Default: 1.
        rate_limiter: Delays retries. Default: exponential, from 5 ms to 1000 s.
        reconcile_timeout: Seconds for one reconcile, its deadline. Default: 120.

    Raises:
        ValueError: `workers` is below 1, or another controller has this name.
    """

    def __init__(
        self,
        name: str,
        reconciler: Reconciler,
        *,
        clock: Clock,
        metrics: Metrics,
        workers: int = 1,
        rate_limiter: RateLimiter | None = None,
        reconcile_timeout: float = DEFAULT_RECONCILE_TIMEOUT,
    ) -> None:
        #: Its name in logs, errors and probes.
        self.name = f"controller {name}"
        if workers < 1:
            raise ValueError(NO_WORKERS.format(name=self.name, workers=workers))
        metrics.claim(CONTROLLER, name)
        self._label = name
        self._reconciler = reconciler
        self._clock = clock
        self._workers = workers
        self._reconcile_timeout = reconcile_timeout
        self._queue: PriorityQueue[Request] = PriorityQueue(
            name, clock=clock, metrics=metrics.workqueue, rate_limiter=rate_limiter
        )
        self._sources: list[Source] = []
        self._unsynced = _Unsynced()
        self._started = False
        # The stop in the deadline of each reconcile. `run` replaces it.
        self._stop = Stop()

        # The series must exist before the first error, or a rate over them misses it.
        self._results = {result: metrics.reconcile_total.labels(name, result) for result in RESULTS}
        self._errors = metrics.reconcile_errors_total.labels(name)
        self._terminal_errors = metrics.terminal_reconcile_errors_total.labels(name)
        self._panics = metrics.reconcile_panics_total.labels(name)
        self._timeouts = metrics.reconcile_timeouts_total.labels(name)
        self._time = metrics.reconcile_time_seconds.labels(name)
        self._active = metrics.active_workers.labels(name)
        metrics.max_concurrent_reconciles.labels(name).set(workers)

    def watch(self, source: Source, mapper: Mapper, predicate: Predicate = any_change) -> None:
        """Enqueue the requests for the changes of an informer. Call it before `run`.

        Args:
            source: The informer. The controller does not run it.
            mapper: Returns the requests for an object.
            predicate: Returns whether a change matters. Default: every change does.
        """
        self._sources.append(source)
        source.add_handler(EnqueueRequests(self.enqueue, mapper, predicate, source.is_own_write))

    def enqueue(self, request: Request, priority: int = 0, after: float = 0.0) -> None:
        """Add a request to the queue. See `PriorityQueue.add`.

        Args:
            request: The object to reconcile.
            priority: Higher ones come first. Default: 0.
            after: Seconds until it may be reconciled. Default: 0.
        """
        self._queue.add(request, priority=priority, after=after)

    def check_alive(self) -> None:
        """Return if no worker hangs. A check of the liveness probe.

        Raises:
            CheckFailed: A reconcile has run for more than `HUNG_DEADLINES` times its timeout.
        """
        running, limit = self._queue.longest_running(), self._reconcile_timeout
        if running > HUNG_DEADLINES * limit:
            raise CheckFailed(HUNG.format(name=self.name, running=running, limit=limit))

    def run(self, stop: Stop) -> None:
        """Reconcile until the stop is set.

        A request waits while one of the informers has not synced its namespace: a reconcile must
        not take what is missing in a cache for deleted. A namespace that cannot be listed does not
        hold up the others.

        Args:
            stop: Ends this when the reconciles that are under way have ended. Their requests are
                cut if they hang.

        Raises:
            RuntimeError: The controller was started before.
            Exception: A worker failed. The others end after the reconcile that they are at.
        """
        if self._started:
            raise RuntimeError(STARTED_TWICE.format(name=self.name))
        self._started = True
        self._stop = stop
        # A worker that fails ends this at once. Going on with one worker less would hide the fault.
        ends: _Ends = SimpleQueue()
        take_back = stop.call_back(self._queue.shut_down)
        for number in range(self._workers):
            self._start_worker(number, ends)
        try:
            for _ in range(self._workers):
                error = ends.get()
                if error is not None:
                    raise error
        finally:
            take_back()
            self._queue.shut_down()

    def _start_worker(self, number: int, ends: _Ends) -> None:
        threading.Thread(
            target=self._work, args=(ends,), name=f"{self._label}-{number}", daemon=True
        ).start()

    def _work(self, ends: _Ends) -> None:
        try:
            while self._process_next():
                pass
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            ends.put(error)
        else:
            ends.put(None)

    def _has_synced(self, namespace: str) -> bool:
        # Asked for each request: a namespace may be removed and added, a CRD be installed later.
        return all(source.has_synced(namespace) for source in self._sources)

    def _process_next(self) -> bool:
        """Reconcile the next request. Return False if the queue is shut down."""
        taken = self._queue.get()
        if taken is None:
            return False
        request, priority = taken
        if not self._has_synced(request.namespace):
            if self._unsynced.park(request, priority):
                self._queue.add(request, priority=priority, after=UNSYNCED_PAUSE_SECONDS)
            self._queue.done(request)
            return True
        for parked, its_priority in self._unsynced.release(request.namespace):
            if parked != request:
                self._queue.add(parked, priority=its_priority)
        self._active.inc()
        started = self._clock.monotonic()
        try:
            # Bound here, since a thread starts without a logging context.
            with bound_contextvars(
                controller=self._label,
                namespace=request.namespace,
                name=request.name,
                reconcileID=str(uuid.uuid4()),
            ):
                self._handle(request, priority)
        finally:
            # After `_handle`, which may add the request again: no other worker gets it before this.
            self._queue.done(request)
            self._time.observe(self._clock.monotonic() - started)
            self._active.dec()
        return True

    def _handle(self, request: Request, priority: int) -> None:
        """Reconcile one request. Each outcome is one branch here (`reconcileHandler`)."""
        deadline = Deadline.after(self._clock, self._reconcile_timeout, stop=self._stop)
        try:
            result = self._reconcile(request, deadline)
        except TerminalError as error:
            # Not added again, and not forgotten: the next failure is not the first one.
            self._terminal_errors.inc()
            self._count_error()
            _log.error("reconcile failed for good", error=str(error))
        except DeadlineExceeded as error:
            # The deadline of the reconcile, or an earlier one that leaves time for the status.
            self._timeouts.inc()
            self._count_error()
            self._retry(request, priority)
            _log.error("reconcile ran out of time", error=str(error))
        except Stopped as error:
            # Not added again: the queue is shut down, and the next process starts from the API.
            _log.info("reconcile cut short by the stop", error=str(error))
        except ClientError as error:
            self._count_error()
            self._retry(request, priority, at_least=pause_asked_for(error))
            _log.error("reconcile failed", error=str(error))
        except Exception:  # noqa: BLE001 - a bug in a reconciler must not end the worker
            self._panics.inc()
            self._count_error()
            self._retry(request, priority)
            _log.exception("reconcile panicked")
        else:
            if result.priority is not None:
                priority = result.priority
            if result.requeue_after is not None:
                self._results["requeue_after"].inc()
                # A success: the delay after the next failure is the shortest again.
                self._queue.forget(request)
                self._queue.add(request, priority=priority, after=result.requeue_after)
            elif result.requeue:
                self._results["requeue"].inc()
                self._retry(request, priority)
            else:
                self._results["success"].inc()
                self._queue.forget(request)

    def _reconcile(self, request: Request, deadline: Deadline) -> Result:
        # Nothing but a type checker keeps a reconciler from returning None on one of its ways.
        result: object = self._reconciler.reconcile(request, deadline)
        if not isinstance(result, Result):
            raise TypeError(NO_RESULT.format(type=type(result).__name__))
        return result

    def _retry(self, request: Request, priority: int, at_least: float = 0.0) -> None:
        self._queue.add(request, priority=priority, rate_limited=True, at_least=at_least)

    def _count_error(self) -> None:
        self._errors.inc()
        self._results["error"].inc()
