"""The manager: starts and stops the runnables of a process, group by group.

Follows controller-runtime pkg/manager/internal.go and runnable_group.go. A runnable that fails, or
ends before it is told to, ends the process. A restart is better than a process that does half of
its work.
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import structlog
from attrs import define, field

from controller.clock import Deadline
from controller.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.clock import Clock
    from controller.health import Check

#: Seconds for an orderly stop (internal.go `defaultGracefulShutdownPeriod`).
DEFAULT_GRACEFUL_TIMEOUT_SECONDS: Final = 30.0
#: Seconds that each group has at least, also after the graceful timeout.
LAST_SECONDS: Final = 2.0
#: Seconds between two warnings while the caches have not synced.
SLOW_SYNC_SECONDS: Final = 30.0

_SYNC_POLL_SECONDS: Final = 0.05

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
#: The exit code after a second signal.
EXIT_AT_ONCE: Final = 1
#: The exit code after a failure.
EXIT_FAILED: Final = 1

FAILED: Final = "{name} failed: {error!r}"
ENDED: Final = "{name} ended without being told to"
STILL_AT_WORK: Final = "still at work after {seconds:g} s: {names}"
NAME_TAKEN: Final = "there is a runnable named {name!r} already: each needs a name of its own"
NOT_SYNCED: Final = "not synced: {names}"

_log = structlog.get_logger()


class RunnableFailed(Exception):
    """A runnable has failed, or has ended before it was told to."""


class GracefulTimeoutExceeded(RunnableFailed):
    """Runnables were still at work when the graceful timeout was over."""


class Runnable(Protocol):
    """A part of the process with a thread of its own.

    It may have more methods:

    * `check_alive` becomes a check of the liveness probe;
    * `check_ready`, in the group `CACHES`, becomes a check of the readiness probe;
    * `has_synced`, in the group `CACHES`, holds up the groups that start later until it is True.
    """

    @property
    def name(self) -> str:
        """The name in logs, errors and probes, unique in the process."""
        ...

    def run(self, stop: Stop) -> None:
        """Work until the stop is set, then return soon. An exception ends the process."""
        ...


@runtime_checkable
class _Alive(Protocol):
    def check_alive(self) -> None: ...


@runtime_checkable
class _Ready(Protocol):
    def check_ready(self) -> None: ...


@runtime_checkable
class _Syncs(Protocol):
    def has_synced(self) -> bool: ...


class Elector(Runnable, Protocol):
    """A runnable that acquires a lease, as `controller.leaderelection.elector.LeaderElector`."""

    #: Called when this process begins to lead.
    on_started_leading: Callable[[], None]


class Group(enum.Enum):
    """Runnables that start and stop together. The groups start in this order."""

    #: First, so that the others can record events from their start.
    RECORDERS = "recorders"
    #: Before the caches. Large caches take long to fill, and the kubelet would kill a process that
    #: answers no probes until then.
    SERVERS = "servers"
    #: Before all runnables that read them. The next group starts once the caches have synced.
    CACHES = "caches"
    #: Work in every replica, so they start before the election.
    OTHERS = "others"
    #: The elector, if there is one. The next group starts once this process leads.
    ELECTION = "election"
    #: Work in one replica at a time.
    CONTROLLERS = "controllers"


#: The groups in the order in which they stop.
STOP_ORDER: Final = (
    # Before the controllers: they may enqueue work, which nobody would do afterwards.
    Group.OTHERS,
    # Before the caches: a reconcile that is under way must not read a cache that has stopped.
    Group.CONTROLLERS,
    # After the controllers, since two replicas must not write at once. Before the rest, since the
    # next leader waits for it. controller-runtime stops caches and servers first.
    Group.ELECTION,
    Group.CACHES,
    # After all that works: a slow stop without answers to probes would look like a hang.
    Group.SERVERS,
    # Last, so that they write the events that the others recorded while they stopped.
    Group.RECORDERS,
)


@define(eq=False)
class _Part:
    """A runnable with what the manager knows of it.

    Args:
        runnable: The runnable.
        started: Whether its thread was started.
        stop: Tells it to end.
        ended: Set when its thread ends.
    """

    runnable: Runnable
    started: bool = False
    stop: Stop = field(factory=Stop)
    ended: threading.Event = field(factory=threading.Event)


class Manager:
    """Runs the runnables of a process.

    Args:
        clock: The time.
        graceful_timeout: Seconds for an orderly stop. Default: 30.
        has_synced: Returns whether the caches have synced far enough for the groups that start
            after them. Default: whether all have.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        graceful_timeout: float = DEFAULT_GRACEFUL_TIMEOUT_SECONDS,
        has_synced: Callable[[], bool] | None = None,
    ) -> None:
        self._clock = clock
        self._graceful_timeout = graceful_timeout
        self._has_synced = has_synced or (lambda: not self._unsynced())
        #: The checks of liveness by name. None of them fails while the API server is away: a
        #: restart would not help, and lose the caches.
        self.healthz: dict[str, Check] = {}
        #: The checks of readiness by name.
        self.readyz: dict[str, Check] = {}
        # Guards the three fields below.
        self._lock = threading.Lock()
        self._parts: dict[Group, list[_Part]] = {group: [] for group in Group}
        # The groups that run. A runnable that is added to one of them starts at once.
        self._running: set[Group] = set()
        # The first failure. Later ones are mostly its consequences.
        self._failure: RunnableFailed | None = None
        # Ends the process. None before `run`.
        self._stop: Stop | None = None
        # Whether there is an elector.
        self._elected = False
        # Set when this process leads, and at the stop, which ends the wait for it.
        self._leads = threading.Event()

    def add(self, runnable: Runnable, group: Group = Group.OTHERS) -> None:
        """Add a runnable. It starts with its group, or now if the group runs already.

        Args:
            runnable: The runnable.
            group: When it starts and stops. Default: `OTHERS`.

        Raises:
            ValueError: Another runnable has this name.
        """
        part = _Part(runnable)
        with self._lock:
            names = {known.runnable.name for parts in self._parts.values() for known in parts}
            if runnable.name in names:
                raise ValueError(NAME_TAKEN.format(name=runnable.name))
            self._parts[group].append(part)
            at_once = group in self._running
        check = _check_name(runnable)
        if isinstance(runnable, _Alive):
            self.healthz[check] = runnable.check_alive
        if group is Group.CACHES and isinstance(runnable, _Ready):
            self.readyz[check] = runnable.check_ready
        if at_once:
            self._start(part)

    def remove(self, runnable: Runnable) -> None:
        """Stop one runnable, and do not wait for its end. The others go on.

        Its name is free at once. Nothing happens if the manager does not have it.
        """
        with self._lock:
            for parts in self._parts.values():
                for part in [one for one in parts if one.runnable is runnable]:
                    parts.remove(part)
                    part.stop.set()
        self.healthz.pop(_check_name(runnable), None)
        self.readyz.pop(_check_name(runnable), None)

    def set_elector(self, elector: Elector) -> None:
        """Start the controllers only once this process leads. Call it before `run`, once."""
        self._elected = True
        elector.on_started_leading = self._leads.set
        self.add(elector, Group.ELECTION)

    def run(self, stop: Stop) -> None:
        """Start all groups, wait for the stop, and stop them.

        Args:
            stop: Ends this. The manager sets it as well when a runnable fails.

        Raises:
            RunnableFailed: A runnable failed, or ended before it was told to.
            GracefulTimeoutExceeded: Runnables were still at work after the graceful timeout. Their
                threads cannot be ended, so the process should exit at once.
        """
        self._stop = stop
        for group in Group:
            if stop.is_set():
                # What has not started yet must not begin to work now.
                break
            self._start_group(group)
            if group is Group.CACHES:
                self._wait_for_sync(stop)
            if group is Group.ELECTION and self._elected:
                self._wait_to_lead(stop)
        self._clock.wait_event(stop, None)
        _log.info("stopping", within_seconds=self._graceful_timeout)
        self._stop_all()
        if self._failure is not None:
            raise self._failure

    def _start_group(self, group: Group) -> None:
        with self._lock:
            self._running.add(group)
            parts = list(self._parts[group])
        for part in parts:
            self._start(part)

    def _start(self, part: _Part) -> None:
        def work() -> None:
            name = part.runnable.name
            try:
                part.runnable.run(part.stop)
            except BaseException as error:  # noqa: BLE001 - any error ends the process
                _log.exception("runnable failed", runnable=name)
                self._fail(FAILED.format(name=name, error=error), error)
            else:
                if not part.stop.is_set():
                    self._fail(ENDED.format(name=name), None)
            finally:
                part.ended.set()

        part.started = True
        # A daemon: a thread that does not end must not keep the process.
        threading.Thread(target=work, name=part.runnable.name, daemon=True).start()

    def _fail(self, message: str, cause: BaseException | None) -> None:
        """Record a failure, if it is the first, and end the process."""
        with self._lock:
            if self._failure is None:
                self._failure = RunnableFailed(message)
                self._failure.__cause__ = cause
        if self._stop is not None:
            self._stop.set()

    def _wait_for_sync(self, stop: Stop) -> None:
        """Wait until the caches have synced, without a timeout.

        controller-runtime gives up after two minutes (`CacheSyncTimeout`). The next process would
        find the same API server, and the kubelet delays restarts by up to five minutes, also when
        the API server is back. This process is not ready, logs why, and goes on at once. The
        liveness probe finds a cache that hangs.
        """
        slow = Deadline.after(self._clock, SLOW_SYNC_SECONDS)
        while not (self._has_synced() or stop.is_set()):
            if slow.expired:
                reason = NOT_SYNCED.format(names=", ".join(self._unsynced()))
                _log.warning("waiting for the API server", reason=reason)
                slow = Deadline.after(self._clock, SLOW_SYNC_SECONDS)
            self._clock.wait_event(stop, _SYNC_POLL_SECONDS)

    def _unsynced(self) -> list[str]:
        """Return the names of the caches that have not synced."""
        with self._lock:
            caches = [part.runnable for part in self._parts[Group.CACHES]]
        return [
            cache.name for cache in caches if isinstance(cache, _Syncs) and not cache.has_synced()
        ]

    def _wait_to_lead(self, stop: Stop) -> None:
        take_back = stop.call_back(self._leads.set)
        self._clock.wait_event(self._leads, None)
        take_back()

    def _stop_all(self) -> None:
        """Stop all groups in `STOP_ORDER`.

        A runnable that is still at work when the time is over is left behind, and the next groups
        stop all the same: the elector must release the lease. The runnable cannot write any more,
        since its requests are cut and the elector closes the fence.

        Raises:
            GracefulTimeoutExceeded: A runnable was left behind.
        """
        deadline = Deadline.after(self._clock, self._graceful_timeout)
        late: list[str] = []
        for group in STOP_ORDER:
            with self._lock:
                self._running.discard(group)
                parts = list(self._parts[group])
            # The controllers may use up the time. The elector needs some of its own.
            last = Deadline.after(self._clock, max(deadline.remaining(), LAST_SECONDS))
            for part in parts:
                part.stop.set()
            late += [
                part.runnable.name
                for part in parts
                if part.started and not self._clock.wait_event(part.ended, last.remaining())
            ]
        if late:
            message = STILL_AT_WORK.format(seconds=self._graceful_timeout, names=", ".join(late))
            raise GracefulTimeoutExceeded(message) from self._failure


