"""An API server in memory: what it makes of each request, and who hears of it.

Other than in `fakes.apiclient`, the caches of the controller are apart from it: they hear of a
change when their watch brings it. What is refused here, the real one refuses.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from attrs import frozen

from controller.conditions import timestamp
from controller.errors import AlreadyExists, Conflict, Invalid, NotFound
from controller.resource import Resource
from fakes import objects
from fakes.apiclient import refuse_outdated
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.cache.store import Key
    from controller.clock import Clock
    from controller.resource import Object

#: Seconds that a pod gets to end in, unless who deletes it says otherwise.
GRACE_SECONDS = 30

# Resources whose status is written with all the rest.
_WITHOUT_STATUS_SUBRESOURCE = frozenset({ACTION_SETS})

# Fields that the API's schema calls atomic: each is taken whole.
_ATOMIC = frozenset({"selector", "podSelector"})


@frozen
class Change:
    """What a write has made of an object.

    Attributes:
        resource: Its resource.
        old: The object before; None if it is new.
        new: The object since; None if it is gone.
        version: Of the write.
    """

    resource: Resource
    old: Object | None
    new: Object | None
    version: int

    @property
    def obj(self) -> Object:
        """The object, in its last state if it is gone."""
        obj = self.new or self.old
        assert obj is not None
        return obj


class ApiServer:
    """Objects by resource and name. What it returns is not to be changed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._objects: dict[Resource, dict[Key, Object]] = {}
        # By uid, what was applied last: a field of it that is not applied any more goes.
        self._applied: dict[str, Object] = {}
        self._listeners: list[Callable[[Change], None]] = []
        known = [one for one in vars(resources).values() if isinstance(one, Resource)]
        self._resources = {(one.group, one.plural): one for one in known}
        self.version = 100

    def put(self, resource: Resource, *objects_: Object) -> None:
        """Write objects as they are, with their uids, as a test has them."""
        for obj in objects_:
            metadata = {"namespace": "", **obj["metadata"]}
            before = self.find(resource, metadata["namespace"], metadata["name"])
            self._store(resource, before, {**over_the_wire(obj), "metadata": metadata})

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Have somebody told of each change, right when it is made."""
        self._listeners.append(listener)

    def ignore(self, listener: Callable[[Change], None]) -> None:
        """Tell somebody nothing more."""
        self._listeners.remove(listener)

    def served(self) -> list[Resource]:
        """Return the resources that there are."""
        return list(self._resources.values())

    def list(self, resource: Resource) -> list[Object]:
        return list(self._objects.get(self.canonical(resource), {}).values())

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        where = namespace if resource.namespaced else ""
        return self._objects.get(self.canonical(resource), {}).get((where, name))

    def canonical(self, resource: Resource) -> Resource:
        """Return a resource as it is named elsewhere: some do not know its kind."""
        return self._resources.setdefault((resource.group, resource.plural), resource)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        obj = self.find(resource, namespace, name)
        if obj is None:
            raise NotFound(404, "NotFound", f"{resource.plural} {name} not found")
        return obj

    def create(self, resource: Resource, body: Mapping[str, Any]) -> Object:
        metadata = body["metadata"]
        if self.find(resource, metadata["namespace"], metadata["name"]) is not None:
            message = f"{resource.plural} {metadata['name']} already exists"
            raise AlreadyExists(409, "AlreadyExists", message)
        obj = over_the_wire(body)
        resource = self.canonical(resource)
        obj["metadata"] |= {
            "uid": f"uid-{self.version + 1}",
            "creationTimestamp": timestamp(self._clock.now()),
            "generation": 1,
        }
        return self._store(resource, None, obj)

    def apply(
        self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]
    ) -> Object:
        """Create an object or change it, by server-side apply of the controller."""
        before = self.find(resource, namespace, name)
        if before is None:
            after = self.create(resource, body)
        else:
            refuse_outdated(resource, before, body)
            formerly = self._applied.get(before["metadata"]["uid"], {})
            _refuse_immutable(resource, before, body)
            after = self._change(resource, before, _applied(before, formerly, over_the_wire(body)))
        self._applied[after["metadata"]["uid"]] = over_the_wire(body)
        return after

    def replace(self, resource: Resource, obj: Mapping[str, Any]) -> Object:
        """Write an object as somebody else does."""
        metadata = obj["metadata"]
        before = self.get(resource, metadata["namespace"], metadata["name"])
        return self._change(resource, before, over_the_wire(obj))

    def merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        subresource: str = "",
    ) -> Object:
        resource = self.canonical(resource)
        before = self.get(resource, namespace, name)
        refuse_outdated(resource, before, body)
        # What stands beside the subresource is ignored, and the other way round. Of a ReplicaSet
        # the metadata are not (kubernetes pkg/registry/apps/replicaset, rsStatusStrategy).
        beside = {"metadata"} if resource == resources.REPLICA_SETS else set()
        ignored = set() if resource in _WITHOUT_STATUS_SUBRESOURCE else {"status"}
        parts = {"status", *beside} if subresource else body.keys() - ignored
        patch = {part: value for part, value in body.items() if part in parts}
        return self._change(resource, before, objects.merged(before, over_the_wire(patch)))

    def write_status(self, resource: Resource, obj: Object, status: Mapping[str, Any]) -> None:
        """Replace the status of an object, if it is still there."""
        metadata = obj["metadata"]
        before = self.find(resource, metadata["namespace"], metadata["name"])
        if before is not None and before["metadata"]["uid"] == metadata["uid"]:
            self._change(resource, before, {**before, "status": over_the_wire(status)})

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        resource = self.canonical(resource)
        before = self.get(resource, namespace, name)
        if uid and before["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", f"{resource.plural} {name} has another uid")
        grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
        scheduled = resource == resources.PODS and before["spec"].get("nodeName")
        if not scheduled or not grace:
            self.remove(resource, before)
        elif "deletionTimestamp" not in before["metadata"]:
            self._mark(resource, before, grace)

    def remove(self, resource: Resource, obj: Object) -> None:
        """Take an object out, as a kubelet that confirms a pod's end; nothing if it is gone.

        One with a finalizer stays until that is taken off.
        """
        metadata = obj["metadata"]
        key = metadata["namespace"], metadata["name"]
        before = self._objects.get(resource, {}).get(key)
        if before is None or before["metadata"]["uid"] != metadata["uid"]:
            return
        if before["metadata"].get("finalizers"):
            self._mark(resource, before, 0)
            return
        del self._objects[resource][key]
        self.version += 1
        self._tell(Change(resource, before, None, self.version))

    def _mark(self, resource: Resource, before: Object, grace: int) -> None:
        """Mark an object as deleted that is still to end, or to lose its finalizers."""
        end = timestamp(self._clock.now() + timedelta(seconds=grace))
        deletion = {"deletionTimestamp": end, "deletionGracePeriodSeconds": grace}
        if before["metadata"].get("deletionGracePeriodSeconds") != 0:
            self._change(resource, before, objects.merged(before, {"metadata": deletion}))

    def _change(self, resource: Resource, before: Object, after: Object) -> Object:
        if after == before:
            return before
        if "generation" in before["metadata"] and after.get("spec") != before.get("spec"):
            generation = before["metadata"]["generation"] + 1
            after = {**after, "metadata": {**after["metadata"], "generation": generation}}
        stored = self._store(resource, before, after)
        metadata = stored["metadata"]
        if metadata.get("deletionGracePeriodSeconds") == 0 and not metadata.get("finalizers"):
            self.remove(resource, stored)
        return stored

    def scale(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return the Scale of a workload."""
        obj = self.get(resource, namespace, name)
        labels = obj["spec"]["selector"].get("matchLabels") or {}
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        kept = ("name", "namespace", "uid", "resourceVersion")
        return {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {key: obj["metadata"][key] for key in kept},
            "spec": {"replicas": obj["spec"]["replicas"]},
            "status": {"selector": selector},
        }

    def _store(self, resource: Resource, before: Object | None, obj: Object) -> Object:
        self.version += 1
        after = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}
        metadata = after["metadata"]
        key = metadata["namespace"], metadata["name"]
        self._objects.setdefault(resource, {})[key] = after
        self._tell(Change(resource, before, after, self.version))
        return after

    def _tell(self, change: Change) -> None:
        for listener in list(self._listeners):
            listener(change)


