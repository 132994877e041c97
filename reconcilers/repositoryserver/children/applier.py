"""Acting on children: server-side apply of what differs, and deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog
from attrs import frozen

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.errors import InvalidInput
from reconcilers.repositoryserver.caches import owner_uids
from reconcilers.repositoryserver.children import compare, generation
from reconcilers.repositoryserver.children.owners import mark_of, owners
from reconcilers.repositoryserver.verdict import RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from controller.resource import Resource
    from controller.rest.client import Client
    from reconcilers.repositoryserver.caches import Cache, Caches
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

REASON_FOREIGN_CHILD: Final = "NameTaken"
FOREIGN_CHILD: Final = (
    "{kind} {namespace}/{name} exists and does not belong to this RepositoryServer, which needs "
    "the name; create the RepositoryServer under another name, or, if the {kind} is yours, give "
    "it another one"
)

WAITING_OWNER: Final = (
    "{kind} {name} still belongs to a deleted RepositoryServer of this name; it is being deleted"
)

EVENT_POD_DELETED: Final = "PodDeleted"
EVENT_CHILD_RESTORED: Final = "ChildRestored"
CHILD_RESTORED: Final = "{kind} {name} was not as it should be and has been restored"


# A webhook that changes a child as it is applied would do so again, and each write may wake the
# resource. But it may be gone some day.
MUTATED_SECONDS: Final = 600.0

_log = structlog.get_logger()


class RecordEvent(Protocol):
    """Records what was done, in an event and in the log."""

    def __call__(self, current: ReconcileContext, reason: str, note: str, action: str) -> None:
        """Record an event about the resource of a reconcile."""
        ...


@frozen
class _MutatedByAdmission:
    """A child that a webhook has changed as it was applied.

    Args:
        desired: Mark of the child as it was applied.
        version: Of the object that came of it.
        until: When to try again, in monotonic seconds.
    """

    desired: str
    version: str
    until: float


class ChildApplier:
    """Writes the children of RepositoryServers, each only if it is not as it should be.

    Args:
        client: Writes.
        caches: What is there; they show at once what was written.
        record_event: Records the events of pods deleted, and of children restored.
        states: Holds which children of each resource were mutated by admission.
        clock: The time.
    """

    def __init__(
        self,
        *,
        client: Client,
        caches: Caches[Cache],
        record_event: RecordEvent,
        states: States,
        clock: Clock,
    ) -> None:
        self._client = client
        self._record_event = record_event
        self._clock = clock
        # By resource what became of the child of it that was applied last, if it was not taken as
        # it was.
        self._mutated = states.per_object(_none)
        self._by_resource: dict[Resource, Cache] = {
            resources.PODS: caches.pods,
            resources.REPLICA_SETS: caches.replica_sets,
            resources.SERVICES: caches.services,
            resources.NETWORK_POLICIES: caches.network_policies,
            resources.SECRETS: caches.secrets,
            resources.CRON_JOBS: caches.cron_jobs,
            resources.PROFILES: caches.profiles,
        }

    def ensure(
        self,
        current: ReconcileContext,
        resource: Resource,
        desired: Mapping[str, Any],
        *,
        changed: bool = False,
    ) -> dict[str, Any]:
        """Apply an object if it is not as desired, and return it as it is then.

        Args:
            current: The reconcile.
            resource: Its resource.
            desired: The object as it should be.
            changed: Whether the caller knows that it is not so, in what the cache does not hold.

        Raises:
            InvalidInput: Its name is taken by an object that the resource does not own.
            RetryLater: It belongs to a deleted namesake of the resource.
            ClientError: The API server did not take it.
        """
        cache = self._cache(resource)
        namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
        wanted = compare.with_applied(desired)
        comparable = _comparable(resource, wanted)
        observed = cache.get(namespace, name)
        if observed is not None:
            self.refuse_foreign(current, resource, observed)
            # In what the cache does not hold.
            changed = changed or not _is_as_written(resource, observed)
            is_so = not compare.differs(comparable, observed)
            if not changed and (
                is_so or self._is_mutated_by_admission(current, resource, wanted, observed)
            ):
                return observed
        if resource in generation.COUNTED and observed is not None:
            applied = self._apply_counted(current, resource, wanted, comparable, observed)
        else:
            applied = self._apply(current, resource, wanted, comparable.get("spec"))
        if compare.differs(comparable, applied):
            _log.warning("changed as it was applied: a webhook?", kind=resource.kind, child=name)
            until = self._clock.monotonic() + MUTATED_SECONDS
            mutated = _MutatedByAdmission(mark_of(wanted), _version(applied), until)
            self._mutated.of(current)[resource] = mutated
        # With the same mark as before it is not our wish that has changed; with the same version
        # nothing has.
        if (
            observed is not None
            and mark_of(observed) == mark_of(wanted)
            and _version(observed) != _version(applied)
        ):
            note = CHILD_RESTORED.format(kind=resource.kind, name=name)
            self._record_event(current, EVENT_CHILD_RESTORED, note, "Apply")
        return applied

    def _apply(
        self,
        current: ReconcileContext,
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

    def _apply_counted(
        self,
        current: ReconcileContext,
        resource: Resource,
        wanted: dict[str, Any],
        comparable: Mapping[str, Any],
        observed: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Apply an object that is there, and write on it which generation that has made."""
        is_touched = not generation.is_as_written(observed)
        changes = (
            is_touched
            or mark_of(observed) != mark_of(wanted)
            or compare.differs(comparable["spec"], observed["spec"], ("spec",))
        )
        expected = generation.of(observed) + int(changes)
        metadata = wanted["metadata"]
        annotations = {**metadata["annotations"], **generation.annotation(expected)}
        body = {**wanted, "metadata": {**metadata, "annotations": annotations}}
        applied = self._apply(current, resource, body, comparable["spec"])
        if is_touched and resource == resources.REPLICA_SETS:
            # What somebody has added to the template would be in its next pod.
            expected = generation.of(applied) + 1
            spec = compare.replacing(wanted["spec"], applied["spec"])
            # How many pods it has is for the rollout to say.
            del spec["replicas"]
            change: dict[str, Any] = {"spec": spec}
            applied = self.patch(current, resource, applied, change, counts=False)
        if generation.is_as_written(applied) or generation.of(applied) > expected:
            # Somebody has changed it meanwhile; the cache will show it.
            return applied
        counted = generation.annotation(generation.of(applied))
        return self.patch(current, resource, applied, {"metadata": {"annotations": counted}})

    def create(
        self, current: ReconcileContext, resource: Resource, desired: Mapping[str, Any]
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

    def patch(
        self,
        current: ReconcileContext,
        resource: Resource,
        obj: Mapping[str, Any],
        change: Mapping[str, Any],
        *,
        subresource: str = "",
        counts: bool = True,
    ) -> dict[str, Any]:
        """Merge a change into this very object, and return it as it is then.

        Args:
            current: The reconcile.
            resource: Its resource.
            obj: The object.
            change: A merge patch.
            subresource: What of it is changed, such as `status`; empty for the object itself.
            counts: Whether a change of the specification is written on the object as the
                controller's, see `generation`.

        Raises:
            Conflict: Another has its name.
            ClientError: The API server refused or could not be reached.
        """
        metadata = obj["metadata"]
        bound = {**change.get("metadata", {}), "uid": metadata["uid"]}
        is_counted = counts and resource in generation.COUNTED and "spec" in change
        # What somebody else has changed is still to be put back.
        if is_counted and generation.is_as_written(obj):
            counted = generation.annotation(generation.of(obj) + 1)
            bound["annotations"] = {**bound.get("annotations", {}), **counted}
        return self._client.merge_patch(
            resource,
            metadata["namespace"],
            metadata["name"],
            {**change, "metadata": bound},
            subresource=subresource,
            deadline=current.deadline,
        )

    def delete(
        self,
        current: ReconcileContext,
        resource: Resource,
        obj: Mapping[str, Any],
        why: str,
        *,
        grace_seconds: int | None = None,
    ) -> None:
        """Delete this very object; it is no error if it is gone.

        Args:
            current: The reconcile.
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
            self._record_event(current, EVENT_POD_DELETED, note, "Delete")

    def refuse_foreign(
        self, current: ReconcileContext, resource: Resource, observed: Mapping[str, Any]
    ) -> None:
        """Refuse to touch an object that the resource does not own.

        Raises:
            InvalidInput: It belongs to something else.
            RetryLater: It belongs to a deleted namesake of the resource.
        """
        if current.server.uid in owner_uids(observed):
            return
        metadata = observed["metadata"]
        if current.server.name in (reference["name"] for reference in owners(observed)):
            # The garbage collector is about to delete what a deleted namesake has left.
            words = {"kind": resource.kind, "name": metadata["name"]}
            raise RetryLater(WAITING_OWNER.format(**words))
        raise InvalidInput(
            REASON_FOREIGN_CHILD,
            FOREIGN_CHILD.format(
                kind=resource.kind, namespace=metadata["namespace"], name=metadata["name"]
            ),
        )

    def _is_mutated_by_admission(
        self,
        current: ReconcileContext,
        resource: Resource,
        wanted: Mapping[str, Any],
        observed: Mapping[str, Any],
    ) -> bool:
        """Return whether an object is what has lately become of the one that is wanted."""
        known = self._mutated.of(current).get(resource)
        if known is None or self._clock.monotonic() >= known.until:
            return False
        return (known.desired, known.version) == (mark_of(wanted), _version(observed))

    def _cache(self, resource: Resource) -> Cache:
        return self._by_resource[resource]


def _none(_: ReconcileContext) -> dict[Resource, _MutatedByAdmission]:
    return {}


def _version(obj: Mapping[str, Any]) -> str:
    version: str = obj["metadata"]["resourceVersion"]
    return version


def _is_as_written(resource: Resource, observed: Mapping[str, Any]) -> bool:
    return resource not in generation.COUNTED or generation.is_as_written(observed)


def _comparable(resource: Resource, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a desired object that can differ from the observed one."""
    if resource == resources.SECRETS:
        # Data are never in the cache, and an immutable Secret's cannot change.
        return {"metadata": wanted["metadata"]}
    if resource == resources.REPLICA_SETS:
        # The specification of its pods, which the hash stands for, is not in the cache.
        template = {"metadata": wanted["spec"]["template"]["metadata"]}
        spec = {"replicas": wanted["spec"]["replicas"], "template": template}
        return {"metadata": compare.desired_metadata(wanted["metadata"]), "spec": spec}
    if resource == resources.PROFILES:
        return {name: wanted[name] for name in wanted.keys() - {"apiVersion", "kind"}}
    # The API server writes quantities in a template in its own way; the mark shows changes.
    spec = {name: value for name, value in wanted["spec"].items() if name != "jobTemplate"}
    return {"metadata": wanted["metadata"], "spec": spec}
