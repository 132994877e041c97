"""A controller: informers fill its queue, workers empty it into a reconciler.

Follows controller-runtime pkg/internal/controller/controller.go. Nothing but the worker loop here
decides whether and when a request comes back; reconcilers say what happened and return.
"""

import threading
import uuid
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Final, Protocol

import structlog
from attrs import field, frozen
from structlog.contextvars import bound_contextvars

from controller.cache.informer import Handler
from controller.clock import Clock, Deadline, DeadlineExceeded
from controller.errors import ClientError, pause_asked_for
from controller.metrics import RESULTS, Metrics
from controller.resource import Object, Resource
from controller.workqueue.queue import LOW_PRIORITY, PriorityQueue
from controller.workqueue.ratelimit import RateLimiter

#: Seconds for all informers to sync (pkg/controller/controller.go: CacheSyncTimeout).
DEFAULT_CACHE_SYNC_TIMEOUT: Final = 120.0
#: Seconds for one reconcile. controller-runtime sets no limit, but Go can cancel one.
DEFAULT_RECONCILE_TIMEOUT: Final = 120.0

#: A reconcile that runs for so many times its deadline will never end: every request is bounded by
#: the deadline, and the status about a missed one by a later one.
HUNG_DEADLINES: Final = 2

_SYNC_POLL_SECONDS: Final = 0.05

NOT_SYNCED: Final = (
    "controller {name}: no full list of {resources} within {seconds:g} s;"
    " check that the API server serves them and that the account may list and watch them"
)
HUNG: Final = (
    "controller {name}: a reconcile has run for {running:.0f} s, its deadline is {limit:g} s"
)
NO_WORKERS: Final = "controller {name}: workers is {workers}, must be 1 or more"
STARTED_TWICE: Final = "controller {name} was started before: its queue is shut down for good"

#: How each worker ended: with an error, or as it was told.
_Ends = SimpleQueue[BaseException | None]

_log = structlog.get_logger()


@frozen(cache_hash=True)
class Request:
    """The object to reconcile: its name only, the state is read when the work begins."""

    namespace: str
    name: str


@frozen
class Result:
    """When a reconcile without an error is to be repeated, if no event comes before."""

    #: Seconds until then; None means not at all, unless `requeue` is set. 0 or less is at once, and
    #: not never as in controller-runtime: what is left until a time can be just that.
    requeue_after: float | None = None
    #: Repeat it after the rate limiter's delay.
    requeue: bool = False
    #: Priority of the repetition; None keeps the one that this reconcile had.
    priority: int | None = None


class TerminalError(Exception):
    """A failure that no retry can mend, until somebody changes the object or what it refers to.

    Raised by a reconciler in place of a result (controller-runtime pkg/reconcile: TerminalError).
    The worker logs it as an error, counts it in `reconcile_total{result="error"}`,
    `reconcile_errors_total` and `terminal_reconcile_errors_total`, and does not add the request
    again: it returns with the next event that maps to it, or with a resync. The rate limiter does
    not forget it either: if a later reconcile fails with another error, the delay goes on from
    where it was.
    """


class CacheSyncTimeout(TimeoutError):
    """An informer did not get hold of its objects in time."""


class Reconciler(Protocol):
    """Brings one object to its desired state."""

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        """Compare what is with what should be and act on the difference.

        Called by several threads, but never by two at once for the same request. An object that is
        gone is no error.

        Args:
            request: The object's namespace and name.
            deadline: When the work must have ended: nothing interrupts it.

        Returns:
            Whether to come back without an event.

        Raises:
            TerminalError: Retrying is of no use.
            ClientError: The API server refused or did not answer; the request is retried.
            DeadlineExceeded: Time was up; the request is retried.
        """


class Source(Protocol):
    """What a controller needs of an informer."""

    @property
    def resource(self) -> Resource:
        """What it follows."""

    def add_handler(self, handler: Handler) -> None:
        """Have the handler told of all changes."""

    def has_synced(self) -> bool:
        """Tell whether the handlers know all objects of the first list."""


