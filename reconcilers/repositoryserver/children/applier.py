"""Acting on children: server-side apply of what differs, deletion of what is superfluous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import structlog

from controller.conditions import timestamp
from controller.errors import BadRequest, Invalid, NotFound
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.caches import (
    INDEX_INSTANCE,
    INDEX_OWNER,
    INDEX_RELEASED,
    owner_uids,
)
from reconcilers.repositoryserver.children import compare, names, revision
from reconcilers.repositoryserver.children.owners import (
    is_of_removed_controller,
    mark_of,
    owners,
)
from reconcilers.repositoryserver.children.pod import metadata_patch
from reconcilers.repositoryserver.context import Overruled
from reconcilers.repositoryserver.verdict import Unsettled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from datetime import datetime

    from controller.clock import Clock
    from controller.resource import Resource
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.children.record import Records
    from reconcilers.repositoryserver.children.secrets import ServerInputs
    from reconcilers.repositoryserver.context import Pass

REASON_FOREIGN_CHILD = "NameTaken"
FOREIGN_CHILD = (
    "{kind} {namespace}/{name} exists and does not belong to this RepositoryServer, which needs "
    "the name; create the RepositoryServer under another name, or, if the {kind} is yours, give "
    "it another one"
)

WAITING_OWNER = (
    "{kind} {name} still belongs to a deleted RepositoryServer of this name; it is being deleted"
)

REASON_POD_REFUSED = "PodRefused"
POD_REFUSED = (
    "the API server rejects ReplicaSet {name}: {message}; correct this in spec.server, for example "
    "in podOverride"
)

EVENT_REVISION_CREATED = "RevisionCreated"
REVISION_CREATED = "created ReplicaSet {name}"
EVENT_REVISION_RETIRED = "RevisionRetired"
REVISION_RETIRED = "ReplicaSet {name} gets no pod any more: {why}"
EVENT_POD_DELETED = "PodDeleted"
EVENT_POD_DRAINS = "PodDrains"
POD_DRAINS = "pod {pod} drains: its connections may continue until {until}"
EVENT_CHILD_RESTORED = "ChildRestored"
CHILD_RESTORED = "{kind} {name} was not as it should be and has been restored"


# A webhook that changes a child as it is applied would do so again, and each write may wake the
# resource. But it may be gone some day.
OVERRULED_SECONDS = 600.0

_log = structlog.get_logger()


class Teller(Protocol):
    """Tells of what was done, in an event and in the log."""

    def __call__(self, current: Pass, reason: str, note: str, action: str) -> None:
        """Record an event about the resource of a reconcile."""
        ...


class ChildApplier:
    """Writes the children of RepositoryServers, each only if it is not as it should be."""

    def __init__(
        self, *, client: Client, caches: Caches[Cache], records: Records, tell: Teller, clock: Clock
    ) -> None:
        """Take the dependencies.

        Args:
            client: Writes.
            caches: What is there; they are told what was written.
            records: What is recorded on pods.
            tell: Tells of pods made and deleted, and of children restored.
            clock: The time.
        """
        self._client = client
        self._caches = caches
        self._records = records
        self._tell = tell
        self._clock = clock
        self._by_resource = {
            resources.PODS: caches.pods,
            resources.REPLICA_SETS: caches.replica_sets,
            resources.SERVICES: caches.services,
            resources.NETWORK_POLICIES: caches.network_policies,
            resources.SECRETS: caches.secrets,
            resources.CRON_JOBS: caches.cron_jobs,
        }

    def ensure(
        self,
        current: Pass,
        resource: Resource,
        desired: Mapping[str, Any],
        *,
        changed: bool = False,
    ) -> dict[str, Any]:
        """Apply an object if it is not as desired, and return it as it is then.

        Args:
            current: The pass.
            resource: Its resource.
            desired: The object as it should be.
            changed: Whether the caller knows that it is not so, in what the cache does not hold.

        Raises:
            InvalidInput: Its name is taken by an object that the resource does not own.
            Unsettled: It belongs to a deleted namesake of the resource.
            ClientError: The API server did not take it.
        """
        cache = self._cache(resource)
        namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
        wanted = compare.with_applied(desired)
        comparable = _comparable(resource, wanted)
        observed = cache.get(namespace, name)
        if observed is not None:
            self.refuse_foreign(current, resource, observed)
            is_so = not compare.differs(comparable, observed)
            if not changed and (is_so or self._is_overruled(current, resource, wanted, observed)):
                return observed
        applied = self._apply(current, resource, wanted, comparable.get("spec"))
        if compare.differs(comparable, applied):
            _log.warning("changed as it was applied: a webhook?", kind=resource.kind, child=name)
            until = self._clock.monotonic() + OVERRULED_SECONDS
            overruled = Overruled(mark_of(wanted), _version(applied), until)
            current.memory.overruled[resource] = overruled
        # With the same mark as before it is not our wish that has changed.
        if observed is not None and mark_of(observed) == mark_of(wanted):
            note = CHILD_RESTORED.format(kind=resource.kind, name=name)
            self._tell(current, EVENT_CHILD_RESTORED, note, "Apply")
        return applied

    def _apply(
        self,
        current: Pass,
        resource: Resource,
        wanted: dict[str, Any],
        spec: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Apply an object, and its spec once more if somebody has added to it."""
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        applied = self._client.apply(resource, namespace, name, wanted, deadline=current.deadline)
        if spec is None or not compare.differs(spec, applied["spec"], ("spec",)):
            return applied
        # Somebody's addition to a list that server-side apply merges stays in it; a merge patch
        # replaces the list.
        return self._client.merge_patch(
            resource, namespace, name, {"spec": spec}, deadline=current.deadline
        )

    def create(
        self, current: Pass, resource: Resource, desired: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Create an object that the cache does not have, and return it.

        Raises:
            AlreadyExists: It is there all the same.
            ClientError: The API server did not take it.
        """
        return self._client.create(
            resource,
            desired["metadata"]["namespace"],
            compare.with_applied(desired),
            deadline=current.deadline,
        )

    def has_pods(self, current: Pass) -> bool:
        """Return whether a server has pods, be they of a deleted resource of the same name."""
        server = current.server
        label = names.selector(server)[names.LABEL_INSTANCE]
        prefix = names.versioned_prefix(server.name)
        pods = (
            *self._caches.pods.by_index(INDEX_INSTANCE, label),
            *self._caches.pods.by_index(INDEX_RELEASED, prefix),
        )
        return any(pod["metadata"]["namespace"] == server.namespace for pod in pods)

    def ensure_revision(
        self, current: Pass, inputs: ServerInputs | None, digest: str
    ) -> dict[str, Any] | None:
        """Create snapshot and ReplicaSet if they are missing.

        Args:
            current: The pass.
            inputs: What they are made of; None if both are known to be there.
            digest: Names them.

        Returns:
            The ReplicaSet as it is then.

        Raises:
            InvalidInput: As for `ensure`, or what the resource says of the pod makes none.
            Unsettled: As for `ensure`.
            ClientError: As for `ensure`.
        """
        server = current.server
        name = names.versioned_name(server, digest)
        observed = self._caches.replica_sets.get(server.namespace, name)
        if observed is not None:
            self.refuse_foreign(current, resources.REPLICA_SETS, observed)
            if observed["metadata"].get("deletionTimestamp"):
                return observed
        if inputs is None:
            return observed
        self.ensure(current, resources.SECRETS, revision.snapshot_secret(server, inputs, digest))
        # How many pods one that is there has is for the rollout to say.
        replicas = 1 if observed is None else observed["spec"].get("replicas", 1)
        desired = revision.replica_set(server, inputs, digest, replicas=replicas)
        desired["metadata"]["annotations"] = self._records.annotations(current.memory, desired)
        try:
            replica_set = self.ensure(current, resources.REPLICA_SETS, desired)
        # A webhook's denial without a code is a bad request.
        except (BadRequest, Invalid) as error:
            message = POD_REFUSED.format(name=name, message=error.message)
            raise InvalidInput(REASON_POD_REFUSED, message) from error
        if observed is None:
            note = REVISION_CREATED.format(name=name)
            self._tell(current, EVENT_REVISION_CREATED, note, "Create")
        return replica_set

    def ensure_pod_metadata(
        self, current: Pass, replica_set: Mapping[str, Any], pod: Mapping[str, Any]
    ) -> None:
        """Write the labels and annotations of a ReplicaSet's template on a pod that it has made.

        The ReplicaSet controller does that for new pods only.

        Raises:
            Conflict: Another pod has the name.
            ClientError: The API server refused or could not be reached.
        """
        template = replica_set["spec"]["template"]["metadata"]
        patch = metadata_patch(template, pod["metadata"])
        if patch:
            self._patch(current, resources.PODS, pod, {"metadata": patch})

    def scale(
        self,
        current: Pass,
        replica_set: Mapping[str, Any],
        replicas: int,
        annotations: Mapping[str, str | None] | None = None,
    ) -> None:
        """Set the number of pods that a ReplicaSet keeps.

        Args:
            current: The pass.
            replica_set: The ReplicaSet.
            replicas: 0 or 1.
            annotations: What to write on it along with that; None takes one off.

        Raises:
            Conflict: Another ReplicaSet has the name.
            ClientError: The API server refused or could not be reached.
        """
        change: dict[str, Any] = {"spec": {"replicas": replicas}}
        if annotations:
            change["metadata"] = {"annotations": dict(annotations)}
        self._patch(current, resources.REPLICA_SETS, replica_set, change)

    def retire(self, current: Pass, replica_set: Mapping[str, Any], why: str) -> None:
        """Take a ReplicaSet its pod away.

        Args:
            current: The pass.
            replica_set: The ReplicaSet.
            why: For the event.

        Raises:
            Conflict: As for `scale`.
            ClientError: As for `scale`.
        """
        self.scale(current, replica_set, 0)
        note = REVISION_RETIRED.format(name=replica_set["metadata"]["name"], why=why)
        self._tell(current, EVENT_REVISION_RETIRED, note, "Retire")

    def _patch(
        self,
        current: Pass,
        resource: Resource,
        obj: Mapping[str, Any],
        change: Mapping[str, Any],
    ) -> None:
        """Merge a change into this very object."""
        metadata = obj["metadata"]
        bound = {**change.get("metadata", {}), "uid": metadata["uid"]}
        self._client.merge_patch(
            resource,
            metadata["namespace"],
            metadata["name"],
            {**change, "metadata": bound},
            deadline=current.deadline,
        )

    def delete(
        self,
        current: Pass,
        resource: Resource,
        obj: Mapping[str, Any],
        why: str,
        *,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete this very object; it is no error if it is gone.

        Args:
            current: The pass.
            resource: Its resource.
            obj: The object; another of the same name is left alone.
            why: For the event, after "deleted pod NAME: ".
            grace_seconds: Time to end in; None for the object's own.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        metadata = obj["metadata"]
        try:
            self._client.delete(
                resource,
                metadata["namespace"],
                metadata["name"],
                uid=metadata["uid"],
                grace_seconds=grace_seconds,
                deadline=current.deadline,
            )
        except NotFound:
            return
        if resource == resources.PODS:
            note = f"deleted pod {metadata['name']}: {why}"
            self._tell(current, EVENT_POD_DELETED, note, "Delete")

    def drain(self, current: Pass, pod: Mapping[str, Any], until: datetime) -> None:
        """Write on a pod until when it is left to its sessions, and tell so.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        when = timestamp(until)
        self.annotate(current, pod, {names.ANNOTATION_DRAIN_UNTIL: when})
        note = POD_DRAINS.format(pod=pod["metadata"]["name"], until=when)
        self._tell(current, EVENT_POD_DRAINS, note, "Drain")

    def annotate(
        self, current: Pass, pod: Mapping[str, Any], annotations: Mapping[str, str]
    ) -> None:
        """Write annotations on this very pod.

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        change = {"metadata": {"annotations": dict(annotations)}}
        self._patch(current, resources.PODS, pod, change)

    def nudge(self, current: Pass, replica_set: Mapping[str, Any], now: datetime) -> None:
        """Nudge the ReplicaSet controller to try again now to make a pod.

        By itself it waits ever longer after each refusal, up to a quarter of an hour. Any change of
        the object makes it look at once (kubernetes pkg/controller/replicaset, updateRS).

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        annotations = {names.ANNOTATION_NUDGED: timestamp(now)}
        change = {"metadata": {"annotations": annotations}}
        self._patch(current, resources.REPLICA_SETS, replica_set, change)

    def ensure_recorded(self, current: Pass, name: str) -> bool:
        """Record on a ReplicaSet what is known of its Secrets, if it does not say so already.

        Returns:
            Whether that was written.

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        replica_set = self._caches.replica_sets.get(current.server.namespace, name)
        if replica_set is None or replica_set["metadata"].get("deletionTimestamp"):
            return False
        told = replica_set["metadata"].get("annotations") or {}
        record = self._records.annotations(current.memory, replica_set)
        if record.items() <= told.items():
            return False
        change = {"metadata": {"annotations": record}}
        self._patch(current, resources.REPLICA_SETS, replica_set, change)
        return True

    def prune_snapshots(self, current: Pass, keep: Collection[str]) -> None:
        """Delete the snapshot Secrets that no pod uses.

        Args:
            current: The pass.
            keep: Names of those that stay.

        Raises:
            ClientError: As for `delete`.
        """
        server = current.server

        def is_unused(secret: Mapping[str, Any]) -> bool:
            is_snapshot = names.versioned_digest(server, secret) != "" and mark_of(secret) != ""
            return is_snapshot and secret["metadata"]["name"] not in keep

        self._prune(
            current,
            resources.SECRETS,
            is_unused,
            "no pod uses it",
        )

    def prune_certificate(self, current: Pass) -> None:
        """Delete the certificate that the controller made, once the resource names another one.

        Raises:
            ClientError: As for `delete`.
        """
        server = current.server
        name = names.certificate_name(server)
        if server.tls is None or server.tls.name == name:
            return
        self._prune(
            current,
            resources.SECRETS,
            lambda secret: secret["metadata"]["name"] == name,
            "another certificate is in use",
        )

    def prune_former_services(self, current: Pass) -> None:
        """Delete the Services that the removed controller made.

        Raises:
            ClientError: As for `delete`.
        """
        self._prune(
            current,
            resources.SERVICES,
            lambda service: is_of_removed_controller(resources.SERVICES, service),
            "its pods are gone",
        )

    def _prune(
        self,
        current: Pass,
        resource: Resource,
        superfluous: Callable[[Mapping[str, Any]], bool],
        why: str,
    ) -> None:
        for obj in self._cache(resource).by_index(INDEX_OWNER, current.server.uid):
            if superfluous(obj) and not obj["metadata"].get("deletionTimestamp"):
                self.delete(current, resource, obj, why)

    def refuse_foreign(
        self, current: Pass, resource: Resource, observed: Mapping[str, Any]
    ) -> None:
        """Refuse to touch an object that the resource does not own.

        Raises:
            InvalidInput: It belongs to something else.
            Unsettled: It belongs to a deleted namesake of the resource.
        """
        if current.server.uid in owner_uids(observed):
            return
        metadata = observed["metadata"]
        if current.server.name in (reference["name"] for reference in owners(observed)):
            # The garbage collector is about to delete what a deleted namesake has left.
            words = {"kind": resource.kind, "name": metadata["name"]}
            raise Unsettled(WAITING_OWNER.format(**words))
        raise InvalidInput(
            REASON_FOREIGN_CHILD,
            FOREIGN_CHILD.format(
                kind=resource.kind, namespace=metadata["namespace"], name=metadata["name"]
            ),
        )

    def _is_overruled(
        self,
        current: Pass,
        resource: Resource,
        wanted: Mapping[str, Any],
        observed: Mapping[str, Any],
    ) -> bool:
        """Return whether an object is what has lately become of the one that is wanted."""
        known = current.memory.overruled.get(resource)
        if known is None or self._clock.monotonic() >= known.until:
            return False
        return (known.wish, known.version) == (mark_of(wanted), _version(observed))

    def _cache(self, resource: Resource) -> Cache:
        return self._by_resource[resource]


def _version(obj: Mapping[str, Any]) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version


def _comparable(resource: Resource, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a desired object that can differ from the observed one."""
    if resource == resources.SECRETS:
        # Data are never in the cache, and an immutable Secret's cannot change.
        return {"metadata": wanted["metadata"]}
    if resource == resources.REPLICA_SETS:
        # The specification of its pods, which the digest stands for, is not in the cache.
        template = {"metadata": wanted["spec"]["template"]["metadata"]}
        spec = {"replicas": wanted["spec"]["replicas"], "template": template}
        return {"metadata": compare.wishes(wanted["metadata"]), "spec": spec}
    # The API server writes quantities in a template in its own way; the mark tells of changes.
    spec = {name: value for name, value in wanted["spec"].items() if name != "jobTemplate"}
    return {"metadata": wanted["metadata"], "spec": spec}
