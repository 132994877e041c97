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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from controller.clock import Clock
    from controller.health import Check

# pkg/manager/internal.go: defaultGracefulShutdownPeriod; pkg/controller: CacheSyncTimeout.
DEFAULT_GRACEFUL_TIMEOUT_SECONDS: Final = 30.0
DEFAULT_SYNC_TIMEOUT_SECONDS: Final = 120.0

# Bookmarks come once a minute and a watch that is silent for 90 s is cut and made anew; a cache
# that has heard nothing for two such rounds has a thread that hangs.
STALE_SECONDS: Final = 180.0

_SYNC_POLL_SECONDS: Final = 0.05

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

    def run(self, stop: threading.Event) -> None:
        """Work until the event is set; return soon after. An exception is a failure."""
        ...


class Cache(Runnable, Protocol):
    """A runnable that others read from, as `controller.informer.Informer`."""

    def has_synced(self) -> bool:
        """Return whether it has been filled."""
        ...

    def last_contact_age(self) -> float:
        """Return the seconds since it last heard of the API server."""
        ...


class Group(enum.Enum):
    """What is started together. The order here is the order of the start."""

    # First, so that nothing that happens at the start goes unrecorded.
    RECORDERS = "recorders"
    # Before the caches: the kubelet would kill a process whose probes do not answer while large
    # caches fill.
    SERVERS = "servers"
    # Before all that reads them; the next group starts once every one is filled.
    CACHES = "caches"
    # Needs no lease: works in every replica.
    OTHERS = "others"
    # Works in one replica at a time. An elector stands between the group before and this one.
    CONTROLLERS = "controllers"


# Others end before controllers, whose work they may wake. Caches end after those who read them, or
# a reconcile would decide on a state that has stopped moving. Servers go on answering probes
# meanwhile, and recorders deliver what the end has to tell.
STOP_ORDER: Final = (
    Group.OTHERS,
    Group.CONTROLLERS,
    Group.CACHES,
    Group.SERVERS,
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
        sync_timeout: float = DEFAULT_SYNC_TIMEOUT_SECONDS,
    ) -> None:
        """Start with no parts.

        Args:
            clock: The time.
            graceful_timeout: Seconds for an orderly stop.
            sync_timeout: Seconds for all caches to fill.
        """
        self._clock = clock
        self._graceful_timeout = graceful_timeout
        self._sync_timeout = sync_timeout
        self._parts: dict[Group, list[_Part]] = {group: [] for group in Group}
        self._stops = {group: threading.Event() for group in Group}
        # The caches again, by what they are beyond runnables.
        self._caches: list[Cache] = []
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

    def healthz(self) -> Mapping[str, Check]:
        """Return the checks that say the process works: no cache is stale."""
        return {"informers": self._stale}

    def readyz(self) -> Mapping[str, Check]:
        """Return the checks that say it is ready: every cache is filled."""
        return {"informers": self._unsynced}

    def run(self, stop: threading.Event) -> None:
        """Start all parts, wait, and stop them.

        Args:
            stop: Set from outside to end; set by the manager as well when a part fails.

        Raises:
            RunnableFailed: A part failed, ended unasked, or a cache did not fill in time.
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
        stop.wait()
        self._stop_all()
        if self._failure is not None:
            raise self._failure

    def _start(self, part: _Part, group: Group, stop: threading.Event) -> None:
        def work() -> None:
            told = self._stops[group]
            try:
                part.runnable.run(told)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ends the process
                _log.exception("part failed", part=part.runnable.name)
                self._fail(f"{part.runnable.name} failed: {error}", error, stop)
            else:
                if not told.is_set():
                    self._fail(f"{part.runnable.name} ended without being told to", None, stop)
            finally:
                part.ended.set()

        part.started = True
        # Daemons: one that does not end must not keep the process.
        threading.Thread(target=work, name=part.runnable.name, daemon=True).start()

    def _fail(self, message: str, cause: Exception | None, stop: threading.Event) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = RunnableFailed(message)
                self._failure.__cause__ = cause
        stop.set()

    def _wait_for_sync(self, stop: threading.Event) -> None:
        ends = self._clock.monotonic() + self._sync_timeout
        while not stop.is_set():
            reason = self._unsynced()
            if not reason:
                return
            if self._clock.monotonic() >= ends:
                self._fail(f"{reason} within {self._sync_timeout:g} s", None, stop)
                return
            self._clock.wait_event(stop, _SYNC_POLL_SECONDS)

    def _stop_all(self) -> None:
        ends = self._clock.monotonic() + self._graceful_timeout
        late: list[str] = []
        for group in STOP_ORDER:
            self._stops[group].set()
            for part in self._parts[group]:
                if not part.started:
                    continue
                left = max(ends - self._clock.monotonic(), 0.0)
                if not self._clock.wait_event(part.ended, left):
                    late.append(part.runnable.name)
        if late:
            message = f"still at work after {self._graceful_timeout:g} s: {', '.join(late)}"
            raise GracefulTimeoutExceeded(message) from self._failure

    def _unsynced(self) -> str:
        names = [cache.name for cache in self._caches if not cache.has_synced()]
        return f"not synced: {', '.join(names)}" if names else ""

    def _stale(self) -> str:
        names = [
            cache.name
            for cache in self._caches
            if cache.has_synced() and cache.last_contact_age() > STALE_SECONDS
        ]
        return f"heard nothing for {STALE_SECONDS:g} s: {', '.join(names)}" if names else ""


def install_signal_handlers(stop: threading.Event) -> None:
    """End in good order at the first SIGTERM or SIGINT, at once at the second.

    Follows controller-runtime pkg/manager/signals/signal.go.

    Args:
        stop: Set at the first.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