def over_the_wire(obj: Mapping[str, Any]) -> Object:
    """Return an object as it comes out of a connection."""
    received: Object = json.loads(json.dumps(obj))
    return received


def _refuse_immutable(resource: Resource, before: Object, body: Mapping[str, Any]) -> None:
    """Refuse to change what is immutable: the content of snapshots, the selector of ReplicaSets."""
    secret = resource == resources.SECRETS and before.get("immutable")
    if secret and body.get("data") != before.get("data"):
        raise Invalid(422, "Invalid", "data: field is immutable when `immutable` is set")
    replica_set = resource == resources.REPLICA_SETS
    if replica_set and body["spec"]["selector"] != before["spec"]["selector"]:
        raise Invalid(422, "Invalid", "spec.selector: field is immutable")


def _applied(before: Any, formerly: Any, wanted: Any, field: str = "") -> Any:
    """Return what an apply makes of a value: fields that were applied before and are not now go."""
    if not isinstance(wanted, dict) or not isinstance(before, dict) or field in _ATOMIC:
        return wanted
    formerly = formerly if isinstance(formerly, dict) else {}
    after = {key: value for key, value in before.items() if key in wanted or key not in formerly}
    for key, value in wanted.items():
        after[key] = _applied(before.get(key), formerly.get(key), value, key)
    return after
