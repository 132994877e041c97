"""A cache that shows this process's own writes before the watch does.

Follows client-go tools/cache/mutation_cache.go. Without it a reconcile right after a write would
read the state before the write, and write again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from controller.cache.store import Store, key_of
from controller.cache.trim import default_trim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.cache.store import IndexFunction, Key
    from controller.clock import Clock
    from controller.resource import Object

#: Seconds after which a write is dropped that the watch has not shown. A watch is behind by
#: milliseconds, but by minutes if its connection is half-open (reflector.READ_TIMEOUT). A write
#: that is dropped too early would seem undone.
DEFAULT_TTL_SECONDS: Final = 600.0

#: The fields of an object of which only the metadata is kept.
METADATA_FIELDS: Final = ("apiVersion", "kind", "metadata")


class MutationCache:
    """The store of an informer with own writes laid over it: of each object, the newer state.

    It belongs to the informer. A write is dropped when the store is past it: the watch has shown
    the object at this version or later, or its deletion, or a list without it.

    The newer state is the one with the larger resourceVersion, compared as a number. kube-apiserver
    takes the versions of a resource from one counter of etcd, and documents their order since 1.35.

    Args:
        store: The store of the informer.
        clock: Times the expiry.
        indexers: The index functions of the store. Default: none.
        metadata_only: Keep neither spec nor status nor data of a write, as the informer does: the
            content of a Secret must not stay in memory. Default: False.
        trim: What the informer applies to each object that arrives. Default: `default_trim`.
        ttl: Seconds after which a write is dropped that the watch has not shown. Default: 600.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        indexers: Mapping[str, IndexFunction] | None = None,
        metadata_only: bool = False,
        trim: Callable[[Object], Object] = default_trim,
        ttl: float = DEFAULT_TTL_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._indexers = indexers or {}
        self._metadata_only = metadata_only
        self._trim = trim
        self._ttl = ttl
        # Guards the changes of the two fields below. They have the same keys.
        self._lock = threading.Lock()
        # The newest write of each object. The store may have come past some of them since.
        self._written = Store(indexers)
        # When each of them expires, in monotonic seconds.
        self._expires: dict[Key, float] = {}

    def mutated(self, obj: Object) -> None:
        """Record a write (`Mutation`). Nothing happens if the store or another write is newer.

        Args:
            obj: The object as the API server returned it. Not changed.
        """
        kept = {
            name: value
            for name, value in obj.items()
            if not self._metadata_only or name in METADATA_FIELDS
        }
        kept["metadata"] = dict(kept["metadata"])
        key = key_of(obj)
        with self._lock:
            before = self._written.get(*key)
            if not self._is_past(obj, 0 if before is None else _version(before)):
                self._written.update(self._trim(kept))
                self._expires[key] = self._clock.monotonic() + self._ttl

    def is_own_write(self, obj: Object) -> bool:
        """Return whether an object is exactly as a write of this process has left it.

        It may be False for an own write: the watch can be faster than the answer to the write. Ask
        before `shown` is called with the object, which drops the write.
        """
        written = self._written.get(*key_of(obj))
        return written is not None and _version(written) == _version(obj)

    def shown(self, obj: Object) -> None:
        """Drop the write of an object that the watch has shown, if the store is past it."""
        self._drop_past(key_of(obj))

    def deleted(self, obj: Object) -> None:
        """Drop the write of an object whose deletion the watch has shown.

        The write of a new object with the same name is kept: it is newer than the deletion.
        """
        self._drop_past(key_of(obj), _version(obj))

    def settle(self) -> list[Object]:
        """Drop all writes that the store is past. Call it after a list.

        Returns:
            The objects among them that the store does not hold: they were deleted before the watch
            showed them.
        """
        with self._lock:
            past = [obj for obj in self._written.list() if self._is_past(obj)]
            for obj in past:
                self._drop_locked(obj)
        return [obj for obj in past if self._store.get(*key_of(obj)) is None]

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, None if there is none. Never change it."""
        return self._newer((namespace, name))

    def keys(self) -> list[Key]:
        """Return the key of each object in the store. Own creations may be missing."""
        return [key_of(obj) for obj in self._store.list()]

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index. Never change them.

        Raises:
            KeyError: There is no index of this name.
        """
        # Look at the writes first: a write that the watch shows meanwhile moves to the store.
        if not len(self._written):
            return self._store.by_index(index, value)
        keys = dict.fromkeys(
            key_of(obj)
            for store in (self._written, self._store)
            for obj in store.by_index(index, value)
        )
        newest = map(self._newer, keys)
        # The newest state may have another value than the one that was found.
        return [obj for obj in newest if obj is not None and value in self._indexers[index](obj)]

    def _newer(self, key: Key) -> Object | None:
        """Return the newer of the object in the store and its write."""
        if self._written.get(*key) is None:
            # Without the lock, which all workers share: the store has what was dropped just now.
            return self._store.get(*key)
        with self._lock:
            written = self._written.get(*key)
            if written is not None:
                expired = self._clock.monotonic() >= self._expires[key]
                if not (expired or self._is_past(written)):
                    return written
                self._drop_locked(written)
        return self._store.get(*key)

    def _drop_past(self, key: Key, seen: int = 0) -> None:
        with self._lock:
            written = self._written.get(*key)
            if written is not None and self._is_past(written, seen):
                self._drop_locked(written)

    def _drop_locked(self, written: Object) -> None:
        self._written.delete(written)
        del self._expires[key_of(written)]

    def _is_past(self, written: Object, seen: int = 0) -> bool:
        """Return whether the store is past a write.

        Args:
            written: The object that the write returned.
            seen: A version of the object that was seen elsewhere. Default: none.
        """
        stored = self._store.get(*key_of(written))
        if stored is not None:
            seen = max(seen, _version(stored))
        return max(seen, int(self._store.resource_version or 0)) >= _version(written)


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
