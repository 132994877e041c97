"""Starts and stops everything in the order that dependencies ask for.

Follows controller-runtime pkg/manager/internal.go and runnable_group.go. A part that fails or ends
unasked takes the process down: a controller that has gone silent is worse than one that restarts.
"""

from __future__ import annotations

import enum
import os
import signal
import threading
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

import structlog
from attrs import define, field

from controller.clock import Deadline
from controller.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock
    from controller.health import Check

#: Seconds for an orderly stop (pkg/manager/internal.go: defaultGracefulShutdownPeriod).
DEFAULT_GRACEFUL_TIMEOUT_SECONDS: Final = 30.0
#: Seconds that a group has at least once the time for an orderly stop is over.
LAST_SECONDS: Final = 2.0
#: A start that takes longer is logged, and again each time.
SLOW_SYNC_SECONDS: Final = 30.0

_SYNC_POLL_SECONDS: Final = 0.05

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_AT_ONCE: Final = 1

FAILED: Final = "{name} failed: {error!r}"
ENDED: Final = "{name} ended without being told to"
STILL_AT_WORK: Final = "still at work after {seconds:g} s: {names}"
NAME_TAKEN: Final = "there is a part named {name!r} already: give each a name of its own"
NOT_SYNCED: Final = "not synced: {names}"

_log = structlog.get_logger()


class RunnableFailed(Exception):
    """A part of the process has failed or ended unasked."""


class GracefulTimeoutExceeded(RunnableFailed):
    """Parts were still at work when the time for an orderly stop was over."""


class Runnable(Protocol):
    """A part of the process with a thread of its own.

    One that has a method `check_alive` is asked by the liveness probe, a cache that has a method
    `check_ready` by the readiness probe: they return or raise `CheckFailed`. A cache that has a
    method `has_synced` is waited for by what starts later.
    """

    @property
    def name(self) -> str:
        """Its name in logs, errors and probes, unique in the process."""
        ...

    def run(self, stop: Stop) -> None:
        """Work until the stop is set; return soon after. An exception is a failure."""
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
    """A runnable that waits to lead, as `controller.leaderelection.elector.LeaderElector`."""

    #: Called once this process leads.
    on_started_leading: Callable[[], None]


class Group(enum.Enum):
    """What is started together. The order here is the order of the start."""

    # First, so that nothing that happens at the start goes unrecorded.
    RECORDERS = "recorders"
    # Before the caches: if probes were answered only once large caches are filled, the kubelet
    # would kill the process before, and so the next one, for ever.
    SERVERS = "servers"
    # Before all that reads them: a reader that is started first and waits for a cache would wait
    # for what starts after it. The next group starts once every cache is filled.
    CACHES = "caches"
    # Before the election, which may never be won: these work in every replica.
    OTHERS = "others"
    # The elector, if there is one. The next group starts once this process leads; its caches are
    # warm by then.
    ELECTION = "election"
    # Works in one replica at a time.
    CONTROLLERS = "controllers"


STOP_ORDER: Final = (
    # Before the controllers, which they may feed: nobody works on what comes after those.
    Group.OTHERS,
    # Before the caches: a reconcile under way that waits to see its own write would wait for a
    # cache that has stopped, and decide on what is no longer so.
    Group.CONTROLLERS,
    # After the last write, or two replicas would write at once; and before all else, since the next
    # leader waits for it. controller-runtime lets it wait for caches and servers as well.
    Group.ELECTION,
    Group.CACHES,
    # Probes are answered until nothing works any more, or a slow stop would look like a hang.
    Group.SERVERS,
    # Last: they deliver what the end of the others has to tell.
    Group.RECORDERS,
)


@define(eq=False)
class _Part:
    runnable: Runnable
    started: bool = False
    stop: Stop = field(factory=Stop)
    ended: threading.Event = field(factory=threading.Event)