def _check_name(runnable: Runnable) -> str:
    """Return the name of a runnable's checks, as it stands in the URL of a probe."""
    return runnable.name.replace(" ", "-")


def stop_on_signals() -> Stop:
    """Return a stop that the first SIGTERM or SIGINT sets. The second one exits with code 1.

    Follows controller-runtime pkg/manager/signals/signal.go. A thread waits for the signals. A
    Python signal handler would run on the main thread between two of its instructions, and could
    wait for a lock that the main thread holds.

    Call it before any thread is started: the threads must inherit that the signals are blocked.
    """
    stop = Stop()
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def wait() -> None:
        signal.sigwait(STOP_SIGNALS)
        stop.set()
        signal.sigwait(STOP_SIGNALS)
        os._exit(EXIT_AT_ONCE)

    threading.Thread(target=wait, name="signals", daemon=True).start()
    return stop


@contextlib.contextmanager
def exit_on_failure() -> Iterator[None]:
    """Exit at once with code 1, and log why, if a runnable fails or a port cannot be had.

    Make the operator and run it within this.
    """
    try:
        yield
    except (RunnableFailed, OSError) as error:
        _log.error("stopping: a part has failed", error=str(error))
        # Threads may still be at work: nothing must outlive the decision to end.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_FAILED)
