"""A local copy of one resource, with handlers for what changes in it.

Follows client-go tools/cache/shared_informer.go, with the cache options that controller-runtime
sets (pkg/cache). Handlers are called one after the other on the informer's thread: they must only
enqueue, and so need no buffer of their own.
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
from controller.errors import ClientError, NotFound
from controller.health import CheckFailed
from controller.jsonvalue import interned
from controller.metrics import INFORMER, Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.stop import Stop

#: Seconds between two resyncs, give or take a tenth (controller-runtime pkg/cache/cache.go).
RESYNC_PERIOD: Final = 36000.0

#: Silences of a watch after which the thread counts as hung. It is never in one place for longer
#: than one.
HUNG_SILENCES: Final = 2

HUNG: Final = "{name} shows no life for {seconds:.0f} s"
NOT_SYNCED: Final = "{name} has not synced"
NOT_SERVED: Final = "{name} waits: the API server does not serve {resource}; install its CRD"


_log = structlog.get_logger()


class Handler(Protocol):
    """Who wants to know what changed. The objects belong to the store: never change them."""

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Handle an object that is new to the informer.

        Args:
            obj: Its state.
            initial: True if it was there before the handler was, False if it is new.
        """

    def on_update(self, old: Object, new: Object) -> None:
        """Handle a change; in a resync both are the same object."""

    def on_delete(self, obj: Object) -> None:
        """Handle a deletion.

        Args:
            obj: The last state known; older than the deletion if that was not seen itself.
        """


