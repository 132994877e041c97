"""Sees every version of every object in the namespace, and every log, for the whole session."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import kubernetes.client
from prometheus_client import CollectorRegistry

from controller.cache.informer import Informer
from controller.metrics import Metrics
from controller.resource import Object, Resource
from controller.stop import Stop
from e2e.cluster import EVENTS, NAMESPACE, Cluster
from e2e.waiting import CLOCK, wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG_MAPS: Final = Resource("", "v1", "configmaps", "ConfigMap")

WATCHED: Final = (
    api.REPOSITORY_SERVERS,
    resources.REPLICA_SETS,
    resources.PODS,
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    EVENTS,
    CONFIG_MAPS,
)


class Witness:
    """Follows the namespace from its beginning to the end of the session.

    Args:
        cluster: Where.
        api_client: For logs, which are no JSON.
    """

    def __init__(self, cluster: Cluster, api_client: kubernetes.client.ApiClient) -> None:
        self._cluster = cluster
        self._core = kubernetes.client.CoreV1Api(api_client)
        self._stop = Stop()
        # By uid, with the kind. Appended to by the informers' threads, each to its own lists.
        self._versions: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self._logs: dict[str, str] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to watch; returns when what is there already has been seen."""
        self._wait(*[self._watch(resource, NAMESPACE) for resource in WATCHED])

    def watch(self, resource: Resource, namespace: str, only: str = "") -> None:
        """Watch more, and return when what is there already has been seen.

        Args:
            resource: What.
            namespace: Where.
            only: The label that an object must have. Default: none.
        """
        self._wait(self._watch(resource, namespace, only))

    def stop(self) -> None:
        """End watching."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def _watch(self, resource: Resource, namespace: str, only: str = "") -> Informer:
        informer = Informer(
            self._cluster.client,
            resource,
            namespace,
            clock=CLOCK,
            metrics=Metrics(CollectorRegistry()),
            # As they are: what a controller would drop may be where a password stands.
            trim=lambda obj: obj,
        )
        informer.add_handler(_Handler(self, resource, only))
        thread = threading.Thread(target=informer.run, args=(self._stop,), daemon=True)
        thread.start()
        self._threads.append(thread)
        return informer

    @staticmethod
    def _wait(*informers: Informer) -> None:
        wait_for("the witness to see", lambda: all(i.has_synced() for i in informers))

    def see(self, resource: Resource, obj: Object) -> None:
        """Remember a version of an object."""
        self._versions[resource.kind, obj["metadata"]["uid"]].append(obj)
        # A log is gone with its pod: it is read when a container has ended, and when the end is
        # near.
        if resource == resources.PODS and (_has_ended(obj) or _is_ending(obj)):
            self._read_logs(obj)

    def versions(self, obj: Object) -> list[Object]:
        """Return all versions of an object, up to the one given at least."""
        version = obj["metadata"]["resourceVersion"]
        versions = self._versions[obj["kind"], obj["metadata"]["uid"]]
        wait_for(
            f"the witness to see version {version} of {obj['metadata']['name']}",
            lambda: any(seen["metadata"]["resourceVersion"] == version for seen in versions),
        )
        return list(versions)

    def objects(self) -> Iterator[tuple[str, str]]:
        """Return every version of every object as text, with a word for which it is."""
        for (kind, _), versions in list(self._versions.items()):
            for obj in list(versions):
                metadata = obj["metadata"]
                what = f"{kind} {metadata['name']}, version {metadata['resourceVersion']}"
                yield what, json.dumps(obj, ensure_ascii=False)

    def logs(self) -> dict[str, str]:
        """Return the log of each container that there was, by pod and container id."""
        for (kind, _), versions in list(self._versions.items()):
            if kind == resources.PODS.kind and not _is_ending(versions[-1]):
                self._read_logs(versions[-1])
        return dict(self._logs)

    def _read_logs(self, pod: Object) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        for status in pod.get("status", {}).get("containerStatuses", ()):
            for previous, state in ((False, status), (True, _last(status))):
                if state.get("containerID"):
                    key = f"{name} {state['containerID']}"
                    text = self._read_log(namespace, name, previous=previous)
                    # Once the pod is gone there is nothing; what was read before stays.
                    if len(text) > len(self._logs.get(key, "")):
                        self._logs[key] = text

    def _read_log(self, namespace: str, pod: str, *, previous: bool) -> str:
        try:
            # Raw: the client would turn bytes into the text of a bytes literal.
            response: Any = self._core.read_namespaced_pod_log(
                pod, namespace, previous=previous, _preload_content=False
            )
        except kubernetes.client.ApiException:
            return ""
        return bytes(response.data).decode(errors="replace")


class _Handler:
    """Tells the witness of one resource, of objects with a label."""

    def __init__(self, witness: Witness, resource: Resource, label: str) -> None:
        self._witness = witness
        self._resource = resource
        self._label = label

    def on_add(self, obj: Object, *, initial: bool) -> None:
        self._see(obj)

    def on_update(self, old: Object, new: Object) -> None:
        self._see(new)

    def on_delete(self, obj: Object) -> None:
        self._see(obj)

    def _see(self, obj: Object) -> None:
        if not self._label or self._label in (obj["metadata"].get("labels") or {}):
            self._witness.see(self._resource, obj)


def _is_ending(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _has_ended(pod: Object) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", ())
    return any("terminated" in status["state"] or _last(status) for status in statuses)


def _last(status: Object) -> Object:
    last: Object = (status.get("lastState") or {}).get("terminated") or {}
    return last
