"""Events, as `kubectl describe` shows them.

Follows client-go tools/events/event_broadcaster.go: events.k8s.io/v1, repeats as a series, delivery
on a thread of its own. One thing differs: the note is part of an event's identity. Two notes with
one reason are two events.
"""

from __future__ import annotations

import contextlib
import queue
import re
import socket
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

import structlog
from attrs import define, field, frozen
from cachetools import LRUCache

from controller.clock import Deadline, DeadlineExceeded
from controller.errors import (
    AlreadyExists,
    ApiError,
    ClientError,
    NotFound,
    ServerUnavailable,
    TooManyRequests,
)
from controller.resource import Object, Resource, micro_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from controller.clock import Clock
    from controller.rest.client import Client
    from controller.stop import Stop

NORMAL: Final = "Normal"
WARNING: Final = "Warning"

#: The namespace of events about cluster-scoped objects.
DEFAULT_NAMESPACE: Final = "default"

EVENTS: Final = Resource("events.k8s.io", "v1", "events", "Event")

#: The longest note, in bytes, and the longest name that the API server accepts
#: (pkg/apis/core/validation/events.go in kubernetes/kubernetes).
NOTE_BYTES: Final = 1024
NAME_LENGTH: Final = 253
_ELLIPSIS: Final = "…"

#: What an event may be called (apimachinery NameIsDNSSubdomain).
_SUBDOMAIN: Final = re.compile(r"{0}(\.{0})*".format("[a-z0-9]([-a-z0-9]*[a-z0-9])?"))

#: How often an event is tried, and the seconds between two tries (event_broadcaster.go).
TRIES: Final = 12
RETRY_SECONDS: Final = 10.0
#: A series ends after so many seconds without a repeat (event_broadcaster.go).
FINISH_SECONDS: Final = 360.0
#: Seconds after which the count of a series is written again. client-go waits 30 minutes, in which
#: `kubectl describe` shows an old time for the last failure, or for the recovery.
REFRESH_SECONDS: Final = 60.0
#: Events that wait for delivery. More are dropped (tools/record/event.go).
QUEUE_LENGTH: Final = 1000

#: New events of an object at once, and seconds until it may have one more. Others are dropped
#: (tools/record/events_cache.go).
SPAM_BURST: Final = 25
SPAM_REFILL_SECONDS: Final = 300.0
#: Objects that are limited at the same time. The least recently used one starts anew.
SPAM_OBJECTS: Final = 4096

#: Seconds for delivering the remaining events after the stop.
FLUSH_SECONDS: Final = 5.0
#: Seconds for one try.
TRY_SECONDS: Final = 10.0
#: Seconds between two looks for series that have ended or are due for a refresh.
LOOK_SECONDS: Final = 10.0
#: Seconds for which a stop can go unnoticed while nothing is recorded.
_POLL_SECONDS: Final = 0.2

_log = structlog.get_logger()


@frozen
class _Reference:
    """The object that an event is about."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def to(cls, obj: Mapping[str, Any]) -> Self:
        metadata = obj["metadata"]
        return cls(
            obj["apiVersion"],
            obj["kind"],
            metadata.get("namespace", ""),
            metadata["name"],
            metadata["uid"],
        )

    @property
    def event_namespace(self) -> str:
        """The namespace of the event: that of the object, or `default` for a cluster-scoped one.

        Follows client-go tools/events/event_recorder.go.
        """
        return self.namespace or DEFAULT_NAMESPACE


@frozen
class _Recorded:
    """One call of `EventRecorder.event`. Equal ones, apart from the time, are one series."""

    regarding: _Reference
    type_: str
    reason: str
    note: str
    action: str
    at: datetime = field(eq=False)


@define
class _Series:
    """An event that was written, and its repeats.

    Args:
        first: The first call. If the event is gone from the API server, it is made again from this.
            There are thousands of series, and whole events would take three times the memory.
        name: The name of the event.
        count: How often it was recorded.
        reported: The count that the API server has.
        last: When it was recorded last.
        touched: The same in monotonic seconds.
        synced: When the count was last written, in monotonic seconds.
    """

    first: _Recorded
    name: str
    count: int
    reported: int
    last: datetime
    touched: float
    synced: float


@define
class _Bucket:
    """The token bucket of an object.

    Args:
        tokens: New events that it may have, at the time `at`.
        at: Monotonic seconds.
    """

    tokens: float
    at: float


class _SpamFilter:
    """Limits the new events about each object, so that one object cannot use up the queue.

    Repeats are not limited: most of them cost no request. Follows EventSourceObjectSpamFilter in
    client-go tools/record/events_cache.go.

    Args:
        clock: Times the refill.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: LRUCache[_Reference, _Bucket] = LRUCache(SPAM_OBJECTS)

    def lets_through(self, recorded: _Recorded) -> bool:
        """Return whether a new event may be written, and take a token of its object if so."""
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(recorded.regarding, _Bucket(SPAM_BURST, now))
        refill = (now - bucket.at) / SPAM_REFILL_SECONDS
        bucket.tokens = min(SPAM_BURST, bucket.tokens + refill)
        bucket.at = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


