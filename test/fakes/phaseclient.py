"""An API server in memory, for functions of Blueprints: any kind, scales, patches of both types."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, cast

from attrs import define, evolve, field

from controller.errors import ApiError, Conflict, NotFound, TransportError
from fakes.apiclient import Action, FakeClient
from fakes.objects import merged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.cache.store import IndexFunction, Store
    from controller.clock import Deadline
    from controller.resource import Object, Resource
    from controller.rest.client import Client


@define
class PhaseClient(FakeClient):
    """The part of `controller.rest.client.Client` that functions use.

    Resources are the same whatever kind they name: an object is found by a reference too.
    """

    #: The APIResourceLists by group and version.
    served: dict[tuple[str, str], list[Object]] = field(factory=dict)
    #: The answers to these are lost once they are carried out.
    lost: set[Action] = field(factory=set)

    def store(
        self, resource: Resource, indexers: Mapping[str, IndexFunction] | None = None
    ) -> Store:
        return super().store(evolve(resource, kind=""), indexers)

    def get(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        subresource: str = "",
        deadline: Deadline | None = None,
    ) -> Object:
        self._act("get", resource, name, subresource=subresource)
        found = self._existing(resource, namespace, name)
        return scale_of(found) if subresource else copy.deepcopy(found)

    def list(
        self,
        resource: Resource,
        namespace: str,
        *,
        label_selector: str = "",
        limit: int = 0,
        deadline: Deadline | None = None,
    ) -> Object:
        self._act("list", resource, namespace)
        wanted = dict(pair.split("=") for pair in label_selector.split(",") if pair)
        return {
            "items": [
                copy.deepcopy(one)
                for one in self.store(resource).list()
                if one["metadata"]["namespace"] == namespace
                and wanted.items() <= one["metadata"].get("labels", {}).items()
            ]
        }

    def api_resources(
        self, group: str, version: str, *, deadline: Deadline | None = None
    ) -> Object:
        found = self.served.get((group, version))
        if found is None:
            raise NotFound(404, "NotFound", "the server could not find the requested resource")
        return {"kind": "APIResourceList", "resources": found}

    def create(
        self,
        resource: Resource,
        namespace: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        made = super().create(resource, namespace, body, deadline=deadline)
        if self.actions[-1] in self.lost:
            raise TransportError("the connection was reset")
        return made

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
        written = super().merge_patch(
            resource, namespace, name, body, subresource=subresource, deadline=deadline
        )
        return scale_of(written) if subresource == "scale" else written

    def strategic_merge_patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Mapping[str, Any],
        *,
        deadline: Deadline | None = None,
    ) -> Object:
        if "." in resource.group and not resource.group.endswith(".k8s.io"):
            self._act("strategic", resource, name, body)
            raise ApiError(415, "UnsupportedMediaType", "the body is of no type that is supported")
        self._act("strategic", resource, name, body)
        existing = self._existing(resource, namespace, name)
        return self._admit(resource, merged(existing, body))

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
        self._act("delete", resource, name)
        existing = self._existing(resource, namespace, name)
        if uid and existing["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "the uid is another one")
        self.end(resource, existing, at=self.created)


def client_of(fake: PhaseClient) -> Client:
    """Return it as what it stands for: it has what functions call."""
    return cast("Client", fake)


def scale_of(workload: Mapping[str, Any]) -> Object:
    """Return the Scale of a workload, as the API server makes it: without a 0."""
    labels = workload["spec"]["selector"]["matchLabels"]
    replicas = workload["spec"]["replicas"]
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {key: workload["metadata"][key] for key in ("namespace", "name", "uid")},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"selector": ",".join(f"{key}={value}" for key, value in labels.items())},
    }
