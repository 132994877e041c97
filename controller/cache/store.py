"""The objects an informer has seen, by key and by index.

Follows client-go tools/cache/thread_safe_store.go. Objects go in and come out as they are, without
a copy: whoever takes one out must not change it.
"""

import threading
from collections.abc import Callable, Iterable, Mapping

from controller.resource import Object

#: Namespace and name; the namespace of a cluster-wide object is "".
Key = tuple[str, str]

#: A list that is the caller's own, of objects that are not. Named because `Store.list` hides the
#: built-in one.
Objects = list[Object]

#: Finds the values under which an object is listed in an index: none, one or several.
IndexFunction = Callable[[Object], Iterable[str]]


def key_of(obj: Object) -> Key:
    """Return an object's namespace and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Store:
    """Objects by key, and by the values of each index. Safe to share between threads."""

    def __init__(self, indexers: Mapping[str, IndexFunction] | None = None) -> None:
        """Make an empty store.

        Args:
            indexers: The index functions by the index's name. Each must give the same values for
                the same object every time.
        """
        self._indexers = dict(indexers or {})
        # Guards the fields below; held for no longer than a look-up.
        self._lock = threading.Lock()
        # The version up to which the objects are complete, "" before the first `replace`.
        self._resource_version = ""
        # Every object once, under its own key.
        self._objects: dict[Key, Object] = {}
        # For each index and value, the keys of exactly the objects in `_objects` that have the
        # value; no value without keys. A dict for its order: the order of insertion.
        self._indices: dict[str, dict[str, dict[Key, None]]] = {name: {} for name in self._indexers}

    @property
    def resource_version(self) -> str:
        """The version up to which nothing is missing; "" if nobody has said."""
        with self._lock:
            return self._resource_version

    def __len__(self) -> int:
        """Return the number of objects."""
        with self._lock:
            return len(self._objects)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return the object of that name, None if there is none."""
        with self._lock:
            return self._objects.get((namespace, name))

    def list(self) -> Objects:
        """Return all objects."""
        with self._lock:
            return list(self._objects.values())

    def by_index(self, index: str, value: str) -> Objects:
        """Return the objects that the index lists under a value.

        Raises:
            KeyError: There is no index of that name.
        """
        with self._lock:
            keys = self._indices[index].get(value, ())
            return [self._objects[key] for key in keys]

    def add(self, obj: Object) -> None:
        """Put an object in, in place of one with the same key."""
        with self._lock:
            self._put_locked(obj)

    def update(self, obj: Object) -> None:
        """Put an object in, in place of one with the same key, as `add` does.

        A watch may say "modified" of an object whose creation it never showed.
        """
        self.add(obj)

    def delete(self, obj: Object) -> None:
        """Take out the object with this one's key; nothing happens if there is none."""
        with self._lock:
            self._remove_locked(key_of(obj))

    def bookmark(self, resource_version: str) -> None:
        """Note that nothing is missing up to a version (thread_safe_store.go Bookmark)."""
        with self._lock:
            self._resource_version = resource_version

    def replace(self, objects: Iterable[Object], resource_version: str) -> Objects:
        """Hold exactly these objects from now on.

        Args:
            objects: All there are.
            resource_version: The version at which they are.

        Returns:
            The objects that were in the store and whose keys are not among the new ones, in the
            state in which they were last known.
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
