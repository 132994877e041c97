"""An API server in memory that is only read: objects, refusals, and a record of what was asked."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from controller.errors import NotFound

if TYPE_CHECKING:
    from controller.clock import Deadline
    from controller.resource import Object, Resource


@frozen
class Asked:
    """A request as a test states it; a list has the selector in place of the name."""

    verb: str
    resource: str
    namespace: str
    name: str


@define
class FakeReader:
    """The reading part of `controller.rest.client.Client`.

    Attributes:
        lacks: Resources that the API server does not serve, such as `deploymentconfigs`.
        failures: What is raised for a verb and a resource, such as `("list", "pods")`.
        asked: What was asked, in its order.
    """

    lacks: set[str] = field(factory=set)
    failures: dict[tuple[str, str], Exception] = field(factory=dict)
    asked: list[Asked] = field(factory=list)
    _objects: dict[tuple[Resource, str, str], Object] = field(factory=dict)

    def put(self, resource: Resource, *objects: Object) -> None:
        """Store objects."""
        for obj in objects:
            metadata = obj["metadata"]
            namespace = metadata.get("namespace", "") if resource.namespaced else ""
            self._objects[resource, namespace, metadata["name"]] = obj

    def drop(self, resource: Resource, namespace: str, name: str) -> None:
        """Remove an object."""
        del self._objects[resource, namespace, name]

    def get(
        self, resource: Resource, namespace: str, name: str, *, deadline: Deadline | None = None
    ) -> Object:
        assert deadline is not None, "every request has the deadline"
        self._ask("get", resource, namespace, name)
        key = (resource, namespace if resource.namespaced else "", name)
        if key not in self._objects:
            raise NotFound(404, "NotFound", f'{resource.plural} "{name}" not found')
        return copy.deepcopy(self._objects[key])

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        assert deadline is not None, "every request has the deadline"
        self._ask("list", resource, namespace, label_selector)
        # In the order of their keys, as etcd has them.
        found = [
            copy.deepcopy(obj)
            for key, obj in sorted(self._objects.items(), key=lambda item: item[0][1:])
            if key[:2] == (resource, namespace) and _fits(obj, label_selector)
        ]
        return {"items": found}

    def _ask(self, verb: str, resource: Resource, namespace: str, name: str) -> None:
        self.asked.append(Asked(verb, resource.full_name, namespace, name))
        if (verb, resource.plural) in self.failures:
            raise self.failures[verb, resource.plural]
        if resource.plural in self.lacks:
            # As the API server answers a path that it does not know: a text, no Status.
            raise NotFound(404, "", "404 page not found")


def _fits(obj: Object, label_selector: str) -> bool:
    """Return whether an object has the labels of a selector with `=` alone."""
    labels: dict[str, Any] = obj["metadata"].get("labels") or {}
    pairs = [pair.partition("=") for pair in label_selector.split(",") if pair]
    return all(labels.get(key) == value for key, _, value in pairs)
