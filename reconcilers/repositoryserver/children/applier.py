"""Acting on children: server-side apply of what differs, deletion of what is superfluous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import structlog

from controller.conditions import timestamp
from controller.errors import BadRequest, Invalid, NotFound
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.caches import INDEX_INSTANCE, INDEX_OWNER, owner_uids
from reconcilers.repositoryserver.children import compare, names, revision
from reconcilers.repositoryserver.children.owners import (
    is_of_removed_controller,
    mark_of,
    owners,
)
from reconcilers.repositoryserver.children.pod import pod as desired_pod
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
    "the API server rejects pod {pod}: {message}; correct this in spec.server, for example in "
    "podOverride"
)

EVENT_POD_CREATED = "PodCreated"
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
        """Tell one thing of the resource of a pass."""
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
            if resource == resources.PODS:
                wanted = self._as_admitted(current, wanted)
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

    def has_pods_of_namesake(self, current: Pass) -> bool:
        """Return whether there are pods of a deleted resource that had the same name."""
        labels = names.selector(current.server)
        return any(
            pod["metadata"]["namespace"] == current.server.namespace
            and current.server.uid not in owner_uids(pod)
            for pod in self._caches.pods.by_index(INDEX_INSTANCE, labels[names.LABEL_INSTANCE])
        )

    def ensure_pod(
        self, current: Pass, inputs: ServerInputs | None, digest: str, users: str
    ) -> dict[str, Any] | None:
        """Create snapshot and pod if they are missing.

        Args:
            current: The pass.
            inputs: What they are made of; None if both are known to be there.
            digest: Names them.
            users: Version of the users that a new pod starts with.

        Returns:
            The pod as it is then.

        Raises:
            InvalidInput: As for `ensure`, or what the resource says of the pod makes none.
            Unsettled: As for `ensure`.
            ClientError: As for `ensure`.
        """
        server = current.server
        name = names.versioned_name(server, digest)
        observed = self._caches.pods.get(server.namespace, name)
        if observed is not None:
            self.refuse_foreign(current, resources.PODS, observed)
            if observed["metadata"].get("deletionTimestamp"):
                return observed
        if inputs is None:
            return observed
        self.ensure(current, resources.SECRETS, revision.snapshot_secret(server, inputs, digest))
        # One that is there has taken up what it has taken up.
        users = users if observed is None else names.users_of(observed)
        desired = desired_pod(server, inputs, digest, users)
        desired["metadata"]["annotations"] |= self._records.annotations(current.memory, desired)
        try:
            pod = self.ensure(current, resources.PODS, desired)
        # A webhook's denial without a code is a bad request.
        except (BadRequest, Invalid) as error:
            message = POD_REFUSED.format(pod=name, message=error.message)
            raise InvalidInput(REASON_POD_REFUSED, message) from error
        if observed is None:
            self._tell(current, EVENT_POD_CREATED, f"created pod {name}", "Create")
        return pod

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
        """Write annotations on this very pod, and what is to be recorded on it.

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        metadata = pod["metadata"]
        annotations = {**annotations, **self._records.annotations(current.memory, pod)}
        self._client.merge_patch(
            resources.PODS,
            metadata["namespace"],
            metadata["name"],
            {"metadata": {"uid": metadata["uid"], "annotations": annotations}},
            deadline=current.deadline,
        )

    def ensure_recorded(self, current: Pass, name: str) -> bool:
        """Record on a pod what is known of its Secrets, if it does not say so already.

        Returns:
            Whether that was written.

        Raises:
            Conflict: As for `annotate`.
            ClientError: As for `annotate`.
        """
        pod = self._caches.pods.get(current.server.namespace, name)
        if pod is None or pod["metadata"].get("deletionTimestamp"):
            return False
        told = pod["metadata"].get("annotations") or {}
        if self._records.annotations(current.memory, pod).items() <= told.items():
            return False
        self.annotate(current, pod, {})
        return True

    def prune_snapshots(self, current: Pass, keep: Collection[str]) -> None:
        """Delete the snapshot Secrets that no pod uses.

        Args:
            current: The pass.
            keep: Names of those that stay.

        Raises:
            ClientError: As for `delete`.
        """
        self._prune(
            current,
            resources.SECRETS,
            lambda secret: bool(names.digest_of(secret)) and secret["metadata"]["name"] not in keep,
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

    def _as_admitted(self, current: Pass, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return a pod that is wanted, with the specification that the existing one was given.

        An admission plugin or a webhook may have changed a pod as it was created: the image to a
        mirror's, the pull policy, a probe to one through a proxy. The API server refuses to change
        it back, and takes labels and annotations only along with what there is.
        """
        metadata = wanted["metadata"]
        live = self._client.get(
            resources.PODS, metadata["namespace"], metadata["name"], deadline=current.deadline
        )
        version = {"resourceVersion": live["metadata"]["resourceVersion"]}
        spec = compare.with_observed_values(wanted["spec"], live["spec"])
        return {**wanted, "metadata": {**metadata, **version}, "spec": spec}

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
    if resource == resources.PODS:
        # Its specification cannot change.
        return {"metadata": compare.wishes(wanted["metadata"])}
    # The API server writes quantities in a template in its own way; the mark tells of changes.
    spec = {name: value for name, value in wanted["spec"].items() if name != "jobTemplate"}
    return {"metadata": wanted["metadata"], "spec": spec}
