"""A store that shows one's own writes before the watch does.

Follows client-go tools/cache/mutation_cache.go: without it a reconcile that starts right after a
write decides on the state before it, and writes again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from attrs import frozen

from controller.store import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.resource import Object
    from controller.store import IndexFunction, Key, Store

# The watch is behind by milliseconds; after this long an object it never showed is gone.
DEFAULT_TTL_SECONDS = 60.0


@frozen
class _Mutation:
    obj: Object
    expires: float


class MutationCache:
    """The newer of what a store holds and what was written, object by object.

    It is a handler of the store's informer, to learn of deletions.

    Newer is the larger resourceVersion, as one number per resource: kube-apiserver on etcd keeps
    them so, and documents it from 1.35 on.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        indexers: Mapping[str, IndexFunction] | None = None,
        ttl: float = DEFAULT_TTL_SECONDS,
    ) -> None:
        """Start with no writes.

        Args:
            store: The informer's store.
            clock: For expiry.
            indexers: Those of the store, so that unseen objects are found by index as well.
            ttl: Seconds after which a write that the store never showed is forgotten.
        """
        self._store = store
        self._clock = clock
        self._indexers = indexers or {}
        self._ttl = ttl
        self._lock = threading.Lock()
        # Invariant: no entry is older than what the store held when the entry was last read.
        self._mutations: dict[Key, _Mutation] = {}

    def mutated(self, obj: Object) -> None:
        """Take an object as the API server returned it after a write."""
        with self._lock:
            self._mutations[key_of(obj)] = _Mutation(obj, self._clock.monotonic() + self._ttl)

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Do nothing: what the watch shows is preferred when it is read."""

    def on_update(self, old: Object, new: Object) -> None:
        """Do nothing, as for an add."""

    def on_delete(self, obj: Object) -> None:
        """Forget an object that the watch has shown to be gone."""
        key = key_of(obj)
        with self._lock:
            mutation = self._mutations.get(key)
            if mutation is not None and _version(mutation.obj) <= _version(obj):
                del self._mutations[key]

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, which must not be changed, or None."""
        return self._newer((namespace, name), self._store.get(namespace, name))

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index; they must not be changed."""
        keys = dict.fromkeys(key_of(obj) for obj in self._store.by_index(index, value))
        with self._lock:
            keys.update(dict.fromkeys(self._mutations))
        newest = (self._newer(key, self._store.get(*key)) for key in keys)
        # A write may have given the object another value.
        return [obj for obj in newest if obj is not None and value in self._indexers[index](obj)]

    def _newer(self, key: Key, stored: Object | None) -> Object | None:
        with self._lock:
            mutation = self._mutations.get(key)
            if mutation is None:
                return stored
            seen = stored is not None and _version(stored) >= _version(mutation.obj)
            if seen or self._clock.monotonic() >= mutation.expires:
                del self._mutations[key]
                return stored
            return mutation.obj


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
