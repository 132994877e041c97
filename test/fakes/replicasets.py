"""The ReplicaSet controller beside a `FakeClient`: as if it were as fast as the watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes import objects
from reconcilers import resources
from reconcilers.repositoryserver.rollout import plan

if TYPE_CHECKING:
    from controller.resource import Object
    from fakes.apiclient import FakeClient


class ReplicaSets:
    """Keeps as many pods for each ReplicaSet as it wants.

    Attributes:
        refusal: What the API server says when a pod is made; empty if it takes it.
    """

    def __init__(self, api: FakeClient) -> None:
        self._api = api
        self.refusal = ""
        self._made = 0

    def sync(self) -> None:
        """Make and delete pods, and write what was refused."""
        there = {
            one["metadata"]["uid"]: one for one in self._api.store(resources.REPLICA_SETS).list()
        }
        pods = self._api.store(resources.PODS).list()
        for pod in pods:
            owner = self._owner(pod)
            if owner.get("kind") == resources.REPLICA_SETS.kind and owner["uid"] not in there:
                self._drop(pod)
        for uid, replica_set in there.items():
            active = [
                pod for pod in pods if self._owner(pod).get("uid") == uid and not plan.is_over(pod)
            ]
            if len(active) < replica_set["spec"]["replicas"]:
                self._make(replica_set)
            for pod in active[replica_set["spec"]["replicas"] :]:
                self._drop(pod)

    def _make(self, replica_set: Object) -> None:
        before = replica_set.get("status") or {}
        conditions: list[Object] = []
        if self.refusal:
            conditions = before.get("conditions") or [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": self.refusal,
                    "lastTransitionTime": self._api.created,
                }
            ]
        else:
            self._made += 1
            self._api.put(resources.PODS, pod_of(replica_set, self._made))
        if conditions or before:
            self._api.put(
                resources.REPLICA_SETS, {**replica_set, "status": {"conditions": conditions}}
            )

    def _drop(self, pod: Object) -> None:
        metadata = pod["metadata"]
        self._api.drop(resources.PODS, metadata["namespace"], metadata["name"])

    @staticmethod
    def _owner(pod: Object) -> Object:
        owners = pod["metadata"].get("ownerReferences") or [{}]
        owner: Object = owners[0]
        return owner


def pod_of(replica_set: Object, number: int) -> Object:
    """Build a pod of a ReplicaSet.

    Args:
        replica_set: The ReplicaSet.
        number: Tells it from others.
    """
    metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
    made: Object = objects.merged(
        template,
        {
            "metadata": {
                "generateName": f"{metadata['name']}-",
                "name": f"{metadata['name']}-{number}",
                "namespace": metadata["namespace"],
                "ownerReferences": [
                    {
                        "apiVersion": resources.REPLICA_SETS.api_version,
                        "kind": resources.REPLICA_SETS.kind,
                        "name": metadata["name"],
                        "uid": metadata["uid"],
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "status": {},
        },
    )
    return made
