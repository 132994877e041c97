"""An informer: a local copy of one resource, and handlers for its changes.

Follows client-go tools/cache/shared_informer.go, with the cache options of controller-runtime
(pkg/cache). Handlers are called one after the other on the informer's thread. They only enqueue, so
they need no buffers and threads of their own, as client-go's listeners have.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog

from controller.cache.mutationcache import MutationCache
from controller.cache.reflector import READ_TIMEOUT, Reflector
from controller.cache.store import IndexFunction, Store, key_of
from controller.cache.trim import default_trim
from controller.clock import Clock
from controller.errors import ClientError, Forbidden, NotFound
from controller.health import CheckFailed
from controller.jsonvalue import interned
from controller.metrics import INFORMER, Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.stop import Stop

#: Seconds between two resyncs, plus or minus a tenth (controller-runtime pkg/cache/cache.go).
RESYNC_PERIOD: Final = 36000.0

#: Read timeouts of a watch after which the thread counts as hung. It never waits for longer than
#: one.
HUNG_SILENCES: Final = 2

HUNG: Final = "{name} shows no life for {seconds:.0f} s"
NOT_SYNCED: Final = "{name} has not synced"
NOT_SERVED: Final = "{name} waits: the API server does not serve {resource}; install its CRD"


_log = structlog.get_logger()


class Handler(Protocol):
    """Called with the changes of an informer (`ResourceEventHandler`).

    The objects belong to the store: never change them.
    """

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Handle an object that is new to the informer.

        Args:
            obj: Its state.
            initial: True if the object is from the first list, or was in the store before the
                handler was added.
        """

    def on_update(self, old: Object, new: Object) -> None:
        """Handle a change. In a resync both are the same object."""

    def on_delete(self, obj: Object) -> None:
        """Handle a deletion.

        Args:
            obj: The last known state. It is older than the deletion if the watch missed that
                (`DeletedFinalStateUnknown`).
        """


