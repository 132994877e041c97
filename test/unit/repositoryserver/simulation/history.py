"""What has happened to a cluster, as far as an invariant needs it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from fakes import objects
from fakes.simulation.user import NAMES
from reconcilers import resources
from reconcilers.repositoryserver import api, servercommands
from reconcilers.repositoryserver.caches import (
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_RELEASED,
    INDEX_SERVICE,
    owner_uids,
)
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import endpoints, podstatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from controller.cache.shared import SharedInformer
    from controller.resource import Object, Resource
    from fakes.simulation.apiserver import Change
    from fakes.simulation.client import Sent
    from fakes.simulation.cluster import Cluster
    from fakes.simulation.process import Process
    from reconcilers.repositoryserver.caches import Cache, Caches

# By how much a cache may be behind, at most.
STALE_SECONDS = 120.0


@frozen
class Replacement:
    """A ReplicaSet that was made beside a pod that serves.

    Attributes:
        replica_set: Its name.
        since: When it was made, in monotonic seconds.
        by: Who made it.
    """

    replica_set: str
    since: float
    by: Process


@frozen
class Span:
    """How much has happened, and in how long."""

    seconds: float = 0.0
    requests: int = 0
    changes: int = 0
    events: int = 0


@define
class History:
    """What is remembered of a cluster.

    Attributes:
        cluster: The cluster.
        lines: All that has happened, for people.
        reconciles: How many reconciles there were.
        changes: How many writes of anybody there were.
        servers: The uids that resources have had.
        pods: The names of the pods that each of these has had, by uid.
        selected: When a Service last selected a Ready pod, in monotonic seconds, by the pod's uid.
            One that does not answer any more has no sessions to speak of.
        owners: The uid of the resource that owns each ReplicaSet, by the uid of that.
        services_lost: When the Service of a server was last deleted, in monotonic seconds, by name.
        owner_changed: When that has last changed, in monotonic seconds, by the same.
        versions: The lines of each version of users, in their order.
        users_changed: When a server was last given other users, in monotonic seconds by its name.
        drain_seconds: The time to drain that each server was given, by its name, and since when.
        disturbed: When something was last amiss in the cluster, in monotonic seconds.
        spoilt: When a Secret of the user's was last not as it should be, in monotonic seconds.
        replaced: The last replacement of each server, by uid.
        retired: Uids of the ReplicaSets that the controller has deleted.
        lost: Names of the ReplicaSets that somebody else has deleted.
        began_with: The pods by name, as they were seen when the present pass began.
        began_released: Those that their ReplicaSets were to take back then.
        began_routed: The names of those that the endpoints had then.
        began_owners: The uids of the owners that each object had then, by its resource and name.
        looked: How much had happened when `since_last_look` was last called.
    """

    cluster: Cluster
    lines: list[str] = field(factory=list)
    reconciles: int = 0
    changes: int = 0
    servers: set[str] = field(factory=set)
    pods: dict[str, set[str]] = field(factory=dict)
    selected: dict[str, float] = field(factory=dict)
    owners: dict[str, str] = field(factory=dict)
    services_lost: dict[str, float] = field(factory=dict)
    owner_changed: dict[str, float] = field(factory=dict)
    versions: dict[str, str] = field(factory=dict)
    users_changed: dict[str, float] = field(factory=dict)
    drain_seconds: dict[str, list[tuple[float, int]]] = field(factory=dict)
    disturbed: float = 0.0
    spoilt: float = 0.0
    replaced: dict[str, Replacement] = field(factory=dict)
    retired: set[str] = field(factory=set)
    lost: set[str] = field(factory=set)
    began_with: dict[str, Object] = field(factory=dict)
    began_released: dict[str, Object] = field(factory=dict)
    began_routed: set[str] = field(factory=set)
    began_owners: dict[tuple[Resource, str], list[str]] = field(factory=dict)
    looked: Span = Span()

    def __attrs_post_init__(self) -> None:
        """Hear of all that is written from now on."""
        self.cluster.api.listen(self._on_change)

    @property
    def now(self) -> float:
        return self.cluster.clock.monotonic()

    def note(self, line: str) -> None:
        self.lines.append(f"{self.now:10.3f}  {line}")

    def begin_pass(self) -> None:
        self.reconciles += 1
        self.began_with, self.began_released = self.pods_seen(), self.released_seen()
        slices = [one for name in NAMES for one in self.slices_seen(f"repo-server-{name}")]
        # The endpoints may have a pod before its ReplicaSet has it again.
        pods = self._caches.pods.objects()
        self.began_routed = {name_of(pod) for pod in pods if endpoints.is_ready(slices, pod)}
        self.began_owners = {
            (resource, name): owner_uids(cache.get(namespace, name) or {"metadata": {}})
            for resource, cache in self._followed().items()
            for namespace, name in cache.keys()  # noqa: SIM118 - no dict
        }

    def note_request(self, sent: Sent) -> None:
        """Remember a request of the controller, before it is carried out."""
        self.note(f"controller: {sent.verb} {sent.resource.plural} {sent.name}")
        if (sent.verb, sent.resource) == ("delete", resources.REPLICA_SETS):
            self.retired.add(sent.uid)

    def look_around(self) -> None:
        """Remember whether something is amiss."""
        if not self.cluster.is_calm():
            self.disturbed = self.now
        user = self.cluster.user
        if not all(map(user.is_right, user.inputs)):
            self.spoilt = self.now

    def since_last_look(self) -> Span:
        """Return how much has happened since the last call."""
        events = len(self.cluster.recorder.events)
        before, now = self.looked, Span(self.now, self.cluster.requests, self.changes, events)
        self.looked = now
        return Span(
            now.seconds - before.seconds,
            now.requests - before.requests,
            now.changes - before.changes,
            now.events - before.events,
        )

    def pods_seen(self) -> dict[str, Object]:
        """Return the pods by name, as the controller's caches have them.

        Those of a ReplicaSet that has lost its owner are among them: the pass that adopts it goes
        on from them. Those of a deleted namesake's are not: the garbage collector is after them.
        """
        caches = self._caches
        uids = (one["metadata"]["uid"] for one in self._replica_sets_seen())
        found = (pod for uid in uids for pod in caches.pods.by_index(INDEX_OWNER, uid))
        return {name_of(pod): pod for pod in found}

    def released_seen(self) -> dict[str, Object]:
        """Return the pods by name that nobody owns, and that such a ReplicaSet takes back."""
        makers = {name_of(one) for one in self._replica_sets_seen()}
        released = (
            pod
            for name in NAMES
            for pod in self._caches.pods.by_index(INDEX_RELEASED, names.versioned_prefix(name))
        )
        return {name_of(pod): pod for pod in released if names.maker_of(pod) in makers}

    def _replica_sets_seen(self) -> list[Object]:
        """Return the ReplicaSets that the controller counts, as its caches have them."""
        caches = self._caches
        owned = [
            one
            for server in caches.servers.objects()
            for one in caches.replica_sets.by_index(INDEX_OWNER, server["metadata"]["uid"])
        ]
        labelled = (
            one
            for name in NAMES
            for one in caches.replica_sets.by_index(INDEX_INSTANCE, names.instance_label(name))
        )
        return [*owned, *(one for one in labelled if not owner_of(one))]

    def owner_uids_seen(self, resource: Resource, name: str) -> list[str]:
        """Return the uids of an object's owners, as the controller's caches have it."""
        found = self._followed()[resource].get(objects.NAMESPACE, name)
        return [] if found is None else owner_uids(found)

    def _followed(self) -> dict[Resource, Cache]:
        caches = self._caches
        return {
            resources.PODS: caches.pods,
            resources.REPLICA_SETS: caches.replica_sets,
            resources.SERVICES: caches.services,
            resources.SECRETS: caches.secrets,
            resources.CRON_JOBS: caches.cron_jobs,
            resources.PROFILES: caches.profiles,
        }

    def service_seen(self, name: str) -> Object | None:
        """Return a Service as the controller's caches have it."""
        return self._caches.services.get(objects.NAMESPACE, name)

    def slices_seen(self, service: str) -> list[Object]:
        """Return the EndpointSlices of a Service, as the controller's caches have them."""
        return self._caches.endpoint_slices.by_index(INDEX_SERVICE, service)

    def may_not_be_known(self, pod: Object) -> bool:
        """Return whether the caches may have missed whose the ReplicaSet of a pod is.

        A resource that was made again does not count what its deleted namesake owns.
        """
        changed = self.owner_changed.get(owner_of(pod))
        return (
            changed is not None and changed <= self.disturbed and self.now < changed + STALE_SECONDS
        )

    def was_left_unseen(self, pod: Object) -> bool:
        """Return whether a pod was selected until somebody deleted the Service.

        Until when that was its mark alone says, which comes before.
        """
        lost = self.services_lost.get(f"repo-server-{server_of(pod)}")
        return lost is not None and lost >= self.selected[pod["metadata"]["uid"]]

    def time_to_drain(self, pod: Object) -> int:
        """Return the shortest time that a pod may be given, by what the controller may know."""
        known_since = self.selected[pod["metadata"]["uid"]] - STALE_SECONDS
        given = self.drain_seconds[server_of(pod)]
        before = [seconds for since, seconds in given if since <= known_since]
        return min([*before[-1:], *(seconds for since, seconds in given if since > known_since)])

    @property
    def _caches(self) -> Caches[SharedInformer]:
        assert self.cluster.process is not None
        return self.cluster.process.caches

    def _on_change(self, change: Change) -> None:
        self.changes += 1
        metadata = change.obj["metadata"]
        if change.resource == api.REPOSITORY_SERVERS:
            self.servers.add(metadata["uid"])
            self._remember_edit(change.obj)
        elif change.resource == resources.PODS:
            uid = self.owners.get(owner_of(change.obj))
            if uid is not None:
                self.pods.setdefault(uid, set()).add(metadata["name"])
            self._note_pod(change)
        elif change.resource == resources.REPLICA_SETS:
            self._remember_replica_set(change)
        elif change.resource == resources.SECRETS:
            self._remember_secret(change)
        elif change.resource == resources.SERVICES and change.new is None:
            # The controller deletes none of these.
            self.services_lost[metadata["name"]] = self.now
        self._remember_selected(change)

    def _remember_replica_set(self, change: Change) -> None:
        metadata = change.obj["metadata"]
        if change.new is None and metadata["uid"] not in self.retired:
            self.lost.add(metadata["name"])
        before, owner = self.owners.get(metadata["uid"]), owner_of(change.obj)
        self.owners[metadata["uid"]] = owner
        if before is not None and before != owner:
            self.owner_changed[metadata["uid"]] = self.now
        # One that was adopted brings its pods along, those among them that it is to take back.
        for pod in self.cluster.api.list(resources.PODS):
            released = not owner_of(pod) and names.maker_of(pod) == metadata["name"]
            if released or owner_of(pod) == metadata["uid"]:
                self.pods.setdefault(owner, set()).add(name_of(pod))

    def _note_pod(self, change: Change) -> None:
        name = name_of(change.obj)
        if change.new is None:
            self.note(f"pod {name} is gone")
        elif change.old is None or change.old.get("status") != change.new.get("status"):
            ready = podstatus.is_ready(change.new)
            if not ready:
                self.selected.pop(change.new["metadata"]["uid"], None)
            self.note(f"pod {name} is {'Ready' if ready else 'not Ready'}")

    def _remember_edit(self, server: Object) -> None:
        name, seconds = name_of(server), server["spec"]["server"]["drainSeconds"]
        given = self.drain_seconds.setdefault(name, [])
        if not given or given[-1][1] != seconds:
            given.append((self.now, seconds))
        self.users_changed[name] = self.now

    def _remember_secret(self, change: Change) -> None:
        self.look_around()
        data = clear(change.new or {})
        if servercommands.USERS_FILE in data:
            self.versions[data[servercommands.USERS_VERSION_FILE]] = data[servercommands.USERS_FILE]
        for name in NAMES:
            if name_of(change.obj) in self.cluster.user.accesses(name).values():
                self.users_changed[name] = self.now

    def _remember_selected(self, change: Change) -> None:
        services = self.cluster.api.list(resources.SERVICES)
        # One that was selected up to this very change as well.
        former = [change.old] if change.resource == resources.SERVICES and change.old else []
        pods = self.cluster.api.list(resources.PODS)
        for service in (*services, *former):
            for pod in filter(podstatus.is_ready, selected_by(service, pods)):
                self.selected[pod["metadata"]["uid"]] = self.now
                # Its server's replacement has succeeded. What becomes of the pod since is none.
                self.replaced = {
                    uid: one
                    for uid, one in self.replaced.items()
                    if one.replica_set != names.maker_of(pod)
                }


def name_of(obj: Mapping[str, Any]) -> str:
    """Return the name of an object."""
    name: str = obj["metadata"]["name"]
    return name


def server_of(pod: Object) -> str:
    """Return the name of the resource that a pod is of, whoever has taken labels off it."""
    name: str = pod["metadata"]["generateName"]
    return name.rsplit("-", 2)[0]


def owner_of(obj: Object) -> str:
    """Return the uid of an object's owner; empty if it has none."""
    owners = obj["metadata"].get("ownerReferences") or [{"uid": ""}]
    uid: str = owners[0]["uid"]
    return uid


def selected_by(service: Mapping[str, Any], pods: Iterable[Object]) -> list[Object]:
    """Return the pods that a Service selects."""
    selector = service["spec"]["selector"].items()
    return [pod for pod in pods if selector <= (pod["metadata"].get("labels") or {}).items()]


def clear(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return what a Secret holds."""
    data = secret.get("data") or {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}
