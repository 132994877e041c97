"""The store of an informer: objects by key and by index.

Follows client-go tools/cache/thread_safe_store.go. Objects are not copied. Never change one that
comes from a store.
"""

import threading
from collections.abc import Callable, Iterable, Mapping

from controller.resource import Object

#: Namespace and name. The namespace of a cluster-scoped object is "".
Key = tuple[str, str]

#: A new list of objects from the store. An alias, since `Store.list` hides the built-in name in the
#: class.
Objects = list[Object]

#: Returns the values of an object in an index: none, one or several. They must be the same at each
#: call.
IndexFunction = Callable[[Object], Iterable[str]]


def key_of(obj: Object) -> Key:
    """Return the namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Store:
    """Objects by key, and by the values of each index. Safe to share between threads.

    Args:
        indexers: The index functions by the name of the index. Default: none.
    """

    def __init__(self, indexers: Mapping[str, IndexFunction] | None = None) -> None:
        self._indexers = dict(indexers or {})
        # Guards the fields below.
        self._lock = threading.Lock()
        # See `resource_version`.
        self._resource_version = ""
        self._objects: dict[Key, Object] = {}
        # By index and value, the keys of exactly the objects in `_objects` that have the value. No
        # value is without keys. The keys are a dict to keep them in the order of insertion.
        self._indices: dict[str, dict[str, dict[Key, None]]] = {name: {} for name in self._indexers}

    @property
    def resource_version(self) -> str:
        """The resource version up to which the store is complete; "" before the first list."""
        with self._lock:
            return self._resource_version

    def __len__(self) -> int:
        """Return the number of objects."""
        with self._lock:
            return len(self._objects)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, None if there is none."""
        with self._lock:
            return self._objects.get((namespace, name))

    def list(self) -> Objects:
        """Return all objects."""
        with self._lock:
            return list(self._objects.values())

    def by_index(self, index: str, value: str) -> Objects:
        """Return the objects with a value in an index.

        Raises:
            KeyError: There is no index of this name.
        """
        with self._lock:
            keys = self._indices[index].get(value, ())
            return [self._objects[key] for key in keys]

    def add(self, obj: Object) -> None:
        """Store an object, in place of one with the same key."""
        with self._lock:
            self._put_locked(obj)

    def update(self, obj: Object) -> None:
        """Store an object, as `add` does.

        A watch may report a change of an object whose creation it did not report.
        """
        self.add(obj)

    def delete(self, obj: Object) -> None:
        """Remove the object with the same key. Nothing happens if there is none."""
        with self._lock:
            self._remove_locked(key_of(obj))

    def bookmark(self, resource_version: str) -> None:
        """Record that the store is complete up to a resource version (`Bookmark`)."""
        with self._lock:
            self._resource_version = resource_version

    def replace(self, objects: Iterable[Object], resource_version: str) -> Objects:
        """Replace all objects.

        Args:
            objects: The new ones.
            resource_version: The resource version of their list.

        Returns:
            The objects whose keys are not among the new ones, in their last known state.
        """
        fresh = {key_of(obj): obj for obj in objects}
        with self._lock:
            vanished = [obj for key, obj in self._objects.items() if key not in fresh]
            for obj in vanished:
                self._remove_locked(key_of(obj))
            for obj in fresh.values():
                self._put_locked(obj)
            self._resource_version = resource_version
        return vanished

    def _put_locked(self, obj: Object) -> None:
        key = key_of(obj)
        self._remove_locked(key)
        self._objects[key] = obj
        for name, indexer in self._indexers.items():
            for value in indexer(obj):
                self._indices[name].setdefault(value, {})[key] = None

    def _remove_locked(self, key: Key) -> None:
        obj = self._objects.pop(key, None)
        if obj is None:
            return
        for name, indexer in self._indexers.items():
            values = self._indices[name]
            for value in set(indexer(obj)):
                values[value].pop(key, None)
                if not values[value]:
                    del values[value]
