"""One informer a kind of object, shared by all controllers of a process, over its namespaces.

Follows controller-runtime pkg/cache (informers by resource and selection) and its
multi_namespace_cache.go (one informer a namespace). Namespaces come and go while it runs.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.cache.informer import Informer
from controller.cache.store import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.cache.informer import Handler
    from controller.cache.mutationcache import MutationCache
    from controller.cache.store import IndexFunction, Key
    from controller.clock import Clock
    from controller.metrics import Metrics
    from controller.resource import Object, Resource
    from controller.rest.client import Client

#: The namespaces of a process that follows all of them.
ALL_NAMESPACES: Final = ("",)

CONFLICTING: Final = (
    "an informer of {resource} with this selection exists, made with another {option}"
)


@frozen
class Selection:
    """Which objects of a kind, and how much of them.

    Args:
        labels: A label selector as on the command line; "" for all.
        fields: A field selector as on the command line; "" for all.
        metadata_only: No spec, status or data: not even sent.
    """

    labels: str = ""
    fields: str = ""
    metadata_only: bool = False

    def selects(self, obj: Object) -> bool:
        """Return whether an object is among the selected ones, as far as this can be judged.

        Judged are `label=value`, and `metadata.name=value` among the fields. False where the
        selection says anything else.
        """
        metadata = obj["metadata"]
        labels = metadata.get("labels") or {}
        fields = {"metadata.name": metadata["name"]}
        return all(
            values.get(name) == value
            for values, text in ((labels, self.labels), (fields, self.fields))
            for name, _, value in (part.partition("=") for part in text.split(",") if part)
        )


class SharedInformer:
    """The informers of one kind and selection, one a namespace, as one.

    What it returns must not be changed.

    Args:
        resource: What it follows.
        selection: Which objects of it.
        make: Returns a new informer of a namespace.
        namespaces: Those to begin with. A cluster-scoped resource has none: it is one informer.
    """

    def __init__(
        self,
        resource: Resource,
        selection: Selection,
        make: Callable[[str], Informer],
        namespaces: Iterable[str],
    ) -> None:
        #: What it follows.
        self.resource = resource
        #: Which objects of it.
        self.selection = selection
        self._make = make
        # Guards the changes of the two fields below; both are replaced, never changed.
        self._lock = threading.Lock()
        self._handlers: tuple[Handler, ...] = ()
        # By namespace; "" is the one of a cluster-scoped resource, or of all namespaces.
        self._informers: Mapping[str, Informer] = {
            namespace: make(namespace)
            for namespace in (namespaces if resource.namespaced else ALL_NAMESPACES)
        }

    @property
    def informers(self) -> list[Informer]:
        """The informers that it consists of."""
        return list(self._informers.values())

    def add_handler(self, handler: Handler) -> None:
        """Call a handler with all that is there and all that changes, in every namespace."""
        with self._lock:
            self._handlers = (*self._handlers, handler)
            for informer in self.informers:
                informer.add_handler(handler)

    def has_synced(self, namespace: str = "") -> bool:
        """Return whether the handlers know the initial objects.

        Args:
            namespace: Only those of this one; "" for all that are followed.
        """
        informer = self._of(namespace)
        if informer is not None:
            return informer.has_synced()
        # A namespace that is not followed has no objects to wait for.
        return bool(namespace) or all(informer.has_synced() for informer in self.informers)

    def is_served(self) -> bool:
        """Return False if the API server said last that it does not serve the resource."""
        return all(informer.is_served() for informer in self.informers)

    def is_own_write(self, obj: Object) -> bool:
        """Return whether a handler is called with what a write of this process has left."""
        cache = self._cache(obj["metadata"].get("namespace", ""))
        return cache is not None and cache.is_own_write(obj)

    def written(self, obj: Object) -> None:
        """Record an own write: an object as the API server returned it."""
        informer = self._of(obj["metadata"].get("namespace", ""))
        if informer is not None and self.selection.selects(obj):
            informer.written(obj)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, None if there is none or its namespace is not followed."""
        cache = self._cache(namespace)
        return None if cache is None else cache.get(namespace, name)

    def keys(self) -> list[Key]:
        """Return namespace and name of each object that the watches have shown."""
        return list(map(key_of, self.objects()))

    def objects(self) -> list[Object]:
        """Return each object as the watches have shown it."""
        return [obj for informer in self.informers for obj in informer.store.list()]

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index.

        Raises:
            KeyError: There is no index of that name.
        """
        return [obj for informer in self.informers for obj in informer.cache.by_index(index, value)]

    def add_namespace(self, namespace: str) -> Informer | None:
        """Follow one more namespace.

        Returns:
            The new informer, which the caller runs; None if there is nothing to add.
        """
        with self._lock:
            if self._of(namespace) is not None:
                return None
            informer = self._make(namespace)
            for handler in self._handlers:
                informer.add_handler(handler)
            self._informers = {**self._informers, namespace: informer}
        return informer

    def remove_namespace(self, namespace: str) -> Informer | None:
        """Follow a namespace no longer. Its objects are gone from here at once.

        Returns:
            Its informer, which the caller ends; the handlers see the objects deleted then. None if
            there is nothing to remove.
        """
        with self._lock:
            informer = self._informers.get(namespace) if namespace else None
            if informer is None:
                return None
            informer.abandon()
            self._informers = {
                name: kept for name, kept in self._informers.items() if kept is not informer
            }
        return informer

    def _of(self, namespace: str) -> Informer | None:
        informers = self._informers
        return informers.get(namespace) or informers.get("")

    def _cache(self, namespace: str) -> MutationCache | None:
        informer = self._of(namespace)
        return None if informer is None else informer.cache


class Informers:
    """The shared informers of a process, keyed by resource and selection.

    Args:
        client: Whom they ask.
        namespaces: Those to begin with; `ALL_NAMESPACES` for all.
        clock: The time.
        metrics: Where they are shown.
        make: Makes an informer, as `Informer` does.
        options: For each informer.
    """

    def __init__(
        self,
        client: Client,
        namespaces: Iterable[str],
        *,
        clock: Clock,
        metrics: Metrics,
        make: Callable[..., Informer] = Informer,
        **options: Any,  # noqa: ANN401 - those of `Informer`
    ) -> None:
        self._client = client
        self._namespaces = tuple(dict.fromkeys(namespaces))
        self._clock = clock
        self._metrics = metrics
        self._make = make
        self._options = options
        # How each was made: two users that want different things must not share.
        self._shared: dict[tuple[Resource, Selection], tuple[SharedInformer, Mapping[str, Any]]]
        self._shared = {}

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that are followed."""
        return self._namespaces

    def all(self) -> list[SharedInformer]:
        """Return the shared informers in the order in which they were asked for."""
        return [shared for shared, _ in self._shared.values()]

    def informer(
        self,
        resource: Resource,
        selection: Selection | None = None,
        *,
        name: str = "",
        optional: bool = False,
        indexers: Mapping[str, IndexFunction] | None = None,
        trim: Callable[[Object], Object] | None = None,
    ) -> SharedInformer:
        """Return the informer of a resource and selection, made at the first call.

        Args:
            resource: What to follow.
            selection: Which objects of it. Default: all, whole.
            name: Labels its series. Default: the resource's name; a second selection of one
                resource needs another.
            optional: Whether the process is ready while the API server does not serve it.
            indexers: Index functions by index name.
            trim: As for `Informer`.

        Raises:
            ValueError: It exists with other index functions or another trim, or its name is taken.
        """
        key = (resource, selection or Selection())
        wanted = {"name": name, "optional": optional, "indexers": indexers, "trim": trim}
        given: dict[str, Any] = {option: value for option, value in wanted.items() if value}
        if key in self._shared:
            shared, made_with = self._shared[key]
            for option, value in given.items():
                if made_with.get(option) != value:
                    message = CONFLICTING.format(resource=resource.full_name, option=option)
                    raise ValueError(message)
            return shared
        shared = SharedInformer(
            resource, key[1], self._maker(resource, key[1], given), self._namespaces
        )
        self._shared[key] = (shared, given)
        return shared

    def has_synced(self) -> bool:
        """Return whether at least one namespace is complete.

        What reads the caches can begin with it: a namespace without a right to list it does not
        hold up the others.
        """
        return any(
            all(shared.has_synced(namespace) for shared in self.all())
            for namespace in self._namespaces
        )

    def written(self, resource: Resource, obj: Object) -> None:
        """Record an own write in the caches of its resource, as the client's `on_write`."""
        for (followed, _), (shared, _) in self._shared.items():
            if followed == resource:
                shared.written(obj)

    def add_namespace(self, namespace: str) -> list[Informer]:
        """Follow one more namespace; return the informers, which the caller runs."""
        if namespace not in self._namespaces:
            self._namespaces = (*self._namespaces, namespace)
        namespaced = [shared for shared in self.all() if shared.resource.namespaced]
        added = [shared.add_namespace(namespace) for shared in namespaced]
        return [informer for informer in added if informer is not None]

    def remove_namespace(self, namespace: str) -> list[Informer]:
        """Follow a namespace no longer; return the informers, which the caller ends."""
        self._namespaces = tuple(kept for kept in self._namespaces if kept != namespace)
        removed = [shared.remove_namespace(namespace) for shared in self.all()]
        return [informer for informer in removed if informer is not None]

    def _maker(
        self, resource: Resource, selection: Selection, given: Mapping[str, Any]
    ) -> Callable[[str], Informer]:
        options = {**self._options, **given}
        label = options.pop("name", "") or resource.full_name

        def make(namespace: str) -> Informer:
            # Where one informer follows all there is, its series need no namespace.
            several = resource.namespaced and len(self._namespaces) > 1
            return self._make(
                self._client,
                resource,
                namespace,
                clock=self._clock,
                metrics=self._metrics,
                name=f"{label}/{namespace}" if several else label,
                metadata_only=selection.metadata_only,
                label_selector=selection.labels,
                field_selector=selection.fields,
                **options,
            )

        return make
