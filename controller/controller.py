"""A controller: informers fill its queue, workers empty it into a reconciler.

Follows controller-runtime pkg/internal/controller/controller.go. Nothing but the worker loop here
decides whether and when a request comes back; reconcilers say what happened and return.
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
from controller.reconcile import Reconciler, Request, TerminalError
from controller.resource import Object, Resource
from controller.stop import Stop
from controller.workqueue.queue import PriorityQueue
from controller.workqueue.ratelimit import RateLimiter

#: Seconds for one reconcile. controller-runtime sets no limit, but Go can cancel one.
DEFAULT_RECONCILE_TIMEOUT: Final = 120.0

#: A reconcile that runs for so many times its deadline will never end: every request is bounded by
#: the deadline, and the status about a missed one by a later one.
HUNG_DEADLINES: Final = 2

#: Seconds after which a request whose namespace has not synced is looked at again.
UNSYNCED_PAUSE_SECONDS: Final = 1.0

HUNG: Final = "{name}: a reconcile has run for {running:.0f} s, its deadline is {limit:g} s"
NO_WORKERS: Final = "{name}: workers is {workers}, must be 1 or more"
STARTED_TWICE: Final = "{name} was started before: its queue is shut down for good"

#: How each worker ended: with an error, or as it was told.
_Ends = SimpleQueue[BaseException | None]

_log = structlog.get_logger()


class Source(Protocol):
    """What a controller needs of an informer, as `controller.cache.shared.SharedInformer`."""

    @property
    def resource(self) -> Resource:
        """What it follows."""

    def add_handler(self, handler: Handler) -> None:
        """Call the handler with all changes."""

    def has_synced(self, namespace: str = "") -> bool:
        """Return whether the handlers know all objects of the first list.

        Args:
            namespace: Only those of this one; "" for all.
        """

    def is_own_write(self, obj: Object) -> bool:
        """Return whether a handler is called with what a write of this process has left."""


class Controller:
    """Workers that feed a reconciler from a queue. Runs once.

    Args:
        name: Labels metrics and logs; unique in the process.
        reconciler: Does the work.
        clock: Times the work.
        metrics: Counts it.
        workers: Reconciles at the same time, each of another object.
        rate_limiter: Delays retries. Default: the queue's own.
        reconcile_timeout: Seconds until the deadline that a reconcile is given.

    Raises:
        ValueError: There would be no worker, or another controller has this name.
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
        #: Its name among the parts of the process.
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
            name, clock=clock, metrics=metrics, rate_limiter=rate_limiter
        )
        self._sources: list[Source] = []
        self._started = False
        # Cuts the requests of a reconcile that hang when the controller is to end.
        self._stop = Stop()

        # All series exist from the start, so that a rate over them sees the first error too.
        self._results = {result: metrics.reconcile_total.labels(name, result) for result in RESULTS}
        self._errors = metrics.reconcile_errors_total.labels(name)
        self._terminal_errors = metrics.terminal_reconcile_errors_total.labels(name)
        self._panics = metrics.reconcile_panics_total.labels(name)
        self._timeouts = metrics.reconcile_timeouts_total.labels(name)
        self._time = metrics.reconcile_time_seconds.labels(name)
        self._active = metrics.active_workers.labels(name)
        metrics.max_concurrent_reconciles.labels(name).set(workers)

    def watch(self, source: Source, mapper: Mapper, predicate: Predicate = any_change) -> None:
        """Reconcile what an informer's changes map to. Call before `run`.

        Args:
            source: Where changes come from; somebody else runs it.
            mapper: Names the requests for an object.
            predicate: Whether a change matters.
        """
        self._sources.append(source)
        source.add_handler(EnqueueRequests(self.enqueue, mapper, predicate, source.is_own_write))

    def enqueue(self, request: Request, priority: int = 0, after: float = 0.0) -> None:
        """Have a request reconciled.

        Args:
            request: What to reconcile.
            priority: Higher ones come first.
            after: Seconds to wait before.
        """
        self._queue.add(request, priority=priority, after=after)

    def check_alive(self) -> None:
        """Return unless a worker hangs.

        Raises:
            CheckFailed: A reconcile has run for twice its deadline.
        """
        running, limit = self._queue.longest_running(), self._reconcile_timeout
        if running > HUNG_DEADLINES * limit:
            raise CheckFailed(HUNG.format(name=self.name, running=running, limit=limit))

    def run(self, stop: Stop) -> None:
        """Reconcile until told to stop.

        A request waits while one of the informers has not synced its namespace: a reconcile must
        not miss what is there. A namespace that cannot be listed does not hold up the others.

        Args:
            stop: Ends this once the reconciles that are under way have ended. Their requests are
                cut if they hang.

        Raises:
            RuntimeError: The controller was started before.
            Exception: A worker failed; the others may still be at work.
        """
        if self._started:
            raise RuntimeError(STARTED_TWICE.format(name=self.name))
        self._started = True
        self._stop = stop
        # What each worker ended with. One that fails ends this at once: work that goes on with a
        # worker less would be a fault that nobody sees.
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
        # Asked each time: a namespace may be removed and added again, a CRD installed later.
        return all(source.has_synced(namespace) for source in self._sources)

    def _process_next(self) -> bool:
        """Take one request through a reconcile; return False once the queue is shut down."""
        taken = self._queue.get()
        if taken is None:
            return False
        request, priority = taken
        if not self._has_synced(request.namespace):
            self._queue.add(request, priority=priority, after=UNSYNCED_PAUSE_SECONDS)
            self._queue.done(request)
            return True
        self._active.inc()
        started = self._clock.monotonic()
        try:
            # A thread starts without any context, so it is bound here and not where it started.
            with bound_contextvars(
                controller=self._label,
                namespace=request.namespace,
                name=request.name,
                reconcileID=str(uuid.uuid4()),
            ):
                self._handle(request, priority)
        finally:
            # After the request was added anew, if it was: it then waits for this.
            self._queue.done(request)
            self._time.observe(self._clock.monotonic() - started)
            self._active.dec()
        return True

    def _handle(self, request: Request, priority: int) -> None:
        """Reconcile one request. Each outcome has its branch here, and is decided nowhere else."""
        deadline = Deadline.after(self._clock, self._reconcile_timeout, stop=self._stop)
        try:
            result = self._reconciler.reconcile(request, deadline)
        except TerminalError as error:
            # Neither added nor forgotten: a failure after the next change is not the first.
            self._terminal_errors.inc()
            self._count_error()
            _log.error("reconcile failed for good", error=str(error))
        except DeadlineExceeded as error:
            # The given deadline or an earlier one, which leaves time to write the status.
            self._timeouts.inc()
            self._count_error()
            self._retry(request, priority)
            _log.error("reconcile ran out of time", error=str(error))
        except Stopped as error:
            # The queue is shut down: another process goes on from what the API server has.
            _log.info("reconcile cut short by the stop", error=str(error))
        except ClientError as error:
            self._count_error()
            self._retry(request, priority, at_least=pause_asked_for(error))
            _log.error("reconcile failed", error=str(error))
        except Exception:  # noqa: BLE001 - what nobody foresaw must not end the worker
            self._panics.inc()
            self._count_error()
            self._retry(request, priority)
            _log.exception("reconcile panicked")
        else:
            if result.priority is not None:
                priority = result.priority
            if result.requeue_after is not None:
                self._results["requeue_after"].inc()
                # It did succeed: the next failure starts with a short delay again.
                self._queue.forget(request)
                self._queue.add(request, priority=priority, after=result.requeue_after)
            elif result.requeue:
                self._results["requeue"].inc()
                self._retry(request, priority)
            else:
                self._results["success"].inc()
                self._queue.forget(request)

    def _retry(self, request: Request, priority: int, at_least: float = 0.0) -> None:
        self._queue.add(request, priority=priority, rate_limited=True, at_least=at_least)

    def _count_error(self) -> None:
        self._errors.inc()
        self._results["error"].inc()
