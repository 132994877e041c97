"""A local copy of one resource that tells its handlers what changed.

Follows client-go tools/cache/shared_informer.go, with the cache options that controller-runtime
sets (pkg/cache). Handlers are called one after the other on the informer's thread: they must only
enqueue, and so need no buffer of their own.
"""

import random
import threading
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from controller.cache.reflector import READ_TIMEOUT, Reflector
from controller.cache.store import IndexFunction, Store, key_of
from controller.clock import Clock
from controller.jsonvalue import interned
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.rest.client import Client
from controller.stop import Stop

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

#: Seconds between two resyncs, give or take a tenth (controller-runtime pkg/cache/cache.go).
RESYNC_PERIOD: Final = 36000.0

#: Seconds without a sign of life after which the thread counts as hung: two silences of a watch,
#: the longest that it may be in one place.
HUNG_SECONDS: Final = 2 * READ_TIMEOUT
HUNG: Final = "{name} shows no life for {seconds:.0f} s"


class Handler(Protocol):
    """Who wants to know what changed. The objects belong to the store: never change them."""

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Learn of an object.

        Args:
            obj: Its state.
            initial: True if it was there before the handler was, False if it is new.
        """

    def on_update(self, old: Object, new: Object) -> None:
        """Learn of a change; in a resync both are the same object."""

    def on_delete(self, obj: Object) -> None:
        """Learn of a deletion.

        Args:
            obj: The last state known; older than the deletion if that was not seen itself.
        """


class Overlay(Protocol):
    """Writes laid over the store, as `controller.cache.mutationcache.MutationCache`."""

    def settle(self) -> list[Object]:
        """Forget the writes that the store is past.

        Returns:
            The objects among them that the store does not hold: gone before it ever showed them.
        """


def default_trim(obj: Object) -> Object:
    """Drop what no reconciler reads and what makes up a third of an object's size or more.

    With the annotation that `kubectl apply` leaves goes a Secret's data, which it holds in full
    even where only metadata is watched.
    """
    metadata = obj["metadata"]
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        # A new one: whoever copied the metadata before shares the old one.
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != LAST_APPLIED}
    return obj


class Informer:
    """Keeps a store like the API server and tells handlers what changed in it."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str,
        *,
        clock: Clock,
        metrics: Metrics,
        metadata_only: bool = False,
        label_selector: str = "",
        field_selector: str = "",
        indexers: Mapping[str, IndexFunction] | None = None,
        trim: Callable[[Object], Object] = default_trim,
        resync_period: float = RESYNC_PERIOD,
        uniform: Callable[[float, float], float] = random.uniform,
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """Make an informer; `run` starts it.

        Args:
            client: Whom to ask.
            resource: What to follow.
            namespace: "" for all.
            clock: For pauses and ages.
            metrics: Where size, age and relists are shown.
            metadata_only: Hold no spec, status or data.
            label_selector: Follow only objects with these labels.
            field_selector: The same for fields; `metadata.name=...` for a single object.
            indexers: Index functions of the store, by index name.
            trim: Gets each object on arrival, before the indices, and returns what to keep; it may
                change the object. What is kept shares its strings with all else.
            resync_period: Seconds between two resyncs, give or take a tenth.
            uniform: Draws a number between two, as `random.uniform`.
            read_timeout: Seconds of silence after which a watch counts as dead.
        """
        self.resource = resource
        self.store = Store(indexers)
        self._clock = clock
        self._resync_period = resync_period
        self._read_timeout = read_timeout
        self._uniform = uniform
        self._processor = _Processor(self.store)
        self._reflector = Reflector(
            client,
            resource,
            namespace,
            self._processor,
            clock=clock,
            metrics=metrics,
            metadata_only=metadata_only,
            label_selector=label_selector,
            field_selector=field_selector,
            keep=lambda obj: interned(trim(obj)),
            on_contact=self._on_contact,
            beat=self._beat,
            uniform=uniform,
            read_timeout=read_timeout,
        )
        # Monotonic seconds; written by the informer's thread only.
        self._last_contact = clock.monotonic()
        # The same of the thread's last sign of life: it goes on while the server is away.
        self._last_beat = clock.monotonic()
        self._next_resync = self._draw_next_resync()
        labels = {"resource": resource.full_name}
        metrics.informer_store_objects.labels(**labels).set_function(lambda: len(self.store))
        metrics.informer_last_contact_seconds.labels(**labels).set_function(self.last_contact_age)

    @property
    def name(self) -> str:
        """Name it in logs and errors."""
        return f"informer of {self.resource.full_name}"

    def add_handler(self, handler: Handler) -> None:
        """Tell a handler all that is there, then all that changes.

        A handler added before `run` gets the initial objects as they arrive. All calls to handlers
        are in one order, in the calling thread for what is there already, then in the informer's.
        No handler may add one while it is being called.
        """
        self._processor.add_handler(handler)

    def set_overlay(self, overlay: Overlay) -> None:
        """Have an overlay settled after each relist; before `run`.

        What it finds gone is told to the handlers as deleted: an object that was created and
        deleted between two watches is in no event and in no list.
        """
        self._processor.overlay = overlay

    def run(self, stop: Stop) -> None:
        """Follow the resource until told to stop.

        Returns within a moment of it, or, if a list was on its way, within a second. Trouble with
        the server is logged and tried again for ever.

        Args:
            stop: Ends this.

        Raises:
            Exception: A handler or an index function failed. What they missed is lost, so the
                process must not go on.
        """
        self._last_contact = self._clock.monotonic()
        self._beat()
        self._reflector.run(stop)

    def has_synced(self) -> bool:
        """Tell whether the initial objects are in the store and the handlers know them."""
        return self._processor.synced.is_set()

    def last_contact_age(self) -> float:
        """Return the seconds since the server was last heard.

        A bookmark comes once a minute, and after 90 s of silence the watch is opened anew, which
        counts as well. An age of more than two minutes means that the store is stale. That is the
        server's fault or the network's, and no reason to end the process: see `hung`.
        """
        return self._clock.monotonic() - self._last_contact

    def hung(self) -> str:
        """Tell whether the informer's thread hangs, for a liveness probe.

        Returns:
            Its name and since when; "" while it turns over, be it only from one refused request to
            the next.
        """
        silence = self._clock.monotonic() - self._last_beat
        hung = silence > max(HUNG_SECONDS, 2 * self._read_timeout)
        return HUNG.format(name=self.name, seconds=silence) if hung else ""

    def _on_contact(self) -> None:
        """Note that the server was heard, and resync when it is time.

        That is every 90 s at least, which is precise enough for a period of hours.
        """
        self._last_contact = self._clock.monotonic()
        self._beat()
        if self._last_contact >= self._next_resync:
            self._next_resync = self._draw_next_resync()
            self._processor.resync()

    def _beat(self) -> None:
        self._last_beat = self._clock.monotonic()

    def _draw_next_resync(self) -> float:
        return self._clock.monotonic() + self._resync_period * self._uniform(0.9, 1.1)


