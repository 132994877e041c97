"""A store that shows one's own writes before the watch does.

Follows client-go tools/cache/mutation_cache.go: without it a reconcile that starts right after a
write decides on the state before it, and writes again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from attrs import frozen

from controller.informer import default_trim
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

    It is a handler of the store's informer, and its overlay: a write is forgotten as soon as the
    store is past it, be it by the object itself, by its deletion, or by a list without it.

    Newer is the larger resourceVersion, as one number per resource: kube-apiserver on etcd keeps
    them so, and documents it from 1.35 on.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        indexers: Mapping[str, IndexFunction] | None = None,
        metadata_only: bool = False,
        ttl: float = DEFAULT_TTL_SECONDS,
    ) -> None:
        """Start with no writes.

        Args:
            store: The informer's store.
            clock: For expiry.
            indexers: Those of the store, so that unseen objects are found by index as well.
            metadata_only: Keep no spec, status or data of what is written, as the informer does not
                of what it sees: what a Secret holds must not stay in memory.
            ttl: Seconds after which a write that the store never showed is forgotten.
        """
        self._store = store
        self._clock = clock
        self._indexers = indexers or {}
        self._metadata_only = metadata_only
        self._ttl = ttl
        self._lock = threading.Lock()
        # Invariant: the store has not been past any of these when it was last looked at.
        self._mutations: dict[Key, _Mutation] = {}

    def mutated(self, obj: Object) -> None:
        """Take an object as the API server returned it after a write; it is left as it is."""
        kept = {
            name: value
            for name, value in obj.items()
            if not self._metadata_only or name in ("apiVersion", "kind", "metadata")
        }
        kept["metadata"] = dict(kept["metadata"])
        mutation = _Mutation(default_trim(kept), self._clock.monotonic() + self._ttl)
        with self._lock:
            if not self._is_past(key_of(obj), mutation):
                self._mutations[key_of(obj)] = mutation

    def is_news(self, _old: Object | None, new: Object | None) -> bool:
        """Tell whether a change is another than one's own write, as a `Predicate`.

        Who goes on from what a write has returned needs no waking for it. In doubt a change is
        news: the watch may show a write before its answer is here.

        To be asked before the cache hears of the change: then it forgets the write.
        """
        if new is None:
            return True
        with self._lock:
            mutation = self._mutations.get(key_of(new))
            return mutation is None or _version(mutation.obj) != _version(new)

    def on_add(self, obj: Object, *, initial: bool) -> None:  # noqa: ARG002 - a handler's signature
        """Forget a write that the watch has shown."""
        self._forget_past(key_of(obj))

    def on_update(self, old: Object, new: Object) -> None:  # noqa: ARG002 - a handler's signature
        """Forget a write that the watch has shown."""
        self._forget_past(key_of(new))

    def on_delete(self, obj: Object) -> None:
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
            past = {key: one for key, one in self._mutations.items() if self._is_past(key, one)}
            for key in past:
                del self._mutations[key]
        return [one.obj for key, one in past.items() if self._store.get(*key) is None]

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, which must not be changed, or None."""
        return self._newer((namespace, name))

    def keys(self) -> list[Key]:
        """Return namespace and name of each object that the store holds."""
        return [key_of(obj) for obj in self._store.list()]

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index; they must not be changed."""
        keys = dict.fromkeys(key_of(obj) for obj in self._store.by_index(index, value))
        with self._lock:
            keys.update(dict.fromkeys(self._mutations))
        newest = map(self._newer, keys)
        # A write may have given the object another value.
        return [obj for obj in newest if obj is not None and value in self._indexers[index](obj)]

    def _newer(self, key: Key) -> Object | None:
        with self._lock:
            mutation = self._mutations.get(key)
            if mutation is not None:
                expired = self._clock.monotonic() >= mutation.expires
                if not (expired or self._is_past(key, mutation)):
                    return mutation.obj
                del self._mutations[key]
        return self._store.get(*key)

    def _forget_past(self, key: Key, seen: int = 0) -> None:
        with self._lock:
            mutation = self._mutations.get(key)
            if mutation is not None and self._is_past(key, mutation, seen):
                del self._mutations[key]

    def _is_past(self, key: Key, mutation: _Mutation, seen: int = 0) -> bool:
        """Tell whether the store has seen the write, or is complete beyond it.

        Args:
            key: What was written.
            mutation: The write.
            seen: A version of the object that is known to have been seen.
        """
        stored = self._store.get(*key)
        if stored is not None:
            seen = max(seen, _version(stored))
        return max(seen, int(self._store.resource_version or 0)) >= _version(mutation.obj)


def _version(obj: Object) -> int:
    return int(obj["metadata"]["resourceVersion"])
