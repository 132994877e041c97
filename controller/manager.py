"""Starts and stops everything in the order that dependencies ask for.

Follows controller-runtime pkg/manager/internal.go and runnable_group.go. A part that fails or ends
unasked takes the process down: a controller that has gone silent is worse than one that restarts.
"""

from __future__ import annotations

import enum
import os
import signal
import threading
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from attrs import define, field

from controller.clock import Deadline
from controller.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clock import Clock
    from controller.health import Check

# pkg/manager/internal.go: defaultGracefulShutdownPeriod.
DEFAULT_GRACEFUL_TIMEOUT_SECONDS: Final = 30.0
# A start that takes longer says so, and again each time.
SLOW_SYNC_SECONDS: Final = 30.0

_SYNC_POLL_SECONDS: Final = 0.05

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
EXIT_AT_ONCE: Final = 1

_log = structlog.get_logger()


class RunnableFailed(Exception):
    """A part of the process has failed or ended unasked."""


class GracefulTimeoutExceeded(RunnableFailed):
    """Parts were still at work when the time for an orderly stop was over."""


class Runnable(Protocol):
    """A part of the process with a thread of its own."""

    @property
    def name(self) -> str:
        """Name it in logs and errors."""
        ...

    def run(self, stop: Stop) -> None:
        """Work until the event is set; return soon after. An exception is a failure."""
        ...


class Cache(Runnable, Protocol):
    """A runnable that others read from, as `controller.cache.informer.Informer`."""

    def has_synced(self) -> bool:
        """Return whether it has been filled."""
        ...

    def hung(self) -> str:
        """Return what of it hangs and since when, "" while it works."""
        ...


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
    ended: threading.Event = field(factory=threading.Event)


