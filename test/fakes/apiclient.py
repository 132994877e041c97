"""An API server in memory, for reconcilers: it keeps objects, and a record of every request."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, field, frozen

from controller.cache.mutationcache import MutationCache
from controller.cache.store import IndexFunction, Store
from controller.clock import Deadline
from controller.errors import AlreadyExists, Conflict, NotFound
from controller.resource import Object, Resource
from controller.stop import Stop
from fakes import objects
from reconcilers import resources

#: The resources whose generation is counted here; that of a RepositoryServer tests say.
COUNTED = frozenset({resources.REPLICA_SETS, resources.CRON_JOBS})


@frozen
class Action:
    """A request as a test states it: the verb, the plural with its subresource, and the name."""

    verb: str
    resource: str
    name: str


@define
class FakeClient:
    """The part of `controller.rest.client.Client` that reconcilers use.

    Writes reach the stores at once, as if the watch were instantaneous; a test that wants the watch
    to lag takes objects out of a store again.
    """

    stores: dict[Resource, Store] = field(factory=dict)
    actions: list[Action] = field(factory=list)
    bodies: list[Mapping[str, Any]] = field(factory=list)
    #: What ends each request early, in the order of the actions.
    stops: list[Stop | None] = field(factory=list)
    #: Raised instead of carrying out the action.
    failures: dict[Action, Exception] = field(factory=dict)
    #: The caches of informers: own writes are recorded in them, and deletions shown to them.
    caches: dict[Resource, list[MutationCache]] = field(factory=dict)
    #: Changes what is about to be stored for the reconciler, as a mutating webhook does.
    admission: Callable[[Resource, Object], None] = field(default=lambda *_: None)
    #: When objects are created, unless they say so themselves.
    created: str = "2026-01-01T00:00:00Z"
    _version: int = 100

    def store(
        self, resource: Resource, indexers: Mapping[str, IndexFunction] | None = None
    ) -> Store:
        """Return the store of a resource, made on first use."""
        return self.stores.setdefault(resource, Store(indexers))

    def put(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        """Store an object as somebody else wrote it."""
        stored = copy.deepcopy(dict(obj))
        self._version += 1
        stored["metadata"]["resourceVersion"] = str(self._version)
        stored["metadata"].setdefault("uid", f"uid-{self._version}")
        stored["metadata"].setdefault("creationTimestamp", self.created)
        store = self.store(resource)
        namespace, name = stored["metadata"]["namespace"], stored["metadata"]["name"]
        before = store.get(namespace, name)
        if resource in COUNTED:
            count_generation(before, stored)
        (store.add if before is None else store.update)(stored)
        return stored

    def drop(self, resource: Resource, namespace: str, name: str) -> None:
        """Remove an object as somebody else did."""
        obj = self.store(resource).get(namespace, name)
        assert obj is not None
        self.store(resource).delete(obj)
        for cache in self.caches.get(resource, ()):
            cache.deleted(obj)

    def end(self, resource: Resource, obj: Object, *, at: str) -> None:
        """Delete an object as the API server does: one with a finalizer is marked, and stays."""
        if obj["metadata"].get("finalizers"):
            self.put(resource, objects.merged(obj, {"metadata": {"deletionTimestamp": at}}))
        else:
            self.drop(resource, obj["metadata"]["namespace"], obj["metadata"]["name"])

    def let_go(self, resource: Resource, obj: Object) -> None:
        """Remove an object that is marked and has lost its last finalizer."""
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self.drop(resource, metadata["namespace"], metadata["name"])

    def get(
        self, resource: Resource, namespace: str, name: str, *, deadline: Deadline | None = None
    ) -> Object:
        self._bound(deadline)
        self._act("get", resource, name)
        return copy.deepcopy(self._existing(resource, namespace, name))

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        name = body["metadata"]["name"]
        self._bound(deadline)
        self._act("create", resource, name, body)
        if self.store(resource).get(namespace, name) is not None:
            raise AlreadyExists(409, "AlreadyExists", f"{resource.plural} {name} already exists")
        return self._admit(resource, body)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        self._bound(deadline)
        self._act("apply", resource, name, body)
        before = self.store(resource).get(namespace, name) or {}
        refuse_outdated(resource, before, body)
        merged = objects.merged(before, body)
        # The API's schema calls a selector atomic: it is taken whole.
        if "selector" in body.get("spec", {}):
            merged["spec"]["selector"] = body["spec"]["selector"]
        return self._admit(resource, merged)

    def merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        subresource: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        self._bound(deadline)
        self._act("patch", resource, name, body, subresource)
        existing = self._existing(resource, namespace, name)
        refuse_outdated(resource, existing, body)
        return self._admit(resource, objects.merged(existing, body))

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._bound(deadline)
        self._act("delete", resource, name)
        existing = self._existing(resource, namespace, name)
        # A name with a uid in it needs no condition.
        assert (uid or existing["metadata"]["uid"]) == existing["metadata"]["uid"]
        self.drop(resource, namespace, name)

    def taken(self) -> list[Action]:
        """Return the actions since the last call."""
        actions, self.actions = self.actions, []
        return actions

    def _admit(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        admitted = copy.deepcopy(dict(obj))
        self.admission(resource, admitted)
        before = self.store(resource).get(obj["metadata"]["namespace"], obj["metadata"]["name"])
        # A write that changes nothing makes no other version.
        stored = self.put(resource, admitted) if before is None or before != admitted else before
        for cache in self.caches.get(resource, ()):
            cache.mutated(stored)
        return stored

    def _bound(self, deadline: Deadline | None) -> None:
        self.stops.append(None if deadline is None else deadline.stop)

    def _act(
        self,
        verb: str,
        resource: Resource,
        name: str,
        body: Mapping[str, Any] | None = None,
        subresource: str = "",
    ) -> None:
        plural = resource.plural + (f"/{subresource}" if subresource else "")
        action = Action(verb, plural, name)
        self.actions.append(action)
        if body is not None:
            self.bodies.append(copy.deepcopy(dict(body)))
        if action in self.failures:
            raise self.failures[action]

    def _existing(self, resource: Resource, namespace: str, name: str) -> Object:
        obj = self.store(resource).get(namespace, name)
        if obj is None:
            raise NotFound(404, "NotFound", f"{resource.plural} {name} not found")
        return obj


def count_generation(before: Object | None, stored: Object) -> None:
    """Count a change of a specification in an object that is about to be stored."""
    if before is None:
        stored["metadata"]["generation"] = 1
        return
    changes = int(stored.get("spec") != before.get("spec"))
    stored["metadata"]["generation"] = before["metadata"]["generation"] + changes


def refuse_outdated(
    resource: Resource, existing: Mapping[str, Any], body: Mapping[str, Any]
) -> None:
    """Refuse a write that is meant for another version, or another object, than there is."""
    actual, meant = existing.get("metadata", {}), body.get("metadata", {})
    if any(key in meant and meant[key] != actual.get(key) for key in ("resourceVersion", "uid")):
        raise Conflict(409, "Conflict", f"{resource.plural} has been modified")
