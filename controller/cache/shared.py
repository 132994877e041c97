"""Shared informers: one for each resource and selection, for all controllers of a process.

Follows controller-runtime pkg/cache, and its multi_namespace_cache.go with one informer for each
namespace. Other than there, namespaces can be added and removed while the process runs.
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
    from controller.errors import ClientError
    from controller.metrics import Metrics
    from controller.resource import Object, Resource
    from controller.rest.client import Client

#: The value for `namespaces` to follow all of them.
ALL_NAMESPACES: Final = ("",)

CONFLICTING: Final = (
    "an informer of {resource} with this selection exists, made with another {option}"
)


@frozen
class Selection:
    """Which objects of a resource to follow, and how much of each.

    Args:
        labels: A label selector, as kubectl takes it. Default: all.
        fields: A field selector, as kubectl takes it. Default: all.
        metadata_only: Follow neither spec nor status nor data: the server does not send them.
            Default: False.
    """

    labels: str = ""
    fields: str = ""
    metadata_only: bool = False

    def selects(self, obj: Object) -> bool:
        """Return whether an object is selected.

        Only `label=value` and the field `metadata.name=value` are understood. A selection with
        anything else selects nothing here.
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
    """The informers of one resource and selection, one for each namespace, as one.

    Never change an object that it returns.

    Args:
        resource: The resource to follow.
        selection: Which of its objects.
        make: Returns a new informer of a namespace.
        namespaces: The namespaces to begin with. A cluster-scoped resource has a single informer
            whatever they are.
        own_namespaces: Whether the namespaces are its own, and not those of the process. Default:
            False.
    """

    def __init__(
        self,
        resource: Resource,
        selection: Selection,
        make: Callable[[str], Informer],
        namespaces: Iterable[str],
        *,
        own_namespaces: bool = False,
    ) -> None:
        #: The resource that it follows.
        self.resource = resource
        #: Which of its objects it follows.
        self.selection = selection
        #: Whether the namespaces are its own, and not those of the process.
        self.own_namespaces = own_namespaces
        self._make = make
        # Guards the changes of the fields below. They are replaced and never changed, so that they
        # can be read without the lock.
        self._lock = threading.Lock()
        self._handlers: tuple[Handler, ...] = ()
        self._demanded = False
        # By namespace. "" is that of a cluster-scoped resource, or of all namespaces.
        self._informers: Mapping[str, Informer] = {
            namespace: make(namespace)
            for namespace in (namespaces if resource.namespaced else ALL_NAMESPACES)
        }

    @property
    def informers(self) -> list[Informer]:
        """The informers, one for each namespace."""
        return list(self._informers.values())

    def add_handler(self, handler: Handler) -> None:
        """Call a handler with each object and each change, in every namespace.

        A namespace that is added later is included. See `Informer.add_handler`.
        """
        with self._lock:
            self._handlers = (*self._handlers, handler)
            for informer in self.informers:
                informer.add_handler(handler)

    def has_synced(self, namespace: str = "") -> bool:
        """Return whether the first list is in the store and the handlers were called with it.

        Args:
            namespace: Only this namespace. Default: all that are followed.
        """
        informer = self._of(namespace)
        if informer is not None:
            return informer.has_synced()
        # There is nothing to wait for in a namespace that is not followed.
        return bool(namespace) or all(informer.has_synced() for informer in self.informers)

    def is_served(self) -> bool:
        """Return False if the last answer was that the API server does not serve the resource."""
        return all(informer.is_served() for informer in self.informers)

    def refusal(self) -> ClientError | None:
        """Return why there is nothing to follow in some namespace (see `Informer.refusal`)."""
        refusals = (informer.refusal() for informer in self.informers)
        return next((one for one in refusals if one is not None), None)

    def demand(self) -> None:
        """Begin to follow a resource that is followed on demand (see `Informer.demand`)."""
        if not self._demanded:
            with self._lock:
                self._demanded = True
                for informer in self.informers:
                    informer.demand()

    def is_own_write(self, obj: Object) -> bool:
        """Return whether an object is exactly as a write of this process has left it.

        Ask when a handler is called with it (see `MutationCache.is_own_write`).
        """
        cache = self._cache(obj["metadata"].get("namespace", ""))
        return cache is not None and cache.is_own_write(obj)

    def written(self, obj: Object) -> None:
        """Record an own write, if the object is followed and selected.

        Args:
            obj: The object as the API server returned it.
        """
        informer = self._of(obj["metadata"].get("namespace", ""))
        if informer is not None and self.selection.selects(obj):
            informer.written(obj)

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object with own writes; None if there is none.

        Args:
            namespace: Its namespace. One that is not followed has no objects.
            name: Its name.
        """
        cache = self._cache(namespace)
        return None if cache is None else cache.get(namespace, name)

    def keys(self) -> list[Key]:
        """Return the key of each object that the watches have shown, without own writes."""
        return list(map(key_of, self.objects()))

    def objects(self) -> list[Object]:
        """Return each object as the watches have shown it, without own writes."""
        return [obj for informer in self.informers for obj in informer.store.list()]

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index, with own writes.

        Raises:
            KeyError: There is no index of this name.
        """
        return [obj for informer in self.informers for obj in informer.cache.by_index(index, value)]

    def follows(self, namespace: str) -> bool:
        """Return whether a namespace is followed."""
        return self._of(namespace) is not None

    def add_namespace(self, namespace: str) -> Informer | None:
        """Follow one more namespace.

        Returns:
            The new informer. The caller runs it. None if the namespace is followed already.
        """
        with self._lock:
            if self._of(namespace) is not None:
                return None
            informer = self._make(namespace)
            for handler in self._handlers:
                informer.add_handler(handler)
            if self._demanded:
                informer.demand()
            self._informers = {**self._informers, namespace: informer}
        return informer

    def remove_namespace(self, namespace: str) -> Informer | None:
        """Stop following a namespace. Its objects are no longer returned.

        Returns:
            Its informer. The caller stops it, and the handlers see its objects deleted then. None
            if the namespace has no informer of its own.
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
    """The shared informers of a process, by resource and selection.

    Args:
        client: Lists and watches.
        namespaces: The namespaces to begin with; `ALL_NAMESPACES` for all.
        clock: The time.
        metrics: Exports the series of the informers.
        make: Makes an informer. Default: `Informer`.
        options: Further arguments for each informer.
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
        self._namespaces = _distinct(namespaces)
        self._clock = clock
        self._metrics = metrics
        self._make = make
        self._options = options
        # Each with the options that it was made with. Two callers with different ones must not
        # share an informer.
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
        on_demand: bool = False,
        own_namespaces: bool = False,
        indexers: Mapping[str, IndexFunction] | None = None,
        trim: Callable[[Object], Object] | None = None,
    ) -> SharedInformer:
        """Return the shared informer of a resource and selection. The first call makes it.

        A later call need not repeat the options of the first one.

        Args:
            resource: The resource to follow.
            selection: Which of its objects. Default: all, whole.
            name: Labels its series. A second selection of one resource needs a name. Default: the
                name of the resource.
            optional: Whether the process is ready while the API server does not serve the resource,
                or does not let it list the resource. Default: False.
            on_demand: Whether to send no request before `SharedInformer.demand` is called. Default:
                False.
            own_namespaces: Whether it follows none of the process's namespaces, but those that
                `Operator.follow` is called with. Default: False.
            indexers: The index functions by the name of the index. Default: none.
            trim: See `Informer`. Default: `default_trim`.

        Raises:
            ValueError: The informer was made with other options, or its name is taken.
        """
        key = (resource, selection or Selection())
        wanted = {
            "name": name,
            "optional": optional,
            "on_demand": on_demand,
            "own_namespaces": own_namespaces,
            "indexers": indexers,
            "trim": trim,
        }
        given: dict[str, Any] = {option: value for option, value in wanted.items() if value}
        if key in self._shared:
            shared, made_with = self._shared[key]
            for option, value in given.items():
                if made_with.get(option) != value:
                    message = CONFLICTING.format(resource=resource.full_name, option=option)
                    raise ValueError(message)
            return shared
        shared = SharedInformer(
            resource,
            key[1],
            self._maker(resource, key[1], given),
            () if own_namespaces else self._namespaces,
            own_namespaces=own_namespaces,
        )
        self._shared[key] = (shared, given)
        return shared

    def has_synced(self) -> bool:
        """Return whether all informers of at least one namespace have synced.

        The controllers can begin with that one. A namespace that may not be listed does not hold up
        the others. Without a namespace only the cluster-scoped informers count.
        """
        return any(
            all(shared.has_synced(namespace) for shared in self.all())
            for namespace in self._namespaces or ALL_NAMESPACES
        )

    def written(self, resource: Resource, obj: Object) -> None:
        """Record an own write in all informers of its resource. For the client's `on_write`.

        Args:
            resource: The resource of the object.
            obj: The object as the API server returned it.
        """
        for (followed, _), (shared, _) in self._shared.items():
            if followed == resource:
                shared.written(obj)

    def add_namespace(self, namespace: str) -> list[Informer]:
        """Follow one more namespace. Return the new informers, which the caller runs.

        Informers with namespaces of their own are left alone.
        """
        self._namespaces = _distinct((*self._namespaces, namespace))
        added = [
            shared.add_namespace(namespace)
            for shared in self.all()
            if shared.resource.namespaced and not shared.own_namespaces
        ]
        return [informer for informer in added if informer is not None]

    def remove_namespace(self, namespace: str) -> list[Informer]:
        """Stop following a namespace. Return its informers, which the caller stops.

        Informers with namespaces of their own are left alone.
        """
        self._namespaces = tuple(kept for kept in self._namespaces if kept != namespace)
        removed = [
            shared.remove_namespace(namespace) for shared in self.all() if not shared.own_namespaces
        ]
        return [informer for informer in removed if informer is not None]

    def _maker(
        self, resource: Resource, selection: Selection, given: Mapping[str, Any]
    ) -> Callable[[str], Informer]:
        options = {**self._options, **given}
        label = options.pop("name", "") or resource.full_name
        own = options.pop("own_namespaces", False)

        def make(namespace: str) -> Informer:
            # The series of a single informer need no namespace in their label.
            several = resource.namespaced and (own or len(self._namespaces) > 1)
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


def _distinct(namespaces: Iterable[str]) -> tuple[str, ...]:
    """Return each namespace once, or all of them if they are among those named."""
    named = tuple(dict.fromkeys(namespaces))
    return ALL_NAMESPACES if ALL_NAMESPACES[0] in named else named