class EventRecorder:
    """Records events without blocking, and writes them on its own thread. A runnable.

    Args:
        client: Writes the events. Not fenced: the last ones come after the fence was closed.
        component: The reporting controller in the events.
        clock: The time.
    """

    #: Its name in logs and errors.
    name = "events"

    def __init__(self, client: Client, *, component: str, clock: Clock) -> None:
        self._client = client
        self._component = component
        self._instance = f"{component}-{socket.gethostname()}"
        self._clock = clock
        self._waiting: queue.Queue[_Recorded] = queue.Queue(QUEUE_LENGTH)
        # The fields below belong to the thread that runs `run`.
        self._series: dict[_Recorded, _Series] = {}
        self._filter = _SpamFilter(clock)
        self._sequence = 0
        # When to look next for series that have ended, in monotonic seconds.
        self._next_look = clock.monotonic()
        # The end of all tries; None before the stop.
        self._last_try: Deadline | None = None

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        """Record an event. It is dropped, with a line in the log, if too many wait.

        Args:
            obj: The object that the event is about, with apiVersion, kind and uid.
            type_: `NORMAL` or `WARNING`.
            reason: Why, as a CamelCase word.
            note: For people. Cut at `NOTE_BYTES`.
            action: What was done or tried, as a CamelCase word.
        """
        recorded = _Recorded(
            _Reference.to(obj), type_, reason, _cut(note), action, self._clock.now()
        )
        try:
            self._waiting.put_nowait(recorded)
        except queue.Full:
            _log.warning("event dropped: too many wait", reason=reason)

    def run(self, stop: Stop) -> None:
        """Write events until the stop is set, then the remaining ones.

        Args:
            stop: Ends this after `FLUSH_SECONDS` at most.
        """
        while not stop.is_set():
            try:
                recorded = self._waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                pass
            else:
                self._record(recorded, stop)
            self._end_series(stop)
        self._flush(stop)

    def _flush(self, stop: Stop) -> None:
        self._last_try = self._last_try or Deadline.after(self._clock, FLUSH_SECONDS)
        with contextlib.suppress(queue.Empty):
            while not self._last_try.expired:
                self._record(self._waiting.get_nowait(), stop)
        for series in self._series.values():
            if not self._last_try.expired:
                self._report(series, stop)

    def _record(self, recorded: _Recorded, stop: Stop) -> None:
        series = self._series.get(recorded)
        now = self._clock.monotonic()
        if series is None:
            if not self._filter.lets_through(recorded):
                _log.debug("event dropped: too many about its object", reason=recorded.reason)
                return
            name = self._name(recorded)
            event = self._event(recorded, name)
            if self._tried(lambda deadline: self._create(event, deadline), stop):
                self._series[recorded] = _Series(recorded, name, 1, 1, recorded.at, now, now)
            return
        series.count += 1
        series.last = recorded.at
        series.touched = now
        # Write the first repeat at once: it makes the event a series. Later ones can wait.
        if series.reported == 1:
            self._report(series, stop)

    def _end_series(self, stop: Stop) -> None:
        now = self._clock.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for recorded, series in list(self._series.items()):
            ended = now - series.touched >= FINISH_SECONDS
            if ended:
                del self._series[recorded]
            if ended or now - series.synced >= REFRESH_SECONDS:
                self._report(series, stop)

    def _report(self, series: _Series, stop: Stop) -> None:
        """Write the count of a series, if it has changed."""
        if series.count == series.reported:
            return
        namespace = series.first.regarding.event_namespace
        body = {"series": {"count": series.count, "lastObservedTime": micro_time(series.last)}}

        def patch(deadline: Deadline) -> None:
            try:
                self._client.merge_patch(EVENTS, namespace, series.name, body, deadline=deadline)
            except NotFound:
                # The event has expired, or somebody has deleted it.
                self._create({**self._event(series.first, series.name), **body}, deadline)

        if self._tried(patch, stop):
            series.reported = series.count
        series.synced = self._clock.monotonic()

    def _event(self, recorded: _Recorded, name: str) -> Object:
        regarding = recorded.regarding
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": name, "namespace": regarding.event_namespace},
            "eventTime": micro_time(recorded.at),
            "reportingController": self._component,
            "reportingInstance": self._instance,
            "action": recorded.action,
            "reason": recorded.reason,
            "regarding": {
                "apiVersion": regarding.api_version,
                "kind": regarding.kind,
                "namespace": regarding.namespace,
                "name": regarding.name,
                "uid": regarding.uid,
            },
            "note": recorded.note,
            "type": recorded.type_,
        }

    def _create(self, event: Object, deadline: Deadline) -> None:
        # The name is unique. If it exists, an earlier try succeeded and its answer was lost.
        with contextlib.suppress(AlreadyExists):
            self._client.create(EVENTS, event["metadata"]["namespace"], event, deadline=deadline)

    def _tried(self, request: Callable[[Deadline], None], stop: Stop) -> bool:
        """Send a request until it succeeds, is refused or has been tried often enough.

        Returns:
            Whether it succeeded.
        """
        for attempt in range(1, TRIES + 1):
            try:
                request(self._last_try or Deadline.after(self._clock, TRY_SECONDS, stop=stop))
            except NotFound:
                # The namespace is gone.
                return False
            except (ClientError, DeadlineExceeded) as error:
                if _is_final(error) or attempt == TRIES:
                    _log.warning("event lost", error=str(error))
                    return False
            else:
                return True
            if self._clock.wait_event(stop, RETRY_SECONDS):
                if self._last_try is not None:
                    return False
                # The stop has cut the try or the pause after it. Try once more.
                self._last_try = Deadline.after(self._clock, FLUSH_SECONDS)
        return False

    def _name(self, recorded: _Recorded) -> str:
        """Return a unique name for an event. It begins with the name of its object if it may.

        A Role or a ClusterRole may be called what no event may be called (client-go
        tools/record/util/util.go, GenerateEventName).
        """
        # Unique while a process records fewer than a thousand events in a microsecond.
        self._sequence = (self._sequence + 1) % 1000
        suffix = f".{int(recorded.at.timestamp() * 1_000_000) * 1000 + self._sequence:x}"
        name = recorded.regarding.name
        begins = name if _SUBDOMAIN.fullmatch(name) else str(uuid.uuid4())
        return begins[: NAME_LENGTH - len(suffix)].rstrip("-.") + suffix


def _is_final(error: Exception) -> bool:
    """Return whether the server has refused the event, so that another try is of no use."""
    return isinstance(error, ApiError) and not isinstance(
        error, TooManyRequests | ServerUnavailable
    )


def _cut(note: str) -> str:
    """Return a note of at most `NOTE_BYTES`."""
    encoded = note.encode()
    if len(encoded) <= NOTE_BYTES:
        return note
    room = NOTE_BYTES - len(_ELLIPSIS.encode())
    # Drop a character that the cut has split.
    return encoded[:room].decode(errors="ignore") + _ELLIPSIS
