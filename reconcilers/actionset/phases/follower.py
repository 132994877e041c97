"""Reads the logs of phases' pods, beside the workers. The end of a log wakes its ActionSet.

A program runs for as long as it likes, and a worker that waited for its log would be lost to all
other ActionSets. There are places for so many logs at once, apart for those that are followed and
for those that are read after the end: the former may last for days. A log that finds no place to be
followed is read after the end. Until then its first line is read, to know by the end whether its
node has thrown away the beginning.
"""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from controller.clock import Deadline, DeadlineExceeded
from controller.errors import ClientError
from reconcilers.actionset.phases.reading import (
    LOOK_SECONDS,
    Do,
    Lost,
    Opening,
    Reading,
    Source,
    Unread,
)
from reconcilers.actionset.phases.timedlog import Log, NoLog, TimedLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from controller.clock import Clock
    from controller.reconcile import Request
    from controller.stop import Stop
    from reconcilers.actionset.function import Progress

__all__ = ["Follower", "Log", "Lost", "Source", "Unread"]

#: Logs that are followed at once. Each holds a thread and a connection.
MAX_FOLLOWED: Final = 64
#: Logs that are read at once after the end of their container.
MAX_READ: Final = 16
#: Seconds for one reading of a log after the end of its container.
READ_SECONDS: Final = 600.0
#: Seconds until another look for a place for a log to be followed.
PLACE_SECONDS: Final = 30.0
#: Bytes of a log from which on its first line is to be remembered: far less than a node rotates.
LONG_LOG: Final = 256 * 1024

_log = structlog.get_logger()


