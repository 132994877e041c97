"""The controllers of workloads: the pods of a StatefulSet or Deployment, as many as it asks for."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from fakes import application
from reconcilers import resources

if TYPE_CHECKING:
    from controller.resource import Object, Resource
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer, Change

#: Seconds after which pods come and go.
SECONDS = 2.0
#: The condition of a pod that is ready.
READY = {"type": "Ready", "status": "True"}
WORKLOADS = (resources.STATEFUL_SETS, resources.DEPLOYMENTS)


class WorkloadController:
    """Makes a workload's pods after the first one that it had, and deletes those beyond."""

    def __init__(self, api: ApiServer, agenda: Agenda) -> None:
        self._api = api
        self._agenda = agenda
        # The first pod of each workload, by uid.
        self._models: dict[str, Object] = {}
        api.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.resource in WORKLOADS and change.new is not None:
            resource, metadata = change.resource, change.new["metadata"]
            self._agenda.after(SECONDS, lambda: self._settle(resource, metadata))

    def _settle(self, resource: Resource, metadata: Object) -> None:
        workload = self._api.find(resource, metadata["namespace"], metadata["name"])
        if workload is None:
            return
        labels = workload["spec"]["selector"]["matchLabels"].items()
        pods = [
            pod
            for pod in self._api.list(resources.PODS)
            if labels <= (pod["metadata"].get("labels") or {}).items()
        ]
        uid = workload["metadata"]["uid"]
        if pods:
            self._models.setdefault(uid, copy.deepcopy(pods[0]))
        for pod in pods[workload["spec"]["replicas"] :]:
            self._api.remove(resources.PODS, pod)
        for pod in pods[: workload["spec"]["replicas"]]:
            status = {**pod["status"], "conditions": [READY]}
            self._api.write_status(resources.PODS, pod, status)
        model = self._models.get(uid) or application.pod()
        for number in range(len(pods), workload["spec"]["replicas"]):
            self._api.put(resources.PODS, _copy(model, workload, number))


def _copy(model: Object, workload: Object, number: int) -> Object:
    """Return a pod of a workload, of the same make as another pod."""
    pod = copy.deepcopy(model)
    name = f"{workload['metadata']['name']}-{number}"
    labels = dict(workload["spec"]["selector"]["matchLabels"])
    pod["metadata"] |= {"name": name, "uid": f"uid-{name}", "labels": labels}
    owners = pod["metadata"].get("ownerReferences") or [{"controller": True}]
    if workload["kind"] == "StatefulSet":
        owners[0] |= {"uid": workload["metadata"]["uid"]}
    pod["metadata"]["ownerReferences"] = owners
    pod["status"]["conditions"] = [READY]
    return pod