class Manager:
    """Runs the parts of a process."""

    def __init__(
        self,
        *,
        clock: Clock,
        graceful_timeout: float = DEFAULT_GRACEFUL_TIMEOUT_SECONDS,
    ) -> None:
        """Start with no parts.

        Args:
            clock: The time.
            graceful_timeout: Seconds for an orderly stop.
        """
        self._clock = clock
        self._graceful_timeout = graceful_timeout
        self._parts: dict[Group, list[_Part]] = {group: [] for group in Group}
        self._stops = {group: Stop() for group in Group}
        # The caches again, by what they are beyond runnables.
        self._caches: list[Cache] = []
        self._elected = False
        # Set once the elector leads, and at a stop, which ends the wait for it.
        self._leads = threading.Event()
        # Guards `_failure`: the first counts, later ones are mostly its consequences.
        self._lock = threading.Lock()
        self._failure: RunnableFailed | None = None

    def add(self, runnable: Runnable, group: Group = Group.OTHERS) -> None:
        """Add a part; before `run`.

        Args:
            runnable: The part.
            group: When it starts and stops.
        """
        self._parts[group].append(_Part(runnable))

    def add_cache(self, cache: Cache) -> None:
        """Add a cache; before `run`."""
        self._caches.append(cache)
        self.add(cache, Group.CACHES)

    def set_elector(self, elector: Elector) -> None:
        """Let the controllers work only while this process leads; before `run`, and once."""
        self._elected = True
        elector.on_started_leading = self._leads.set
        self.add(elector, Group.ELECTION)

    def healthz(self) -> Mapping[str, Check]:
        """Return the checks that say the process works: no cache's thread hangs.

        An API server that is away is none of them: a new process would miss it as much, and lose
        what this one knows.
        """
        return {"informers": self._hung}

    def readyz(self) -> Mapping[str, Check]:
        """Return the checks that say it is ready: every cache is filled."""
        return {"informers": self._unsynced}

    def run(self, stop: threading.Event) -> None:
        """Start all parts, wait, and stop them.

        Args:
            stop: Set from outside to end; set by the manager as well when a part fails.

        Raises:
            RunnableFailed: A part failed or ended unasked.
            GracefulTimeoutExceeded: Parts were still at work after the graceful timeout. The
                process should end hard: their threads cannot be ended.
        """
        for group in Group:
            if stop.is_set():
                # Not even for a moment: a process that is told to stop takes up no work.
                break
            for part in self._parts[group]:
                self._start(part, group, stop)
            if group is Group.CACHES:
                self._wait_for_sync(stop)
            if group is Group.ELECTION and self._elected:
                self._wait_to_lead(stop)
        stop.wait()
        _log.info("stopping", within_seconds=self._graceful_timeout)
        self._stop_all()
        if self._failure is not None:
            raise self._failure

    def _start(self, part: _Part, group: Group, stop: threading.Event) -> None:
        def work() -> None:
            told = self._stops[group]
            try:
                part.runnable.run(told)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the process
                _log.exception("part failed", part=part.runnable.name)
                self._fail(f"{part.runnable.name} failed: {error!r}", error, stop)
            else:
                if not told.is_set():
                    self._fail(f"{part.runnable.name} ended without being told to", None, stop)
            finally:
                part.ended.set()

        part.started = True
        # Daemons: one that does not end must not keep the process.
        threading.Thread(target=work, name=part.runnable.name, daemon=True).start()

    def _fail(self, message: str, cause: BaseException | None, stop: threading.Event) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = RunnableFailed(message)
                self._failure.__cause__ = cause
        stop.set()

    def _wait_for_sync(self, stop: threading.Event) -> None:
        """Wait until every cache is filled, for however long the API server is away.

        The controllers of controller-runtime end after two minutes (CacheSyncTimeout). The process
        that follows lacks the same, and the kubelet starts it ever later, by up to five minutes,
        which then pass with an API server that is back. This one is not ready, says why, and goes
        on at once; a cache that hangs is for the liveness probe.
        """
        told = Deadline.after(self._clock, SLOW_SYNC_SECONDS)
        while (reason := self._unsynced()) and not stop.is_set():
            if told.expired:
                _log.warning("waiting for the API server", reason=reason)
                told = Deadline.after(self._clock, SLOW_SYNC_SECONDS)
            self._clock.wait_event(stop, _SYNC_POLL_SECONDS)

    def _wait_to_lead(self, stop: threading.Event) -> None:
        def give_up() -> None:
            stop.wait()
            self._leads.set()

        threading.Thread(target=give_up, name="stop waiting to lead", daemon=True).start()
        self._leads.wait()

    def _stop_all(self) -> None:
        deadline = Deadline.after(self._clock, self._graceful_timeout)
        for group in STOP_ORDER:
            self._stops[group].set()
            late = [
                part.runnable.name
                for part in self._parts[group]
                if part.started and not self._clock.wait_event(part.ended, deadline.remaining())
            ]
            if late:
                # The groups after this one are left alone: what still works may need them.
                message = f"still at work after {self._graceful_timeout:g} s: {', '.join(late)}"
                raise GracefulTimeoutExceeded(message) from self._failure

    def _unsynced(self) -> str:
        names = [cache.name for cache in self._caches if not cache.has_synced()]
        return f"not synced: {', '.join(names)}" if names else ""

    def _hung(self) -> str:
        return ", ".join(reason for cache in self._caches if (reason := cache.hung()))


def install_signal_handlers(stop: threading.Event) -> None:
    """End in good order at the first SIGTERM or SIGINT, at once with code 1 at the second.

    Follows controller-runtime pkg/manager/signals/signal.go. A thread waits for the signals: a
    handler of Python's would run in the main thread, amid whatever that does, and setting an event
    there can wait for a lock that the main thread holds itself.

    Args:
        stop: Set at the first.
    """
    # Inherited by every thread that starts from now on, so call this before any other does.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    def wait() -> None:
        signal.sigwait(STOP_SIGNALS)
        stop.set()
        signal.sigwait(STOP_SIGNALS)
        os._exit(EXIT_AT_ONCE)

    threading.Thread(target=wait, name="signals", daemon=True).start()
