"""The revisions of a server as they are observed: ReplicaSets, each with its pods."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.conditions import conditions_of, get_condition, parse_time
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import plan, podstatus

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a time that nobody can read counts as.
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@frozen
class Revision:
    """A ReplicaSet with its pods.

    Args:
        replica_set: The ReplicaSet.
        owned: The pods that it owns, those among them that are ending or have ended.
        released: The pods that it has released, see `caches.INDEX_RELEASED`.
    """

    replica_set: Mapping[str, Any]
    owned: tuple[Mapping[str, Any], ...] = ()
    released: tuple[Mapping[str, Any], ...] = ()

    @property
    def pods(self) -> tuple[Mapping[str, Any], ...]:
        """Its pods: those that it owns but for such as have lost its label."""
        return tuple(pod for pod in self.owned if names.hash_of(pod))

    @property
    def hash(self) -> str:
        """Its hash. By its name: labels can be taken off."""
        return names.split_versioned(self.name)[1]

    @property
    def name(self) -> str:
        """Name of the ReplicaSet, and of the snapshot."""
        name: str = self.replica_set["metadata"]["name"]
        return name

    @property
    def is_kept(self) -> bool:
        """Whether the ReplicaSet controller keeps a pod of it."""
        wanted = self.replica_set["spec"].get("replicas") != 0
        return wanted and not self.is_deleted

    @property
    def is_deleted(self) -> bool:
        """Whether it is being deleted."""
        return "deletionTimestamp" in self.replica_set["metadata"]

    @property
    def pod(self) -> Mapping[str, Any] | None:
        """The pod that says most about it: one that is Ready, else the youngest that may be."""
        return max(self.pods, key=_promise, default=None)

    @property
    def created(self) -> datetime:
        """When it was made."""
        return parse_time(self.replica_set["metadata"]["creationTimestamp"])

    def time(self, annotation: str) -> datetime | None:
        """Return the time that an annotation holds; None if it has none.

        Args:
            annotation: Its name.
        """
        annotations = self.replica_set["metadata"].get("annotations") or {}
        text = annotations.get(annotation)
        if text is None:
            return None
        try:
            found = parse_time(text)
        except ValueError:
            return _LONG_AGO
        return found if found.tzinfo else _LONG_AGO

    def refusal(self) -> Mapping[str, Any] | None:
        """Return the condition by which the API server refuses its pod; None if it has one."""
        if any(not plan.is_over(pod) for pod in self.pods):
            # The condition is written a moment after the pod.
            return None
        found = get_condition(conditions_of(self.replica_set), "ReplicaFailure")
        refused = found is not None and found["status"] == "True"
        return found if refused and self.is_kept else None


def _promise(pod: Mapping[str, Any]) -> tuple[bool, bool, bool, str]:
    deleted = "deletionTimestamp" in pod["metadata"]
    created: str = pod["metadata"].get("creationTimestamp", "")
    return not plan.is_over(pod), not deleted, podstatus.is_ready(pod), created
