"""Acting on children: server-side apply of what differs, deletion of what is superfluous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from controller.errors import NotFound
from reconcilers.repositoryserver import api, children, resources, status
from reconcilers.repositoryserver.context import INDEX_OWNER
from reconcilers.repositoryserver.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from controller.client import Client
    from controller.mutationcache import MutationCache
    from controller.resource import Resource
    from reconcilers.repositoryserver.context import Caches, Pass

REASON_FOREIGN_CHILD = "NameTaken"
FOREIGN_CHILD = (
    "{kind} {namespace}/{name} exists and belongs to something else; delete it, or create the "
    "RepositoryServer under another name"
)

EVENT_POD_CREATED = "PodCreated"
EVENT_POD_DELETED = "PodDeleted"
EVENT_CHILD_RESTORED = "ChildRestored"
CHILD_RESTORED = "{kind} {name} was not as it should be and was applied again"

# Asked in this order, so that nothing is left without what it depends on.
OWNED = (
    resources.PODS,
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    resources.SECRETS,
)


# What the removed controller called its children, before five random characters.
REMOVED_CONTROLLER_PREFIXES = {
    resources.PODS: "repo-server-pod-",
    resources.SERVICES: "repo-server-service-",
}


class Teller(Protocol):
    """Tells of what was done, in an event and in the log."""

    def __call__(self, current: Pass, reason: str, note: str, action: str) -> None:
        """Tell one thing of the resource of a pass."""
        ...


class ChildApplier:
    """Writes the children of RepositoryServers, each only if it is not as it should be."""

    def __init__(self, *, client: Client, caches: Caches, tell: Teller) -> None:
        """Take the dependencies.

        Args:
            client: Writes.
            caches: What is there; they are told what was written.
            tell: Tells of pods made and deleted, and of children restored.
        """
        self._client = client
        self._caches = caches
        self._tell = tell
        self._by_resource = {
            resources.PODS: caches.pods,
            resources.SERVICES: caches.services,
            resources.NETWORK_POLICIES: caches.network_policies,
            resources.SECRETS: caches.secrets,
        }

    def ensure(
        self, current: Pass, resource: Resource, desired: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Apply an object if it is not as desired, and return it as it is then.

        Raises:
            InvalidInput: Its name is taken by an object that the resource does not own.
            ClientError: The API server did not take it.
        """
        cache = self._cache(resource)
        namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
        wanted = children.with_applied(desired)
        observed = cache.get(namespace, name)
        if observed is not None:
            self._refuse_foreign(current, resource, observed)
            if not children.differs(_comparable(resource, wanted), observed):
                return observed
        applied = self._client.apply(resource, namespace, name, wanted, deadline=current.deadline)
        if resource != resources.PODS and children.differs(_comparable(resource, wanted), applied):
            # Somebody's addition to a list that server-side apply merges stays in it; a merge
            # patch replaces the list.
            applied = self._client.merge_patch(
                resource, namespace, name, {"spec": wanted["spec"]}, deadline=current.deadline
            )
        cache.mutated(applied)
        if observed is not None:
            note = CHILD_RESTORED.format(kind=resource.kind, name=name)
            self._tell(current, EVENT_CHILD_RESTORED, note, "Apply")
        return applied

    def ensure_pod(
        self, current: Pass, inputs: children.ServerInputs | None, digest: str
    ) -> dict[str, Any] | None:
        """Create snapshot and pod if they are missing; delete a pod that has ended for good.

        Args:
            current: The pass.
            inputs: What they are made of; None if both are known to be there.
            digest: Names them.

        Returns:
            The pod as it is then.

        Raises:
            InvalidInput: As for `ensure`.
            ClientError: As for `ensure`.
        """
        server = current.server
        name = children.versioned_name(server, digest)
        observed = self._caches.pods.get(server.namespace, name)
        if observed is not None:
            self._refuse_foreign(current, resources.PODS, observed)
            if observed["metadata"].get("deletionTimestamp"):
                return observed
            if observed.get("status", {}).get("phase") in status.ENDED_PHASES:
                self.delete(current, resources.PODS, observed, "it has ended for good")
                return observed
        if inputs is None:
            return observed
        self.ensure(current, resources.SECRETS, children.snapshot_secret(server, inputs, digest))
        pod = self.ensure(current, resources.PODS, children.pod(server, inputs, digest))
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

    def prune(self, current: Pass, keep: Collection[str], *, settled: bool) -> None:
        """Delete the children that newer ones have made superfluous.

        Args:
            current: The pass.
            keep: Names of the children that stay.
            settled: Whether the newest pod serves. The removed controller's children, which have
                the same owner, go only then.

        Raises:
            ClientError: As for `delete`.
        """
        for resource in OWNED:
            for obj in self._cache(resource).by_index(INDEX_OWNER, current.server.uid):
                metadata = obj["metadata"]
                if metadata["name"] in keep or metadata.get("deletionTimestamp"):
                    continue
                versioned = children.LABEL_DIGEST in metadata.get("labels", {})
                if versioned or (settled and _is_of_removed_controller(resource, metadata["name"])):
                    self.delete(current, resource, obj, "a newer one has taken its place")

    def _refuse_foreign(
        self, current: Pass, resource: Resource, observed: Mapping[str, Any]
    ) -> None:
        if current.server.uid in owner_uids(observed):
            return
        metadata = observed["metadata"]
        raise InvalidInput(
            REASON_FOREIGN_CHILD,
            FOREIGN_CHILD.format(
                kind=resource.kind, namespace=metadata["namespace"], name=metadata["name"]
            ),
        )

    def _cache(self, resource: Resource) -> MutationCache:
        return self._by_resource[resource]


def _is_of_removed_controller(resource: Resource, name: str) -> bool:
    # By name: others may make the resource the owner of what is theirs, a Secret of the user's say.
    prefix = REMOVED_CONTROLLER_PREFIXES.get(resource)
    return prefix is not None and name.startswith(prefix)


def owner_uids(obj: Mapping[str, Any]) -> list[str]:
    """Return the uids of the RepositoryServers that own an object, for `INDEX_OWNER`."""
    return [
        reference["uid"]
        for reference in obj["metadata"].get("ownerReferences") or []
        if reference["kind"] == api.KIND and reference["apiVersion"].partition("/")[0] == api.GROUP
    ]


def _comparable(resource: Resource, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a desired object that can differ from the observed one."""
    if resource == resources.SECRETS:
        # Data are never in the cache, and an immutable Secret's cannot change.
        return {"metadata": wanted["metadata"]}
    if resource == resources.PODS:
        # All else in a pod's specification is immutable.
        images = [
            {"name": container["name"], "image": container["image"]}
            for container in wanted["spec"]["containers"]
        ]
        return {"metadata": wanted["metadata"], "spec": {"containers": images}}
    return {"metadata": wanted["metadata"], "spec": wanted["spec"]}