class Logs(Protocol):
    """Opens logs, as `controller.rest.podlogs.PodLogs`."""

    def open(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        deadline: Deadline,
        follow: bool = False,
        timestamps: bool = False,
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Open a log at its beginning."""


def _wake_nobody(_request: Request) -> None:
    """Do nothing. The default until the controller is made."""


class Follower:
    """Reads the logs of pods. A runnable, safe to share between threads.

    It stops with the controllers.

    Args:
        name: The name in logs and probes, and of its threads.
        logs: Opens a log.
        clock: The time.
        enqueue: See the attribute. Default: nobody is woken.
        max_followed: Logs that are followed at once. Default: 64.
        max_read: Logs that are read after the end at once. Default: 16.
        spawn: Calls a function on a thread of its own. Default: on a daemon thread. In tests it
            keeps the function, to be called later.
    """

    def __init__(
        self,
        name: str,
        logs: Logs,
        *,
        clock: Clock,
        enqueue: Callable[[Request], None] = _wake_nobody,
        max_followed: int = MAX_FOLLOWED,
        max_read: int = MAX_READ,
        spawn: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        #: Its name in logs and probes.
        self.name = name
        #: Called with the ActionSet of each log that has failed, or has ended while a reconcile
        #: waits for it, or that says how far it is, or whose first line is to be remembered. If the
        #: controller is made later than this, set it before the first log.
        self.enqueue = enqueue
        self._logs = logs
        self._clock = clock
        self._max_followed = max_followed
        self._max_read = max_read
        self._spawn = spawn or self._start_thread
        # Guards the fields below, and the readings but for the logs that threads are filling.
        self._lock = threading.Lock()
        # Notified when a thread ends.
        self._thread_ended = threading.Condition(self._lock)
        self._readings: dict[Source, Reading] = {}
        # Those that wait for a place to be read, in the order of asking.
        self._queue: dict[Reading, None] = {}
        # Threads that follow, and threads that read what is queued.
        self._followers = 0
        self._readers = 0
        self._stopping = False

    def follow(self, request: Request, source: Source, *, first: int | None = None) -> Unread:
        """Follow the log of a container that runs, if it is not followed already.

        Args:
            request: The ActionSet.
            source: Whose log.
            first: The time of its first line, as another process has seen it.

        Returns:
            When to ask again.
        """
        with self._lock:
            reading = self._ensure(request, source, first)
            step = reading.while_running(self._clock.monotonic())
            if isinstance(step, Unread):
                return step
            if self._stopping:
                return Unread(again_after=PLACE_SECONDS)
            is_full = self._followers >= self._max_followed
            needs_thread = is_full and reading.log.first is None and self._enqueue(reading)
            if not is_full:
                self._followers += 1
                stop = reading.begin(Opening.FOLLOWED)
        if is_full:
            if needs_thread:
                self._start_reader(reading)
            return Unread(again_after=PLACE_SECONDS)

        def give_up() -> None:
            self._end_follower()
            reading.opening = Opening.NONE

        self._start(partial(self._follow, reading, stop), give_up)
        return Unread(reading.why, LOOK_SECONDS)

    def read(
        self,
        request: Request,
        source: Source,
        *,
        first: int | None = None,
        ended_at: datetime | None = None,
    ) -> Log | Lost | Unread:
        """Return the log of a container that has ended; ask until it is there.

        Args:
            request: The ActionSet.
            source: Whose log.
            first: The time of its first line, as another process has seen it.
            ended_at: When the container ended, as its node says. Default: None, that is not known.
        """
        now, ended = self._clock.monotonic(), None
        if ended_at is not None:
            ended = now - (self._clock.now() - ended_at).total_seconds()
        with self._lock:
            reading = self._ensure(request, source, first)
            step = reading.when_ended(now, ended)
            if not isinstance(step, Do):
                return step
            if self._stopping:
                return Unread()
            if step is Do.CUT:
                reading.stop.set()
                return Unread()
            needs_thread = self._enqueue(reading)
        if needs_thread:
            self._start_reader(reading)
        return Unread(reading.why)

    def first_line(self, source: Source) -> int | None:
        """Return the time of the first line, if it is to be remembered; else None.

        That is so of a long log, and of one that nobody follows.

        After a restart it tells whether the node has thrown away the beginning.
        """
        with self._lock:
            reading = self._readings.get(source)
            if reading is None or not (reading.peeked or reading.log.size >= LONG_LOG):
                return None
            return reading.log.first

    def progress(self, source: Source) -> Progress | None:
        """Return how far a phase is by its log, None if that does not say it."""
        with self._lock:
            reading = self._readings.get(source)
            return None if reading is None else reading.log.progress

    def forget(self, pod_uid: str) -> None:
        """Drop the logs of a pod that nobody needs any more."""
        with self._lock:
            for source in [one for one in self._readings if one.uid == pod_uid]:
                reading = self._readings.pop(source)
                self._queue.pop(reading, None)
                reading.stop.set()

    def run(self, stop: Stop) -> None:
        """Wait for the stop, then cut all logs. Return when all threads have ended.

        Args:
            stop: Ends this. No log is opened from then on.
        """
        self._clock.wait_event(stop, None)
        with self._lock:
            self._stopping = True
            self._queue.clear()
            for reading in self._readings.values():
                reading.stop.set()
            while self._followers or self._readers:
                self._clock.wait(self._thread_ended, None)

    def _enqueue(self, reading: Reading) -> bool:
        """Queue a log up to be read, and return whether a thread is to be started for it."""
        reading.begin(Opening.QUEUED)
        self._queue[reading] = None
        needs_thread = self._readers < self._max_read
        self._readers += needs_thread
        return needs_thread

    def _start_reader(self, reading: Reading) -> None:
        def give_up() -> None:
            self._end_reader()
            self._queue.pop(reading, None)
            reading.opening = Opening.NONE

        self._start(self._read_queued, give_up)

    def _ensure(self, request: Request, source: Source, first: int | None) -> Reading:
        reading = self._readings.get(source)
        if reading is None:
            reading = self._readings[source] = Reading(request, source, TimedLog(first))
        return reading

    def _start(self, work: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Start a thread.

        Args:
            work: What it does.
            give_up: Called with the lock held if the system has no thread left.
        """
        try:
            self._spawn(work)
        except RuntimeError:
            # The next reconcile asks again.
            with self._lock:
                give_up()
            raise

    def _start_thread(self, work: Callable[[], None]) -> None:
        # A daemon: a thread that does not end must not keep the process.
        threading.Thread(target=work, name=self.name, daemon=True).start()

    def _follow(self, reading: Reading, stop: Stop) -> None:
        failure = self._fill(reading, Deadline(self._clock, math.inf, stop), follow=True)
        with self._lock:
            self._end_follower()
            self._record(reading, failure)
            wake = reading.wanted or bool(reading.why)
        if wake:
            self._wake(reading)

    def _end_follower(self) -> None:
        self._followers -= 1
        self._thread_ended.notify_all()

    def _read_queued(self) -> None:
        for reading, stop in self._queued():
            deadline = Deadline.after(self._clock, READ_SECONDS, stop=stop)
            failure = self._fill(reading, deadline, follow=False)
            with self._lock:
                self._record(reading, failure)
            self._wake(reading)

    def _queued(self) -> Iterator[tuple[Reading, Stop]]:
        """Yield the readings of the queue, each with what cuts it, until it is empty."""
        while True:
            with self._lock:
                if not self._queue:
                    self._end_reader()
                    return
                reading = next(iter(self._queue))
                del self._queue[reading]
                stop = reading.begin(Opening.READ if reading.wanted else Opening.PEEKED)
            yield reading, stop

    def _end_reader(self) -> None:
        self._readers -= 1
        self._thread_ended.notify_all()

    def _fill(self, reading: Reading, deadline: Deadline, *, follow: bool) -> Exception | None:
        """Read a log to its end, and return why that has failed."""
        source = reading.source
        try:
            with self._logs.open(
                source.namespace,
                source.pod,
                source.container,
                deadline=deadline,
                follow=follow,
                timestamps=True,
            ) as pieces:
                for piece in pieces:
                    before = _to_remember(reading.log)
                    reading.log.feed(piece)
                    if reading.opening is Opening.PEEKED and reading.log.first is not None:
                        break
                    if follow and _to_remember(reading.log) != before:
                        self._wake(reading)
        except (ClientError, DeadlineExceeded, NoLog) as error:
            return error
        except Exception as error:  # noqa: BLE001 - returned, and the phase fails with it
            _log.exception("a log cannot be read", follower=self.name, pod=source.pod)
            return error
        return None

    def _record(self, reading: Reading, failure: Exception | None) -> None:
        """Record the end of an opening."""
        now = self._clock.monotonic()
        if failure is None:
            reading.end(now)
        else:
            reading.fail(failure, now)

    def _wake(self, reading: Reading) -> None:
        """Wake the ActionSet of a log, if somebody needs it still."""
        with self._lock:
            kept = self._readings.get(reading.source) is reading and not self._stopping
        if kept:
            self.enqueue(reading.request)


def _to_remember(log: TimedLog) -> tuple[bool, Progress | None]:
    """Return what a reconcile takes from a log that goes on."""
    return log.size >= LONG_LOG, log.progress
