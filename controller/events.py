"""Events, as `kubectl describe` shows them.

Follows client-go tools/events/event_broadcaster.go: events.k8s.io/v1, repeats told as a series,
delivery apart from whoever records. Other than there, the note is part of an event's identity: two
messages with one reason are two events.
"""

from __future__ import annotations

import contextlib
import queue
import socket
from typing import TYPE_CHECKING, Any, Self

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

NORMAL = "Normal"
WARNING = "Warning"

#: Where events about cluster-scoped objects are.
DEFAULT_NAMESPACE = "default"

EVENTS = Resource("events.k8s.io", "v1", "events", "Event")

# The API server refuses longer notes and names (pkg/apis/core/validation/events.go), in bytes.
NOTE_BYTES = 1024
NAME_LENGTH = 253
_ELLIPSIS = "…"

# tools/events/event_broadcaster.go: 12 tries, 10 s apart, series ended after 6 minutes without a
# repeat; tools/record/event.go: a thousand events wait, more are dropped. A series with repeats is
# refreshed after 30 minutes there. Here after one: until then `kubectl describe` dates the last
# failure, or the recovery, to that of half an hour ago.
TRIES = 12
RETRY_SECONDS = 10.0
FINISH_SECONDS = 360.0
REFRESH_SECONDS = 60.0
QUEUE_LENGTH = 1000

# tools/record/events_cache.go: each object has 25 new events at once, and one more every five
# minutes; beyond that they are dropped. The objects that were told of longest ago start anew.
SPAM_BURST = 25
SPAM_REFILL_SECONDS = 300.0
SPAM_OBJECTS = 4096

# Time for what still waits when the process ends.
FLUSH_SECONDS = 5.0
# Time for one try, so that a stop that comes during it does not wait long.
TRY_SECONDS = 10.0
# How often series are looked through for those to end or refresh.
LOOK_SECONDS = 10.0
# How long a stop can go unnoticed while nothing is recorded.
_POLL_SECONDS = 0.2

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
        """Where the event is: with its object, or in `default` for a cluster-scoped one.

        client-go tools/events/event_recorder.go does the same.
        """
        return self.namespace or DEFAULT_NAMESPACE


@frozen
class _Recorded:
    """One call of `event`. What is equal in the key is the same event, repeated."""

    regarding: _Reference
    type_: str
    reason: str
    note: str
    action: str
    at: datetime = field(eq=False)


@define
class _Series:
    """An event that was written, and how often it has been recorded since.

    Attributes:
        first: What was recorded first. The event is made of it again if it is gone: thousands of
            series are kept, and whole events would take three times the memory.
        name: The event's.
        count: How often it was recorded.
        told: The count that the API server knows.
        last: When it was recorded last.
        touched: The same in monotonic seconds.
        synced: When the API server was told last, in monotonic seconds.
    """

    first: _Recorded
    name: str
    count: int
    told: int
    last: datetime
    touched: float
    synced: float


@define
class _Bucket:
    """What an object may still tell: tokens at a time in monotonic seconds."""

    tokens: float
    at: float


class _SpamFilter:
    """Limits the new events about each object, so that one cannot drown all others.

    Repeats are not limited: they are counted in their series, without a request.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: LRUCache[_Reference, _Bucket] = LRUCache(SPAM_OBJECTS)

    def lets_through(self, recorded: _Recorded) -> bool:
        """Tell whether a new event may be told, and charge it to its object."""
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
    """Records events without ever blocking, and delivers them from its own thread."""

    name = "events"

    def __init__(self, client: Client, *, component: str, clock: Clock) -> None:
        """Take the dependencies.

        Args:
            client: Delivers.
            component: The name under which the events are reported.
            clock: The time.
        """
        self._client = client
        self._component = component
        self._instance = f"{component}-{socket.gethostname()}"
        self._clock = clock
        self._waiting: queue.Queue[_Recorded] = queue.Queue(QUEUE_LENGTH)
        # Only the delivering thread touches these.
        self._series: dict[_Recorded, _Series] = {}
        self._filter = _SpamFilter(clock)
        self._sequence = 0
        # When the series are looked through next, in monotonic seconds.
        self._next_look = clock.monotonic()
        # Until when anything is tried, once the process ends.
        self._last_try: Deadline | None = None

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        """Record an event; drop it if too many wait.

        Args:
            obj: The object that it is about, with apiVersion and kind.
            type_: `Normal` or `Warning`.
            reason: CamelCase word: why.
            note: For people; cut at 1024 bytes.
            action: CamelCase word: what was done or tried.
        """
        recorded = _Recorded(
            _Reference.to(obj), type_, reason, _cut(note), action, self._clock.now()
        )
        try:
            self._waiting.put_nowait(recorded)
        except queue.Full:
            _log.warning("event dropped: too many wait", reason=reason)

    def run(self, stop: Stop) -> None:
        """Deliver until the stop is set, then what still waits, for five seconds at most."""
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
                self._tell(series, stop)

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
        # The first repeat makes it a series, which readers should see; later ones only count.
        if series.told == 1:
            self._tell(series, stop)

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
                self._tell(series, stop)

    def _tell(self, series: _Series, stop: Stop) -> None:
        """Bring the API server's count up to date."""
        if series.count == series.told:
            return
        namespace = series.first.regarding.event_namespace
        body = {"series": {"count": series.count, "lastObservedTime": micro_time(series.last)}}

        def patch(deadline: Deadline) -> None:
            try:
                self._client.merge_patch(EVENTS, namespace, series.name, body, deadline=deadline)
            except NotFound:
                # It has expired, or somebody has deleted it.
                self._create({**self._event(series.first, series.name), **body}, deadline)

        if self._tried(patch, stop):
            series.told = series.count
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
        # The name is unique: if it exists, an earlier try has arrived, but its answer has not.
        with contextlib.suppress(AlreadyExists):
            self._client.create(EVENTS, event["metadata"]["namespace"], event, deadline=deadline)

    def _tried(self, request: Callable[[Deadline], None], stop: Stop) -> bool:
        """Send a request, again and again while nobody refuses it; return whether it arrived."""
        for attempt in range(1, TRIES + 1):
            try:
                request(self._last_try or Deadline.after(self._clock, TRY_SECONDS, stop=stop))
            except NotFound:
                # Its namespace is gone.
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
                # The stop has cut the try, or the pause after it: one more is due.
                self._last_try = Deadline.after(self._clock, FLUSH_SECONDS)
        return False

    def _name(self, recorded: _Recorded) -> str:
        """Return a name for the event, which begins with that of its object."""
        # Unique as long as one process records fewer than a thousand events a microsecond.
        self._sequence = (self._sequence + 1) % 1000
        suffix = f".{int(recorded.at.timestamp() * 1_000_000) * 1000 + self._sequence:x}"
        return recorded.regarding.name[: NAME_LENGTH - len(suffix)].rstrip("-.") + suffix


def _is_final(error: Exception) -> bool:
    return isinstance(error, ApiError) and not isinstance(
        error, TooManyRequests | ServerUnavailable
    )


def _cut(note: str) -> str:
    encoded = note.encode()
    if len(encoded) <= NOTE_BYTES:
        return note
    room = NOTE_BYTES - len(_ELLIPSIS.encode())
    # A character that the cut has split is dropped.
    return encoded[:room].decode(errors="ignore") + _ELLIPSIS
