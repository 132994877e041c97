"""Mirrors one resource of the API server into a sink: list, then watch, for ever.

Follows client-go tools/cache/reflector.go, rule by rule; the method names are its own, so that the
two can be read side by side. What Python changes: a watch has a read timeout, because HTTP/1.1 has
no ping that finds a connection whose other end is gone.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Final

import structlog

from controller.cache.backoff import BACKOFF_CAP, BACKOFF_CAP_REFUSED, Backoff, RetryWindow
from controller.cache.pager import Pager, identified
from controller.cache.sink import Sink
from controller.cache.store import Store
from controller.clock import Clock
from controller.errors import (
    ApiError,
    ClientError,
    NotFound,
    Stopped,
    TooManyRequests,
    TransportError,
    from_status,
    is_expired,
    is_internal_error,
    is_too_large_resource_version,
    is_watch_error_retriable,
    pause_asked_for,
)
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client, WatchStream
from controller.stop import Stop

#: The server ends a watch after 5 to 10 minutes, at random: watches spread out over the servers
#: behind a load balancer again after one of them restarted, at the cost of one request every
#: 7.5 minutes.
MIN_WATCH_TIMEOUT: Final = 300

#: Seconds of silence after which a connection counts as dead. The server sends a bookmark every
#: 60 s (apiserver cacher.go), so 90 s without one is a half-open connection, or a resource that has
#: not changed since before the watch began: the server skips bookmarks that are not newer than the
#: watch's first version. Taken for dead wrongly it costs one request every 90 s, 0.011 a second.
READ_TIMEOUT: Final = 90.0

#: Seconds after which a stream that began without its initial events' end is given up for a list.
#: A server that knows the parameter sends the end within a second; one that ignores it never does.
INITIAL_EVENTS_TIMEOUT: Final = 30.0

#: A watch that ends sooner than this many seconds and without an event is a failure: otherwise a
#: server that ends each watch at once would be asked again without a pause.
VERY_SHORT_WATCH: Final = 1.0

INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class WatchError(ClientError):
    """A watch did what no watch of a sound server does."""


class Reflector:
    """Keeps a sink equal to what the API server has, for one resource in one namespace or all.

    Args:
        client: Asks the API server.
        resource: What to mirror.
        namespace: "" for all.
        sink: What is filled.
        clock: For pauses and durations.
        metrics: Where relists are counted.
        metadata_only: Mirror no spec, status or data.
        label_selector: Mirror only objects with these labels.
        field_selector: The same for fields; `metadata.name=...` for a single object.
        keep: Gets each object as it arrives, and returns what goes into the sink: all of the
            initial ones together, uncut, take several times the memory of what is kept.
        name: The value of the label by which relists are counted. Default: the resource's name.
        on_contact: Called on the reflector's thread whenever the server was heard, bookmarks
            included.
        beat: Called on the reflector's thread at every turn, whether the server answers or not:
            before each request, with each part of a list, and on both sides of a pause.
            Between two calls lies one silence of the server or one pause: `read_timeout`, or 65 s
            at most.
        on_watch_error: Called on the reflector's thread with each error that ends list and watch
            (shared_informer.go SetWatchErrorHandler).
        uniform: Draws a number between two, as `random.uniform`.
        read_timeout: Seconds of silence after which a watch counts as dead.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        sink: Sink,
        *,
        clock: Clock,
        metrics: Metrics,
        metadata_only: bool = False,
        label_selector: str = "",
        field_selector: str = "",
        keep: Callable[[Object], Object] = lambda obj: obj,
        name: str = "",
        on_contact: Callable[[], None] = lambda: None,
        beat: Callable[[], None] = lambda: None,
        on_watch_error: Callable[[ClientError], None] = lambda _error: None,
        uniform: Callable[[float, float], float] = random.uniform,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._sink = sink
        self._clock = clock
        self._relists = metrics.informer_relists_total.labels(name or resource.full_name)
        self._metadata_only = metadata_only
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._keep = keep
        self._on_contact = on_contact
        self._beat = beat
        self._uniform = uniform
        self._read_timeout = read_timeout
        self._pager = Pager(
            client,
            resource,
            namespace,
            clock=clock,
            label_selector=label_selector,
            field_selector=field_selector,
            metadata_only=metadata_only,
            keep=keep,
            beat=beat,
        )
        self._backoff = Backoff(clock, uniform)
        self._log = structlog.get_logger().bind(resource=resource.full_name)
        self._on_watch_error = on_watch_error

        # The version up to which the sink is complete, "" before the first list.
        self._last_sync_resource_version = ""
        # True after the server said that it cannot serve that version: the next list asks for the
        # newest state, straight from etcd.
        self._is_last_sync_resource_version_unavailable = False
        # Why the initial state is not streamed, as it was logged; "" if it was streamed.
        self._why_not_streamed = ""

    def run(self, stop: Stop) -> None:
        """Mirror until told to stop. What fails is logged and tried again, without an end.

        Args:
            stop: Ends this: a watch at once, a list within STOP_GRACE_SECONDS.
        """
        while not stop.is_set():
            try:
                self._list_and_watch(stop)
            except Stopped:
                return
            except ClientError as error:
                self._on_watch_error(error)
                self._pause_after(error, stop)
            else:
                self._pause_after(None, stop)

    def _list_and_watch(self, stop: Stop) -> None:
        """Bring the sink up to date, then follow the changes until that no longer works."""
        stream = self._watch_list_or_none(stop)
        with stream or nullcontext():
            if stop.is_set():
                return
            if stream is None:
                self._list(stop)
            self._watch(stream, stop)

    # The initial state: streamed where the server can, listed otherwise.

    def _watch_list_or_none(self, stop: Stop) -> WatchStream | None:
        """Return a stream that has delivered the initial state, None if a list must do.

        Whatever goes wrong, a list is tried next: a server without the feature refuses the
        parameter (422), a server or proxy that does not know it ignores it. What is not served
        cannot be listed either.
        """
        try:
            stream = self._watch_list(stop)
        except (NotFound, Stopped):
            raise
        except ClientError as error:
            if not stop.is_set():
                self._log_not_streamed("no streaming list, falling back to a list", error)
            return None
        self._why_not_streamed = ""
        return stream

    def _log_not_streamed(self, what: str, error: ClientError) -> None:
        """Log why the initial state is not streamed, once until the cause changes.

        A server without the feature, or one that refuses the watch, gives it at every try. Nobody
        listens while a server starts, which may take long.
        """
        cause = str(error)
        if cause != self._why_not_streamed:
            self._why_not_streamed = cause
            self._log.info(what, error=cause)

    def _watch_list(self, stop: Stop) -> WatchStream:
        """Stream the initial state into the sink and return the stream, still open."""
        while True:
            try:
                return self._stream_initial_state(stop)
            except ClientError as error:
                if not self._may_stream_again(error, stop) or stop.is_set():
                    raise

    def _may_stream_again(self, error: ClientError, stop: Stop) -> bool:
        """Prepare for another request for the stream; return whether it makes sense."""
        if is_watch_error_retriable(error):
            self._log_not_streamed("no list yet, trying again", error)
            self._pause_after(error, stop)
            return True
        if is_expired(error) or is_too_large_resource_version(error):
            first_time = not self._is_last_sync_resource_version_unavailable
            self._is_last_sync_resource_version_unavailable = True
            return first_time
        return False

    def _stream_initial_state(self, stop: Stop) -> WatchStream:
        with ExitStack() as on_failure:
            stream = self._open_watch(
                self._rewatch_resource_version(), stop, send_initial_events=True
            )
            on_failure.enter_context(stream)
            objects, resource_version = self._receive_initial_events(stream)
            self._sync_with(objects, resource_version)
            on_failure.pop_all()
        return stream

    def _receive_initial_events(self, stream: WatchStream) -> tuple[list[Object], str]:
        """Collect the objects up to the bookmark that says they are all there.

        They reach the sink all at once: a stream that breaks half-way must not look like the
        deletion of the other half.
        """
        collected = Store()
        last_object = self._clock.monotonic()
        for event_type, obj, resource_version in self._events(stream):
            if event_type == "BOOKMARK":
                if _is_initial_events_end(obj):
                    return collected.list(), resource_version
                if self._clock.monotonic() - last_object > INITIAL_EVENTS_TIMEOUT:
                    raise WatchError(f"no {INITIAL_EVENTS_END} bookmark: is it ignored?")
                continue
            last_object = self._clock.monotonic()
            self._handle_event(collected, event_type, obj)
        raise WatchError(f"the stream ended before the {INITIAL_EVENTS_END} bookmark")

    def _list(self, stop: Stop) -> None:
        """Bring the sink up to date by a list."""
        try:
            objects, resource_version = self._pager.list(self._relist_resource_version(), stop)
        except ApiError as error:
            if not (is_expired(error) or is_too_large_resource_version(error)):
                raise
            # At once, without a pause: the newest state can always be had.
            self._is_last_sync_resource_version_unavailable = True
            objects, resource_version = self._pager.list(self._relist_resource_version(), stop)
        self._sync_with(objects, resource_version)

    def _sync_with(self, objects: list[Object], resource_version: str) -> None:
        self._sink.replace(objects, resource_version)
        self._last_sync_resource_version = resource_version
        self._is_last_sync_resource_version_unavailable = False
        self._relists.inc()
        self._on_contact()

    def _relist_resource_version(self) -> str:
        """Return the version a list asks for.

        Any ("0", from the server's cache) at first, so that a start costs etcd nothing; then
        nothing older than what the sink has, so that time does not run backwards when another
        server answers; the newest ("") where that version cannot be had.
        """
        if self._is_last_sync_resource_version_unavailable:
            return ""
        return self._last_sync_resource_version or "0"

    def _rewatch_resource_version(self) -> str:
        """Return the version a streaming list asks for: as for a list, but the newest at first."""
        if self._is_last_sync_resource_version_unavailable:
            return ""
        return self._last_sync_resource_version

    # The changes after it.

    def _watch(self, stream: WatchStream | None, stop: Stop) -> None:
        """Follow the changes, over as many watches as it takes, until only a list can help.

        Args:
            stream: An open one, None to open the first as well.
            stop: Ends this in good order.

        Raises:
            ClientError: Why the watch cannot go on.
        """
        internal_errors = RetryWindow(self._clock)
        while not stop.is_set():
            # Before the request: some proxies hold the headers back until the first event.
            started = self._clock.monotonic()
            try:
                if stream is None:
                    stream = self._open_watch(self._last_sync_resource_version, stop)
            except ClientError as error:
                if not is_watch_error_retriable(error):
                    raise
                self._log.info("watch refused, trying again", error=str(error))
                self._pause_after(error, stop)
                continue
            try:
                with stream:
                    self._handle_watch(stream, started, stop)
            except TooManyRequests as error:
                self._log.info("watch ended by the server's load", error=str(error))
                self._pause_after(error, stop)
            except ApiError as error:
                if is_expired(error):
                    self._log.info("watch fell behind, listing anew", error=str(error))
                    return
                if not (is_internal_error(error) and internal_errors.still_open()):
                    raise
                self._log.info("watch ended by an internal error", error=str(error))
                self._pause_after(error, stop)
            stream = None

    def _handle_watch(self, stream: WatchStream, started: float, stop: Stop) -> None:
        """Pass the events of one watch on, until it ends.

        A connection that breaks ends the watch like any other: the next one begins where this one
        came to, so nothing is missed.

        Raises:
            ApiError: The server says why it ended the watch.
            WatchError: It ended before it began.
        """
        # The objects that a watch from no particular version begins with come in any order: the
        # versions they carry say nothing about what has been seen.
        live = self._last_sync_resource_version not in ("", "0")
        count = 0
        try:
            for event_type, obj, resource_version in self._events(stream):
                self._handle_event(self._sink, event_type, obj)
                live = live or event_type != "ADDED"
                if live:
                    self._last_sync_resource_version = resource_version
                    self._sink.bookmark(resource_version)
                count += 1
        except TransportError as error:
            self._log.debug("watch broke, opening it again", error=str(error), events=count)
        if stop.is_set():
            return
        if count == 0 and self._clock.monotonic() - started < VERY_SHORT_WATCH:
            raise WatchError("very short watch: it ended within a second and without an event")

    def _handle_event(self, sink: Sink | Store, event_type: str, obj: Object) -> None:
        match event_type:
            case "ADDED":
                sink.add(self._keep(obj))
            case "MODIFIED":
                sink.update(self._keep(obj))
            case "DELETED":
                sink.delete(self._keep(obj))
            case "BOOKMARK":
                pass
            case _:
                self._log.warning("watch event of an unknown type", type=event_type)

    def _open_watch(
        self, resource_version: str, stop: Stop, *, send_initial_events: bool = False
    ) -> WatchStream:
        self._beat()
        stream = self._client.watch(
            self._resource,
            self._namespace,
            resource_version=resource_version,
            timeout_seconds=int(self._uniform(MIN_WATCH_TIMEOUT, 2 * MIN_WATCH_TIMEOUT)),
            read_timeout=self._read_timeout,
            send_initial_events=send_initial_events,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            stop=stop,
        )
        self._on_contact()
        return stream

    def _events(self, stream: WatchStream) -> Iterator[tuple[str, Object, str]]:
        """Yield type, object and resource version of each event; an ERROR event is raised."""
        for event in stream:
            self._on_contact()
            try:
                event_type, obj = event["type"], event["object"]
                if event_type == "ERROR":
                    raise from_status(obj.get("code", 0), obj)
                version = obj["metadata"]["resourceVersion"]
            except (AttributeError, KeyError, TypeError) as error:
                raise WatchError("what the stream carries is no watch event") from error
            yield event_type, identified(obj, self._resource), version

    def _pause_after(self, error: ClientError | None, stop: Stop) -> None:
        """Wait before the next attempt, for at least as long as the server asks."""
        refused = isinstance(error, TransportError) and error.refused
        pause = self._backoff.next_pause(BACKOFF_CAP_REFUSED if refused else BACKOFF_CAP)
        if error is not None:
            pause = max(pause, pause_asked_for(error))
        self._beat()
        self._clock.wait_event(stop, pause)
        self._beat()


def _is_initial_events_end(bookmark: Object) -> bool:
    annotations = bookmark["metadata"].get("annotations") or {}
    return bool(annotations.get(INITIAL_EVENTS_END) == "true")
