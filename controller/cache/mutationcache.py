"""A store that shows one's own writes before the watch does.

Follows client-go tools/cache/mutation_cache.go: without it a reconcile that starts right after a
write decides on the state before it, and writes again.
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

#: Seconds after which a write that the store never showed is forgotten. The watch is behind by
#: milliseconds, but by minutes where its connection is half-open and requests on others succeed
#: (reflector.READ_TIMEOUT): a write that is forgotten by then looks as if it had never been.
DEFAULT_TTL_SECONDS: Final = 600.0

#: What is left of an object of which only the metadata is kept.
METADATA_FIELDS: Final = ("apiVersion", "kind", "metadata")


class MutationCache:
    """The newer of what a store holds and what was written, object by object.

    It belongs to the informer that fills the store. A write is forgotten as soon as the store is
    past it: by the object itself, by its deletion, or by a list without it.

    Newer is the larger resourceVersion, as one number per resource: kube-apiserver on etcd keeps
    them so, and documents it from 1.35 on.

    Args:
        store: The informer's store.
        clock: For expiry.
        indexers: Those of the store, so that unseen objects are found by index as well.
        metadata_only: Keep no spec, status or data of what is written, as the informer does not of
            what it sees: what a Secret holds must not stay in memory.
        trim: What the informer applies to each object that arrives.
        ttl: Seconds after which a write that the store never showed is forgotten.
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
        # Guards the changes of the two fields below.
        self._lock = threading.Lock()
        # The newest write of each object. Invariant: the store has not been past any of these when
        # it was last looked at.
        self._written = Store(indexers)
        # When each of them is forgotten at the latest, in monotonic seconds.
        self._expires: dict[Key, float] = {}

    def mutated(self, obj: Object) -> None:
        """Take an object as the API server returned it after a write; it is left as it is.

        Nothing happens if the store, or another write, is newer.
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
        """Return whether an object is in the very state in which a write of this process left it.

        In doubt it is not: the watch may show a write before its answer is here. Ask before the
        cache is told of the object, which makes it forget the write.
        """
        written = self._written.get(*key_of(obj))
        return written is not None and _version(written) == _version(obj)

    def shown(self, obj: Object) -> None:
        """Forget a write that the watch has shown."""
        self._forget_past(key_of(obj))

    def deleted(self, obj: Object) -> None:
        """Forget a write to an object that the watch has shown to be gone.

        The write of a successor that has the same name is kept: it is newer than the deletion.
        """
        self._forget_past(key_of(obj), _version(obj))

    def settle(self) -> list[Object]:
        """Forget the writes that the store is past.

        Returns:
            The objects among them that the store does not hold: gone before it ever showed them.
        """
        with self._lock:
            past = [obj for obj in self._written.list() if self._is_past(obj)]
            for obj in past:
                self._forget_locked(obj)
        return [obj for obj in past if self._store.get(*key_of(obj)) is None]

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, which must not be changed, or None."""
        return self._newer((namespace, name))

    def keys(self) -> list[Key]:
        """Return namespace and name of each object that the store holds."""
        return [key_of(obj) for obj in self._store.list()]

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index; they must not be changed.

        Raises:
            KeyError: There is no index of that name.
        """
        # The writes first: one that the watch shows meanwhile moves from them into the store.
        keys = dict.fromkeys(
            key_of(obj)
            for store in (self._written, self._store)
            for obj in store.by_index(index, value)
        )
        newest = map(self._newer, keys)
        # A write may have given the object another value.
        return [obj for obj in newest if obj is not None and value in self._indexers[index](obj)]

    def _newer(self, key: Key) -> Object | None:
        with self._lock:
            written = self._written.get(*key)
            if written is not None:
                expired = self._clock.monotonic() >= self._expires[key]
                if not (expired or self._is_past(written)):
                    return written
                self._forget_locked(written)
        return self._store.get(*key)

    def _forget_past(self, key: Key, seen: int = 0) -> None:
        with self._lock:
            written = self._written.get(*key)
            if written is not None and self._is_past(written, seen):
                self._forget_locked(written)

    def _forget_locked(self, written: Object) -> None:
        self._written.delete(written)
        del self._expires[key_of(written)]

    def _is_past(self, written: Object, seen: int = 0) -> bool:
        """Return whether the store has seen a write, or is complete beyond it.

        Args:
            written: The object that the write has returned.
            seen: A version of the object that is known to have been seen.
        """
        stored = self._store.get(*key_of(written))
        if stored is not None:
            seen = max(seen, _version(stored))
        return max(seen, int(self._store.resource_version or 0)) >= _version(written)


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