class Informer:
    """Keeps a store like the API server, and has handlers called with what changes in it.

    Follows one namespace, or all. Its mutation cache shows this process's own writes before the
    watch does: read from `cache`, and have the client report each write to `written`.

    A resource that the API server does not serve has no objects. The informer counts as synced, so
    that it holds up nobody, and follows the resource as soon as its CRD is there.

    Args:
        client: Whom to ask.
        resource: What to follow.
        namespace: "" for all, and for a cluster-scoped resource.
        clock: For pauses and ages.
        metrics: Where size, age and relists are shown.
        name: Unique among the process's informers. Default: the resource's name.
        optional: Whether the process is ready while the API server does not serve the resource.
        metadata_only: Hold no spec, status or data.
        label_selector: Follow only objects with these labels.
        field_selector: The same for fields; `metadata.name=...` for a single object.
        indexers: Index functions of the store, by index name.
        trim: Gets each object on arrival, before the indices, and returns what to keep. It may
            change the object and its metadata, but not what is nested deeper. What is kept shares
            its strings with all else.
        resync_period: Seconds between two resyncs, give or take a tenth.
        uniform: Draws a number between two, as `random.uniform`.
        read_timeout: Seconds of silence after which a watch counts as dead.
        on_watch_error: Called on the informer's thread with each error that ends list and watch, in
            place of a line in the log (SetWatchErrorHandler). Default: the line.

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
        #: What it follows.
        self.resource = resource
        #: The namespace that it follows; "" for all.
        self.namespace = namespace
        #: What the watch has shown.
        self.store = Store(indexers)
        #: The same, with this process's own writes laid over it.
        self.cache = MutationCache(
            self.store, clock=clock, indexers=indexers, metadata_only=metadata_only, trim=trim
        )
        # The value of the label of its series.
        self._label = name or resource.full_name
        #: Names it in logs, errors and probes.
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
        # Whether the API server said last that it does not serve the resource.
        self._absent = False
        # Whether the objects are to be forgotten at the end of `run`.
        self._abandoned = False
        # Monotonic seconds; written by the informer's thread only.
        self._last_contact = clock.monotonic()
        # The same of the thread's last sign of life: it goes on while the server is away.
        self._last_beat = clock.monotonic()
        self._next_resync = self._draw_next_resync()
        metrics.claim(INFORMER, self._label)
        metrics.informer_store_objects.labels(self._label).set_function(lambda: len(self.store))
        metrics.informer_last_contact_seconds.labels(self._label).set_function(
            self.last_contact_age
        )

    def add_handler(self, handler: Handler) -> None:
        """Call a handler with all that is there, then with all that changes.

        A handler added before `run` gets the initial objects as they arrive. All calls to handlers
        are in one order, in the calling thread for what is there already, then in the informer's.
        When a handler is called, the store has the change, and `cache.is_own_write` still knows
        whose it is. No handler may add one while it is being called.
        """
        self._processor.add_handler(handler)

    def run(self, stop: Stop) -> None:
        """Follow the resource until told to stop.

        Trouble with the server is logged and tried again for ever.

        Args:
            stop: Ends this within a moment: a request that hangs is cut.

        Raises:
            Exception: A handler or an index function failed. What they missed is lost, so the
                process must not go on.
        """
        self._last_contact = self._clock.monotonic()
        self._beat()
        take_back = stop.call_back(self._reflector.close)
        self._reflector.run(stop)
        take_back()
        if self._abandoned:
            self._processor.replace([], "")

    def abandon(self) -> None:
        """Give the series and their name back now, and forget all objects at the end of `run`.

        The handlers see the objects deleted.
        """
        self._abandoned = True
        # At once, so that an informer that follows this one can have the name.
        self._metrics.forget_informer(self._label)

    def written(self, obj: Object) -> None:
        """Record an own write: an object as the API server returned it."""
        self.cache.mutated(obj)

    def has_synced(self) -> bool:
        """Return whether the initial objects are in the store and the handlers know them.

        True as well while the API server does not serve the resource: there are none.
        """
        return self._absent or self._processor.synced.is_set()

    def is_served(self) -> bool:
        """Return False if the API server said last that it does not serve the resource."""
        return not self._absent

    def last_contact_age(self) -> float:
        """Return the seconds since the server was last heard.

        A bookmark comes once a minute, and after 90 s of silence the watch is opened anew, which
        counts as well. An age of more than two minutes means that the store is stale. That is the
        server's fault or the network's, and no reason to end the process: see `check_alive`.
        """
        return self._clock.monotonic() - self._last_contact

    def check_alive(self) -> None:
        """Return unless the informer's thread hangs. Trouble with the server is no hang.

        Raises:
            CheckFailed: It shows no life for two silences of a watch.
        """
        silence = self._clock.monotonic() - self._last_beat
        if silence > HUNG_SILENCES * self._read_timeout:
            raise CheckFailed(HUNG.format(name=self.name, seconds=silence))

    def check_ready(self) -> None:
        """Return once the informer has synced.

        Raises:
            CheckFailed: It has not, or the API server does not serve the resource, unless that is
                optional.
        """
        if self._absent and not self._optional:
            raise CheckFailed(NOT_SERVED.format(name=self.name, resource=self.resource.full_name))
        if not self.has_synced():
            raise CheckFailed(NOT_SYNCED.format(name=self.name))

    def _on_contact(self) -> None:
        """Record that the server was heard, and resync when it is time.

        That is every 90 s at least, which is precise enough for a period of hours.
        """
        self._absent = False
        self._last_contact = self._clock.monotonic()
        self._beat()
        if self._last_contact >= self._next_resync:
            self._next_resync = self._draw_next_resync()
            self._processor.resync()

    def _on_watch_error(self, error: ClientError) -> None:
        # The list of a namespace that is missing is empty, not "not found".
        if isinstance(error, NotFound):
            if not self._absent:
                _log.info("waiting for a CRD", resource=self.resource.full_name)
            self._absent = True
            self._last_contact = self._clock.monotonic()
        self._report(error)

    def _log_watch_error(self, error: ClientError) -> None:
        if not isinstance(error, NotFound):
            _log.warning("list and watch failed", resource=self._label, error=str(error))

    def _beat(self) -> None:
        self._last_beat = self._clock.monotonic()

    def _draw_next_resync(self) -> float:
        return self._clock.monotonic() + self._resync_period * self._uniform(0.9, 1.1)


class _Processor:
    """Puts what the reflector brings into the store, calls the handlers, then the mutation cache.

    In this order: who is called with an object finds it, or something newer, in the store, and can
    still ask the cache whose write it is.
    """

    def __init__(self, store: Store, cache: MutationCache) -> None:
        #: Set once the initial objects are in the store and the handlers know them.
        self.synced = threading.Event()
        self._store = store
        self._cache = cache
        # Held while the store changes and the handlers are called: a handler that joins sees each
        # object exactly once.
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
            # An object that was created and deleted between two watches is in no event and in no
            # list. Each once: what was written to an object is newer than what the store had.
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
            # Before the handlers are called: who reads because of them finds the store at this
            # version, and no older write of their own laid over it.
            self._store.bookmark(_version(obj))
            self._handle(old, obj, initial=False)
            self._cache.shown(obj)

    def _handle(self, old: Object | None, new: Object, *, initial: bool) -> None:
        if old is not None and _uid(old) != _uid(new):
            # Deleted and created again under the same name while nobody looked: what depends on
            # the old one must hear of its end.
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
