"""The EndpointSlice controller: follows Services and pods, some time later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.conditions import conditions_of, is_true
from reconcilers import resources
from reconcilers.repositoryserver.rollout import endpoints

if TYPE_CHECKING:
    from random import Random

    from controller.resource import Object
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer, Change

#: Seconds by which the endpoints are behind.
SECONDS = (0.05, 1.0)


class EndpointSliceController:
    """Keeps one EndpointSlice for each Service."""

    def __init__(self, api: ApiServer, agenda: Agenda, random: Random) -> None:
        self._api = api
        self._agenda = agenda
        self._random = random
        # Services, by name, whose slices are about to be written.
        self._due: set[tuple[str, str]] = set()
        api.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.resource in (resources.PODS, resources.SERVICES):
            for service in self._api.list(resources.SERVICES):
                self._follow(service["metadata"]["namespace"], service["metadata"]["name"])

    def _follow(self, namespace: str, name: str) -> None:
        if (namespace, name) not in self._due:
            self._due.add((namespace, name))
            lag = self._random.uniform(*SECONDS)
            self._agenda.after(lag, lambda: self._write(namespace, name))

    def _write(self, namespace: str, name: str) -> None:
        self._due.discard((namespace, name))
        service = self._api.find(resources.SERVICES, namespace, name)
        if service is None:
            return
        selector = service["spec"]["selector"].items()
        wanted = [
            {
                "targetRef": {"kind": "Pod", "uid": pod["metadata"]["uid"]},
                "conditions": {"ready": _is_ready(pod)},
            }
            for pod in self._api.list(resources.PODS)
            if selector <= (pod["metadata"].get("labels") or {}).items()
        ]
        slice_name = f"{name}-{service['metadata']['uid']}"
        if self._api.find(resources.ENDPOINT_SLICES, namespace, slice_name) is None:
            self._api.create(resources.ENDPOINT_SLICES, _slice(service, slice_name))
        self._api.merge_patch(
            resources.ENDPOINT_SLICES, namespace, slice_name, {"endpoints": wanted}
        )


def _slice(service: Object, name: str) -> Object:
    metadata = service["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": {**metadata["labels"], endpoints.LABEL_SERVICE: metadata["name"]},
            "ownerReferences": [owner],
        },
        "endpoints": [],
    }


def _is_ready(pod: Object) -> bool:
    terminating = "deletionTimestamp" in pod["metadata"]
    return is_true(conditions_of(pod), "Ready") and not terminating