class Informer:
    """Keeps a store up to date with the API server, and calls handlers with its changes.

    A runnable. It follows one namespace, or all. Read from `cache`, which shows own writes before
    the watch does. The client must report each write to `written`.

    A resource that the API server does not serve is not waited for: the informer counts as synced.
    It follows the resource once its CRD is installed. If the CRD is deleted, the watch shows the
    deletion of each object. Objects whose deletion it misses stay until the next list that
    succeeds, as client-go's do: no answer but a list says that they are gone. An optional resource
    that the process may not list is treated alike, until it may.

    Args:
        client: Lists and watches.
        resource: The resource to follow.
        namespace: The namespace to follow; "" for all, and for a cluster-scoped resource.
        clock: Times pauses and resyncs.
        metrics: Exports size, age and relists.
        name: The label of its series, unique in the process. Default: the name of the resource.
        optional: Whether the process is ready while the API server does not serve the resource, or
            does not let it list the resource. Default: False.
        on_demand: Whether to send no request before `demand` is called. Until then the informer has
            no objects and counts as synced. Default: False.
        metadata_only: Hold neither spec nor status nor data. Default: False.
        label_selector: Follow only the objects with these labels. Default: all.
        field_selector: Follow only the objects with these fields: `metadata.name=...` for a single
            one. Default: all.
        indexers: The index functions of the store, by the name of the index. Default: none.
        trim: Called with each object on arrival. Returns what to keep. It may change the object
            and its metadata, but no deeper value. Default: `default_trim`.
        resync_period: Seconds between two resyncs, plus or minus a tenth. Default: 10 h.
        uniform: Draws a number between two. Default: `random.uniform`.
        read_timeout: Seconds of silence after which a watch counts as dead. Default: 90.
        on_watch_error: Called on the informer's thread with each error that ends list and watch
            (`SetWatchErrorHandler`). Default: logs it.

    Raises:
        ValueError: Another informer has this name.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        *,
        clock: Clock,
        metrics: Metrics,
        name: str = "",
        optional: bool = False,
        on_demand: bool = False,
        metadata_only: bool = False,
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, IndexFunction] | None = None,
        trim: Callable[[Object], Object] = default_trim,
        resync_period: float = RESYNC_PERIOD,
        uniform: Callable[[float, float], float] = random.uniform,
        read_timeout: float = READ_TIMEOUT,
        on_watch_error: Callable[[ClientError], None] | None = None,
    ) -> None:
        #: The resource that it follows.
        self.resource = resource
        #: The namespace that it follows; "" for all.
        self.namespace = namespace
        #: The objects that the watch has shown.
        self.store = Store(indexers)
        #: The store with own writes laid over it.
        self.cache = MutationCache(
            self.store, clock=clock, indexers=indexers, metadata_only=metadata_only, trim=trim
        )
        # Labels its series.
        self._label = name or resource.full_name
        #: Its name in logs, errors and probes.
        self.name = f"informer of {self._label}"
        self._metrics = metrics
        self._optional = optional
        self._report = on_watch_error or self._log_watch_error
        self._clock = clock
        self._resync_period = resync_period
        self._uniform = uniform
        self._read_timeout = read_timeout
        self._processor = _Processor(self.store, self.cache)
        self._reflector = Reflector(
            client,
            resource,
            namespace,
            self._processor,
            clock=clock,
            metrics=metrics,
            name=self._label,
            metadata_only=metadata_only,
            label_selector=label_selector,
            field_selector=field_selector,
            keep=lambda obj: interned(trim(obj)),
            on_contact=self._on_contact,
            beat=self._beat,
            on_watch_error=self._on_watch_error,
            uniform=uniform,
            read_timeout=read_timeout,
        )
        # What the last answer was if there is nothing to follow: the API server does not serve the
        # resource, or, where it is optional, does not let the process list it.
        self._refusal: ClientError | None = None
        # Whether the resource is to be followed. Never False again.
        self._demanded = not on_demand
        # Ends the wait for that.
        self._wake = threading.Event()
        # Whether to drop the objects at the end of `run`.
        self._abandoned = False
        # When the server was last heard, in monotonic seconds.
        self._last_contact = clock.monotonic()
        # The last sign of life of the informer's thread. It goes on while the server is away.
        self._last_beat = clock.monotonic()
        self._next_resync = self._draw_next_resync()
        metrics.claim(INFORMER, self._label)
        metrics.informer_store_objects.labels(self._label).set_function(lambda: len(self.store))
        metrics.informer_last_contact_seconds.labels(self._label).set_function(
            self.last_contact_age
        )

    def add_handler(self, handler: Handler) -> None:
        """Call a handler with each object in the store, then with each change.

        The calls for the objects in the store are on the calling thread, those for changes on the
        informer's. All calls are in one order, each object comes once. When a handler is called,
        the store holds the change, and `cache.is_own_write` can still answer for it.

        Never call this from a handler: it would wait for itself.
        """
        self._processor.add_handler(handler)

    def run(self, stop: Stop) -> None:
        """Follow the resource until the stop is set.

        Errors of the server are logged, and the request is tried again without an end.

        Args:
            stop: Ends this. A request that hangs is cut.

        Raises:
            Exception: A handler or an index function failed. It has missed a change, so the process
                must end.
        """
        if self._wait_for_demand(stop):
            self._last_contact = self._clock.monotonic()
            self._beat()
            self._reflector.run(stop)
        if self._abandoned:
            self._processor.replace([], "")

    def demand(self) -> None:
        """Begin to follow a resource that is followed on demand. A second call does nothing."""
        if not self._demanded:
            # A thread that has only waited so far is no thread that hangs, nor is it cut off.
            self._beat()
            self._last_contact = self._clock.monotonic()
            self._demanded = True
            self._wake.set()

    def abandon(self) -> None:
        """Remove the series and free their name now, and drop all objects at the end of `run`.

        The handlers see the objects deleted.
        """
        self._abandoned = True
        # Now, so that another informer of the namespace can have the name.
        self._metrics.forget_informer(self._label)

    def written(self, obj: Object) -> None:
        """Record an own write.

        Args:
            obj: The object as the API server returned it.
        """
        self.cache.mutated(obj)

    def has_synced(self) -> bool:
        """Return whether the first list is in the store and the handlers were called with it.

        Also True before a demand, and while there is nothing to follow, see `refusal`.
        """
        waits = not self._demanded or self._refusal is not None
        return waits or self._processor.synced.is_set()

    def is_served(self) -> bool:
        """Return False if the last answer was that the API server does not serve the resource."""
        return not isinstance(self._refusal, NotFound)

    def refusal(self) -> ClientError | None:
        """Return the last answer if by it there is nothing to follow; None if there is.

        That is `NotFound` if the API server does not serve the resource, and `Forbidden` if it does
        not let the process list a resource that is optional.
        """
        return self._refusal

    def last_contact_age(self) -> float:
        """Return the seconds since the server was last heard; 0.0 before a demand.

        A bookmark comes once a minute. After 90 s of silence the watch is opened again, which
        counts as well. So the store is stale at an age of more than two minutes. A restart would
        not help then: `check_alive` does not look at it.
        """
        return self._clock.monotonic() - self._last_contact if self._demanded else 0.0

    def check_alive(self) -> None:
        """Return if the informer's thread does not hang. Errors of the server are no hang.

        Raises:
            CheckFailed: The thread has shown no life for `HUNG_SILENCES` read timeouts.
        """
        if not self._demanded:
            return
        silence = self._clock.monotonic() - self._last_beat
        # A pause after a failure may be longer than a short read timeout.
        if silence > HUNG_SILENCES * max(READ_TIMEOUT, self._read_timeout):
            raise CheckFailed(HUNG.format(name=self.name, seconds=silence))

    def check_ready(self) -> None:
        """Return if the informer has synced.

        Raises:
            CheckFailed: It has not synced, or the API server does not serve the resource and the
                informer is not optional.
        """
        if not self.is_served() and not self._optional:
            raise CheckFailed(NOT_SERVED.format(name=self.name, resource=self.resource.full_name))
        if not self.has_synced():
            raise CheckFailed(NOT_SYNCED.format(name=self.name))

    def _on_contact(self) -> None:
        """Record that the server was heard, and resync if that is due.

        It is called every 90 s at least, which is precise enough for a period of hours.
        """
        self._refusal = None
        self._last_contact = self._clock.monotonic()
        self._beat()
        if self._last_contact >= self._next_resync:
            self._next_resync = self._draw_next_resync()
            self._processor.resync()

    def _on_watch_error(self, error: ClientError) -> None:
        # This is the resource: a namespace that does not exist has an empty list.
        absent = isinstance(error, NotFound)
        if absent or (self._optional and isinstance(error, Forbidden)):
            if type(error) is not type(self._refusal):
                waiting = "waiting for a CRD" if absent else "waiting for the right to list"
                _log.info(waiting, resource=self.resource.full_name)
            self._refusal = error
            self._last_contact = self._clock.monotonic()
        self._report(error)

    def _log_watch_error(self, error: ClientError) -> None:
        if self._refusal is not error:
            _log.warning("list and watch failed", resource=self._label, error=str(error))

    def _wait_for_demand(self, stop: Stop) -> bool:
        """Wait until the resource is to be followed. Return False if the stop comes first."""
        if not self._demanded:
            forget = stop.call_back(self._wake.set)
            self._clock.wait_event(self._wake, None)
            forget()
        return self._demanded and not stop.is_set()

    def _beat(self) -> None:
        self._last_beat = self._clock.monotonic()

    def _draw_next_resync(self) -> float:
        return self._clock.monotonic() + self._resync_period * self._uniform(0.9, 1.1)


class _Processor:
    """The sink of the reflector: changes the store, calls the handlers, then the mutation cache.

    The order matters. A handler that is called with an object finds it, or a newer state, in the
    store, and the mutation cache can still say whether it is an own write.

    Args:
        store: Holds the objects.
        cache: Drops the writes that the store is past.
    """

    def __init__(self, store: Store, cache: MutationCache) -> None:
        #: Set when the first list is in the store and the handlers were called with it.
        self.synced = threading.Event()
        self._store = store
        self._cache = cache
        # Held while the store changes and the handlers are called, so that a handler that is added
        # meanwhile sees each object exactly once.
        self._lock = threading.Lock()
        self._handlers: list[Handler] = []

    def add_handler(self, handler: Handler) -> None:
        with self._lock:
            for obj in self._store.list():
                handler.on_add(obj, initial=True)
            self._handlers.append(handler)

    def add(self, obj: Object) -> None:
        self._put(obj)

    def update(self, obj: Object) -> None:
        self._put(obj)

    def delete(self, obj: Object) -> None:
        with self._lock:
            known = self._store.get(*key_of(obj)) is not None
            self._store.delete(obj)
            self._store.bookmark(_version(obj))
            if known:
                self._handle_deletion(obj)
            self._cache.deleted(obj)

    def bookmark(self, resource_version: str) -> None:
        self._store.bookmark(resource_version)

    def replace(self, objects: list[Object], resource_version: str) -> None:
        with self._lock:
            before = {key_of(obj): obj for obj in self._store.list()}
            vanished = self._store.replace(objects, resource_version)
            for obj in objects:
                self._handle(before.get(key_of(obj)), obj, initial=not self.synced.is_set())
            # An object that this process created and somebody deleted between two watches is in no
            # event and in no list. By uid, so that each object is handled once: its write is newer
            # than its state in the store.
            unseen = self._cache.settle()
            for obj in {_uid(obj): obj for obj in (*vanished, *unseen)}.values():
                self._handle_deletion(obj)
            self.synced.set()

    def resync(self) -> None:
        """Call the handlers with each object again, as an update from itself."""
        with self._lock:
            for obj in self._store.list():
                for handler in self._handlers:
                    handler.on_update(obj, obj)

    def _put(self, obj: Object) -> None:
        with self._lock:
            old = self._store.get(*key_of(obj))
            self._store.update(obj)
            # Before the handlers are called: a reconcile that they cause must find the store at
            # this version, without an older own write laid over it.
            self._store.bookmark(_version(obj))
            self._handle(old, obj, initial=False)
            self._cache.shown(obj)

    def _handle(self, old: Object | None, new: Object, *, initial: bool) -> None:
        if old is not None and _uid(old) != _uid(new):
            # The watch missed a deletion and a creation with the same name. The handlers must see
            # both.
            self._handle_deletion(old)
            old = None
        for handler in self._handlers:
            if old is None:
                handler.on_add(new, initial=initial)
            elif _version(old) != _version(new):
                handler.on_update(old, new)

    def _handle_deletion(self, obj: Object) -> None:
        for handler in self._handlers:
            handler.on_delete(obj)


def _uid(obj: Object) -> object:
    return obj["metadata"].get("uid")


def _version(obj: Object) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version
