"""The ReplicaSet controller and the garbage collector, for an API server with nothing behind it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Self

from controller.clock import SystemClock
from controller.errors import ClientError
from fakes.replicasets import pod_of
from reconcilers import resources

if TYPE_CHECKING:
    from controller.resource import Object
    from controller.rest.client import Client

LOOK_SECONDS = 0.1
#: Real seconds after which a thread that does not end is stuck, not slow.
STUCK_AFTER = 90.0


class ReplicaSetController:
    """Keeps the pods of a namespace's ReplicaSets until it is stopped. A context manager."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._made = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(STUCK_AFTER)

    def _run(self) -> None:
        while not SystemClock().wait_event(self._stop, LOOK_SECONDS):
            # Something may be gone meanwhile, a busy API server refuse: the next round is near.
            with contextlib.suppress(ClientError):
                self._look()

    def _look(self) -> None:
        pods = self._client.list(resources.PODS, self._namespace)["items"]
        replica_sets = self._client.list(resources.REPLICA_SETS, self._namespace)["items"]
        wanted = {one["metadata"]["uid"]: one["spec"]["replicas"] for one in replica_sets}
        for pod in pods:
            owner = _owner(pod)
            if owner and not wanted.get(owner) and "deletionTimestamp" not in pod["metadata"]:
                self._client.delete(resources.PODS, self._namespace, pod["metadata"]["name"])
        owners = {_owner(pod) for pod in pods if "deletionTimestamp" not in pod["metadata"]}
        for one in replica_sets:
            if one["spec"]["replicas"] and one["metadata"]["uid"] not in owners:
                self._made += 1
                self._client.create(resources.PODS, self._namespace, pod_of(one, self._made))


def _owner(pod: Object) -> str:
    """Return the uid of the ReplicaSet that owns a pod; empty if there is none."""
    owners = pod["metadata"].get("ownerReferences") or ()
    kind = resources.REPLICA_SETS.kind
    return next((owner["uid"] for owner in owners if owner["kind"] == kind), "")