class Manager:
    """Runs the parts of a process.

    Args:
        clock: The time.
        graceful_timeout: Seconds for an orderly stop.
        has_synced: Whether enough of the caches is filled for what starts after them. Default:
            all of them.
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
        #: The checks that say the process works, by name. An API server that is away is none of
        #: them: a new process would miss it as much, and lose what this one knows.
        self.healthz: dict[str, Check] = {}
        #: The checks that say the process is ready, by name.
        self.readyz: dict[str, Check] = {}
        # Guards the four fields below.
        self._lock = threading.Lock()
        self._parts: dict[Group, list[_Part]] = {group: [] for group in Group}
        # The groups whose parts run; what is added to one of them starts at once.
        self._running: set[Group] = set()
        # Set at the end by the first part that fails; later failures are mostly its consequences.
        self._failure: RunnableFailed | None = None
        # What ends the process; None before `run`.
        self._stop: Stop | None = None
        self._elected = False
        # Set once the elector leads, and at a stop, which ends the wait for it.
        self._leads = threading.Event()

    def add(self, runnable: Runnable, group: Group = Group.OTHERS) -> None:
        """Add a part. It starts with its group, or at once where that runs already.

        Args:
            runnable: The part.
            group: When it starts and stops.

        Raises:
            ValueError: Another part has its name.
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
        """End a part while the others go on. It must return soon after its stop is set."""
        with self._lock:
            for parts in self._parts.values():
                for part in [one for one in parts if one.runnable is runnable]:
                    parts.remove(part)
                    part.stop.set()
        self.healthz.pop(_check_name(runnable), None)
        self.readyz.pop(_check_name(runnable), None)

    def set_elector(self, elector: Elector) -> None:
        """Make the controllers work only while this process leads; before `run`, and once."""
        self._elected = True
        elector.on_started_leading = self._leads.set
        self.add(elector, Group.ELECTION)

    def run(self, stop: Stop) -> None:
        """Start all parts, wait, and stop them.

        Args:
            stop: Set from outside to end; set by the manager as well when a part fails.

        Raises:
            RunnableFailed: A part failed or ended unasked.
            GracefulTimeoutExceeded: Parts were still at work after the graceful timeout. The
                process should end hard: their threads cannot be ended.
        """
        self._stop = stop
        for group in Group:
            if stop.is_set():
                # Not even for a moment: a process that is told to stop takes up no work.
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
            except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the process
                _log.exception("part failed", part=name)
                self._fail(FAILED.format(name=name, error=error), error)
            else:
                if not part.stop.is_set():
                    self._fail(ENDED.format(name=name), None)
            finally:
                part.ended.set()

        part.started = True
        # Daemons: one that does not end must not keep the process.
        threading.Thread(target=work, name=part.runnable.name, daemon=True).start()

    def _fail(self, message: str, cause: BaseException | None) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = RunnableFailed(message)
                self._failure.__cause__ = cause
        if self._stop is not None:
            self._stop.set()

    def _wait_for_sync(self, stop: Stop) -> None:
        """Wait until the caches are filled, for however long the API server is away.

        The controllers of controller-runtime end after two minutes (CacheSyncTimeout). The process
        that follows lacks the same, and the kubelet starts it ever later, by up to five minutes,
        which then pass with an API server that is back. This one is not ready, says why, and goes
        on at once; a cache that hangs is for the liveness probe.
        """
        slow = Deadline.after(self._clock, SLOW_SYNC_SECONDS)
        while not (self._has_synced() or stop.is_set()):
            if slow.expired:
                reason = NOT_SYNCED.format(names=", ".join(self._unsynced()))
                _log.warning("waiting for the API server", reason=reason)
                slow = Deadline.after(self._clock, SLOW_SYNC_SECONDS)
            self._clock.wait_event(stop, _SYNC_POLL_SECONDS)

    def _unsynced(self) -> list[str]:
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
        """Stop the groups in their order, and all of them.

        What is still at work when its time is over is left behind: its requests are cut, and the
        fence that the elector closes keeps it from writing. So the lease is released all the same.
        """
        deadline = Deadline.after(self._clock, self._graceful_timeout)
        late: list[str] = []
        for group in STOP_ORDER:
            with self._lock:
                self._running.discard(group)
                parts = list(self._parts[group])
            for part in parts:
                part.stop.set()
            late += [
                part.runnable.name
                for part in parts
                if part.started
                and not self._clock.wait_event(
                    part.ended, max(deadline.remaining(), LAST_SECONDS if late else 0.0)
                )
            ]
        if late:
            message = STILL_AT_WORK.format(seconds=self._graceful_timeout, names=", ".join(late))
            raise GracefulTimeoutExceeded(message) from self._failure


def _check_name(runnable: Runnable) -> str:
    """Return the name of a part's checks, which stands in the path of a URL."""
    return runnable.name.replace(" ", "-")


def stop_on_signals() -> Stop:
    """Return a stop that the first SIGTERM or SIGINT sets; the second ends the process with 1.

    Follows controller-runtime pkg/manager/signals/signal.go. A thread waits for the signals: a
    handler of Python's would run in the main thread, amid whatever that does, and setting an event
    there can wait for a lock that the main thread holds itself.

    Call it before any thread is started: they inherit that the signals are blocked.
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