#: Names the requests that a changed object asks for.
Mapper = Callable[[Object], Iterable[Request]]
#: Whether a change matters: old and new state, None where there is none (added, deleted).
Predicate = Callable[[Object | None, Object | None], bool]


def always(_old: Object | None, _new: Object | None) -> bool:
    """Let every change matter."""
    return True


@frozen
class EnqueueRequests:
    """The informer's handler: turns changes into requests (pkg/handler/enqueue_mapped.go).

    What was there before this process, and what a resync repeats, has low priority: a user who
    changes one object does not wait until thousands of unchanged ones were looked at.
    """

    controller: "Controller"
    mapper: Mapper
    predicate: Predicate = field(default=always)

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Enqueue for a new object, or with low priority for one of the first list."""
        if self.predicate(None, obj):
            self._enqueue(obj, priority=LOW_PRIORITY if initial else 0)

    def on_update(self, old: Object, new: Object) -> None:
        """Enqueue for both states, since the old one may map to what has to let go."""
        if not self.predicate(old, new):
            return
        if _version(old) == _version(new):
            self._enqueue(new, priority=LOW_PRIORITY)
        else:
            self._enqueue(old, new)

    def on_delete(self, obj: Object) -> None:
        """Enqueue for an object that is gone."""
        if self.predicate(obj, None):
            self._enqueue(obj)

    def _enqueue(self, *states: Object, priority: int = 0) -> None:
        for request in {request: None for state in states for request in self.mapper(state)}:
            self.controller.enqueue(request, priority=priority)


class Controller:
    """Workers that feed a reconciler from a queue. Runs once.

    Args:
        name: Labels metrics and logs; unique in the process.
        reconciler: Does the work.
        clock: Times the work.
        metrics: Counts it.
        workers: Reconciles at the same time, each of another object.
        rate_limiter: Delays retries. Default: the queue's own.
        cache_sync_timeout: Seconds for all informers to sync.
        reconcile_timeout: Seconds until the deadline that a reconcile is given.
        recover_panic: Whether an exception that no reconciler means to raise is retried like an
            error. False ends the process with it, for tests and debugging.

    Raises:
        ValueError: There would be no worker.
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
        cache_sync_timeout: float = DEFAULT_CACHE_SYNC_TIMEOUT,
        reconcile_timeout: float = DEFAULT_RECONCILE_TIMEOUT,
        recover_panic: bool = True,
    ) -> None:
        if workers < 1:
            raise ValueError(NO_WORKERS.format(name=name, workers=workers))
        self.name = name
        self._reconciler = reconciler
        self._clock = clock
        self._workers = workers
        self._cache_sync_timeout = cache_sync_timeout
        self._reconcile_timeout = reconcile_timeout
        self._recover_panic = recover_panic
        self._queue: PriorityQueue[Request] = PriorityQueue(
            name, clock=clock, metrics=metrics, rate_limiter=rate_limiter
        )
        self._sources: list[Source] = []
        self._started = False

        # All series exist from the start, so that a rate over them sees the first error too.
        self._results = {result: metrics.reconcile_total.labels(name, result) for result in RESULTS}
        self._errors = metrics.reconcile_errors_total.labels(name)
        self._terminal_errors = metrics.terminal_reconcile_errors_total.labels(name)
        self._panics = metrics.reconcile_panics_total.labels(name)
        self._timeouts = metrics.reconcile_timeouts_total.labels(name)
        self._time = metrics.reconcile_time_seconds.labels(name)
        self._active = metrics.active_workers.labels(name)
        metrics.max_concurrent_reconciles.labels(name).set(workers)

    def watch(self, informer: Source, mapper: Mapper, *, predicate: Predicate = always) -> None:
        """Reconcile what an informer's changes map to. Call before `run`.

        Args:
            informer: Where changes come from; somebody else runs it.
            mapper: Names the requests for an object. Called on the informer's thread with an object
                of the store: fast, without I/O, without changing it. An exception is a bug, and
                ends the informer.
            predicate: Whether a change matters. Called as the mapper.
        """
        self._sources.append(informer)
        informer.add_handler(EnqueueRequests(self, mapper, predicate))

    def enqueue(self, request: Request, priority: int = 0, after: float = 0.0) -> None:
        """Have a request reconciled.

        Args:
            request: What to reconcile.
            priority: Higher ones come first.
            after: Seconds to wait before.
        """
        self._queue.add(request, priority=priority, after=after)

    def hung(self) -> str:
        """Tell whether a worker hangs, for a liveness probe.

        Returns:
            For how long its reconcile has run, if that is twice its deadline; else "".
        """
        running, limit = self._queue.longest_running(), self._reconcile_timeout
        if running <= HUNG_DEADLINES * limit:
            return ""
        return HUNG.format(name=self.name, running=running, limit=limit)

    def run(self, stop: threading.Event) -> None:
        """Wait for the informers, then reconcile until told to stop.

        Args:
            stop: Ends this once the reconciles that are under way have ended.

        Raises:
            CacheSyncTimeout: An informer has not synced in time.
            RuntimeError: The controller was started before.
            Exception: A worker failed; the others may still be at work.
        """
        if self._started:
            raise RuntimeError(STARTED_TWICE.format(name=self.name))
        self._started = True
        if not self._wait_for_sync(stop):
            return
        # What each worker ended with. One that fails ends this at once: work that goes on with a
        # worker less would be a fault that nobody sees.
        ends: _Ends = SimpleQueue()
        self._thread("stop", self._shut_down_at, stop)
        for number in range(self._workers):
            self._thread(str(number), self._work, ends)
        for _ in range(self._workers):
            error = ends.get()
            if error is not None:
                raise error

    def _thread(self, suffix: str, target: Callable[..., None], argument: object) -> None:
        threading.Thread(
            target=target, args=(argument,), name=f"{self.name}-{suffix}", daemon=True
        ).start()

    def _shut_down_at(self, stop: threading.Event) -> None:
        self._clock.wait_event(stop, None)
        self._queue.shut_down()

    def _work(self, ends: _Ends) -> None:
        try:
            while self._process_next():
                pass
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            ends.put(error)
        else:
            ends.put(None)

    def _wait_for_sync(self, stop: threading.Event) -> bool:
        """Return True once all informers have synced, False if a stop comes before."""
        deadline = Deadline.after(self._clock, self._cache_sync_timeout)
        while not stop.is_set():
            missing = [source for source in self._sources if not source.has_synced()]
            if not missing:
                return True
            if deadline.expired:
                resources = ", ".join(source.resource.full_name for source in missing)
                message = NOT_SYNCED.format(
                    name=self.name, resources=resources, seconds=self._cache_sync_timeout
                )
                raise CacheSyncTimeout(message)
            self._clock.wait_event(stop, _SYNC_POLL_SECONDS)
        return False

    def _process_next(self) -> bool:
        """Take one request through a reconcile; return False once the queue is shut down."""
        taken = self._queue.get()
        if taken is None:
            return False
        request, priority = taken
        self._active.inc()
        started = self._clock.monotonic()
        try:
            # A thread starts without any context, so it is bound here and not where it started.
            with bound_contextvars(
                controller=self.name,
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
        deadline = Deadline.after(self._clock, self._reconcile_timeout)
        try:
            result = self._reconciler.reconcile(request, deadline)
        except TerminalError as error:
            # Neither added nor forgotten: a failure after the next change is not the first.
            self._terminal_errors.inc()
            self._count_error()
            _log.error("reconcile failed for good", error=str(error))
        except DeadlineExceeded as error:
            # The given one or an earlier one, which leaves the reconciler time to tell of it.
            self._timeouts.inc()
            self._count_error()
            self._retry(request, priority)
            _log.error("reconcile ran out of time", error=str(error))
        except ClientError as error:
            self._count_error()
            self._retry(request, priority, at_least=pause_asked_for(error))
            _log.error("reconcile failed", error=str(error))
        except Exception:
            self._panics.inc()
            if not self._recover_panic:
                raise
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


def _version(obj: Object) -> object:
    return obj["metadata"].get("resourceVersion")