class _Processor:
    """Puts what the reflector brings into the store and tells the handlers, in this order.

    Whoever hears of an object finds it, or something newer, in the store.
    """

    def __init__(self, store: Store) -> None:
        self.synced = threading.Event()
        self.overlay: Overlay | None = None
        self._store = store
        # Held while the store changes and the handlers are told: a handler that joins sees each
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
                self._tell_deleted(obj)

    def bookmark(self, resource_version: str) -> None:
        self._store.bookmark(resource_version)

    def replace(self, objects: list[Object], resource_version: str) -> None:
        with self._lock:
            before = {key_of(obj): obj for obj in self._store.list()}
            vanished = self._store.replace(objects, resource_version)
            unseen = self.overlay.settle() if self.overlay is not None else []
            # Each once: what was written to an object is newer than what the store had of it.
            for obj in {_uid(obj): obj for obj in (*vanished, *unseen)}.values():
                self._tell_deleted(obj)
            for obj in objects:
                self._tell(before.get(key_of(obj)), obj, initial=not self.synced.is_set())
            self.synced.set()

    def resync(self) -> None:
        """Tell the handlers each object again, as an update from itself."""
        with self._lock:
            for obj in self._store.list():
                for handler in self._handlers:
                    handler.on_update(obj, obj)

    def _put(self, obj: Object) -> None:
        with self._lock:
            old = self._store.get(*key_of(obj))
            self._store.update(obj)
            # Before the handlers are told: whoever reads because of them finds the store at this
            # version, and no write of his own older than it laid over it.
            self._store.bookmark(_version(obj))
            self._tell(old, obj, initial=False)

    def _tell(self, old: Object | None, new: Object, *, initial: bool) -> None:
        if old is not None and _uid(old) != _uid(new):
            # Deleted and created again under the same name while nobody looked: what depends on
            # the old one must hear of its end.
            self._tell_deleted(old)
            old = None
        for handler in self._handlers:
            if old is None:
                handler.on_add(new, initial=initial)
            elif _version(old) != _version(new):
                handler.on_update(old, new)

    def _tell_deleted(self, obj: Object) -> None:
        for handler in self._handlers:
            handler.on_delete(obj)


def _uid(obj: Object) -> object:
    return obj["metadata"].get("uid")


def _version(obj: Object) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version
