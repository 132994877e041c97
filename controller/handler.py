"""From a change of an object to the requests that it asks for.

Follows controller-runtime pkg/handler and pkg/predicate. A mapper names the requests, a predicate
says whether the change matters, and `EnqueueRequests` is the informer's handler that puts the two
together.
"""

from collections.abc import Callable, Iterable, Iterator

from attrs import field, frozen

from controller.reconcile import Request
from controller.resource import Object, Resource
from controller.workqueue.queue import LOW_PRIORITY

#: Names the requests that an object asks for. Called on the informer's thread with an object of
#: its store: fast, without I/O, without changing it. An exception is a bug, and ends the informer.
Mapper = Callable[[Object], Iterable[Request]]


@frozen
class Change:
    """What happened to an object.

    Args:
        old: Its state before; None if it is new to the informer.
        new: Its state now; None if it is gone.
        own: Whether `new` is what a write of this process has left. A reconciler that goes on from
            what its writes return need not be woken by them.
    """

    old: Object | None
    new: Object | None
    own: bool = False


#: Says whether a change matters. Called as a mapper.
Predicate = Callable[[Change], bool]


def any_change(_change: Change) -> bool:
    """Return True: every change matters."""
    return True


def not_own_write(change: Change) -> bool:
    """Return whether somebody else than this process made the change."""
    return not change.own


def not_own_creation(change: Change) -> bool:
    """Return True for all but the appearance of an object that this process has made."""
    return change.old is not None or not change.own


def enqueue_self(obj: Object) -> Iterator[Request]:
    """Name the object itself (pkg/handler/enqueue.go)."""
    metadata = obj["metadata"]
    yield Request(metadata.get("namespace", ""), metadata["name"])


def enqueue_owner(owner: Resource) -> Mapper:
    """Return a mapper that names the owners of an object (pkg/handler/enqueue_owner.go).

    By name, not by uid: where an owner was deleted and made again at once, its successor waits for
    the children of the first to go, and their end must wake it. The version of the group does not
    matter.

    Args:
        owner: The kind of owner that counts; a cluster-scoped one has children in any namespace.
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
    """An informer's handler that turns changes into requests (pkg/handler/enqueue_mapped.go).

    What was there before this process, and what a resync repeats, has low priority: a user who
    changes one object does not wait until thousands of unchanged ones were looked at.

    Args:
        enqueue: Takes a request and its priority.
        mapper: Names the requests.
        predicate: Whether a change matters.
        is_own_write: Whether an object is in the state in which a write of this process left it.
    """

    enqueue: Callable[[Request, int], None]
    mapper: Mapper
    predicate: Predicate = field(default=any_change)
    is_own_write: Callable[[Object], bool] = field(default=lambda _obj: False)

    def on_add(self, obj: Object, *, initial: bool) -> None:
        """Enqueue for a new object, with low priority for one of the first list."""
        if self._matters(None, obj):
            self._enqueue(obj, priority=LOW_PRIORITY if initial else 0)

    def on_update(self, old: Object, new: Object) -> None:
        """Enqueue for both states, since the old one may map to what has to let go."""
        if not self._matters(old, new):
            return
        if _version(old) == _version(new):
            self._enqueue(new, priority=LOW_PRIORITY)
        else:
            self._enqueue(old, new)

    def on_delete(self, obj: Object) -> None:
        """Enqueue for an object that is gone."""
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
