"""Mappers, predicates, and the informer's handler that enqueues requests with them.

Follows controller-runtime pkg/handler and pkg/predicate. A mapper returns the requests for an
object. A predicate returns whether a change matters.
"""

from collections.abc import Callable, Iterable, Iterator

from attrs import field, frozen

from controller.reconcile import Request
from controller.resource import Object, Resource
from controller.workqueue.queue import LOW_PRIORITY

#: Returns the requests for an object (`handler.MapFunc`). It is called on the informer's thread
#: with an object of the store: it must be fast, do no I/O and not change the object. An exception
#: ends the informer, and so the process.
Mapper = Callable[[Object], Iterable[Request]]


@frozen
class Change:
    """A change of an object (the events of controller-runtime pkg/event).

    Args:
        old: The state before. None if the object is new to the informer.
        new: The state now. None if the object is deleted.
        own: Whether `new` is exactly as a write of this process has left it. A reconciler that uses
            the answers to its writes need not be woken by them. Default: False.
    """

    old: Object | None
    new: Object | None
    own: bool = False


#: Returns whether a change matters. It is called as a mapper is.
Predicate = Callable[[Change], bool]


def any_change(_change: Change) -> bool:
    """Return True. The default predicate: every change matters."""
    return True


def not_own_write(change: Change) -> bool:
    """Return False if this process made the change."""
    return not change.own


def not_own_creation(change: Change) -> bool:
    """Return False if this process created the object. All other changes matter."""
    return change.old is not None or not change.own


def content_changed(change: Change) -> bool:
    """Return False for an update that has left all of an object as it was that the informer keeps.

    The `trim` of an informer drops what no reconciler reads, such as the counts in the status of a
    ReplicaSet. An update of those alone need not wake anybody. An informer that resyncs shows the
    same version again: that counts as a change, as do a creation and a deletion.
    """
    old, new = change.old, change.new
    if old is None or new is None or _version(old) == _version(new):
        return True
    return _content(old) != _content(new)


def _content(obj: Object) -> Object:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}
    return {**obj, "metadata": metadata}


def all_of(*predicates: Predicate) -> Predicate:
    """Return a predicate that holds where all of some hold (`predicate.And`)."""
    return lambda change: all(predicate(change) for predicate in predicates)


def enqueue_self(obj: Object) -> Iterator[Request]:
    """Yield the request for the object itself (pkg/handler/enqueue.go)."""
    metadata = obj["metadata"]
    yield Request(metadata.get("namespace", ""), metadata["name"])


def enqueue_owner(owner: Resource) -> Mapper:
    """Return a mapper from an object to its owners (pkg/handler/enqueue_owner.go).

    An owner is found by name, not by uid: an owner that was deleted and created again waits for the
    children of its predecessor to go, and their deletion must wake it. The version of the API group
    does not matter.

    Args:
        owner: The resource of the owners. A cluster-scoped one may own objects in all namespaces.
    """

    def mapper(obj: Object) -> Iterator[Request]:
        namespace = obj["metadata"].get("namespace", "") if owner.namespaced else ""
        for reference in obj["metadata"].get("ownerReferences") or ():
            group = reference["apiVersion"].rpartition("/")[0]
            if (group, reference["kind"]) == (owner.group, owner.kind):
                yield Request(namespace, reference["name"])

    return mapper


@frozen
class EnqueueRequests:
    """A handler that enqueues the requests for each change (pkg/handler/enqueue_mapped.go).

    Objects of the first list and of a resync get a low priority, so that what users change is
    reconciled ahead of thousands of unchanged objects.

    Args:
        enqueue: Called with a request and its priority.
        mapper: Returns the requests for an object.
        predicate: Returns whether a change matters. Default: every change does.
        is_own_write: Returns whether an object is exactly as a write of this process has left it.
            Default: none is.
    """

    enqueue: Callable[[Request, int], None]
    mapper: Mapper
    predicate: Predicate = field(default=any_change)
    is_own_write: Callable[[Object], bool] = field(default=lambda _obj: False)

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Enqueue the requests for a new object, with low priority for one of the first list."""
        if self._matters(None, obj):
            self._enqueue(obj, priority=LOW_PRIORITY if initial else 0)

    def on_update(self, old: Object, new: Object) -> None:
        """Enqueue the requests for both states: the new one may no longer map to an old request."""
        if not self._matters(old, new):
            return
        if _version(old) == _version(new):
            self._enqueue(new, priority=LOW_PRIORITY)
        else:
            self._enqueue(old, new)

    def on_delete(self, obj: Object) -> None:
        """Enqueue the requests for an object that was deleted."""
        if self._matters(obj, None):
            self._enqueue(obj)

    def _matters(self, old: Object | None, new: Object | None) -> bool:
        own = new is not None and self.is_own_write(new)
        return self.predicate(Change(old, new, own))

    def _enqueue(self, *states: Object, priority: int = 0) -> None:
        for request in {request: None for state in states for request in self.mapper(state)}:
            self.enqueue(request, priority)


def _version(obj: Object) -> object:
    return obj["metadata"].get("resourceVersion")
