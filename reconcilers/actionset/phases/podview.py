"""What the status of a pod says, field by field. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from attrs import frozen

from controller.conditions import conditions_of, get_condition, is_true, parse_time
from reconcilers.actionset.phases import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Seconds after the time at which a deleted pod should be gone, from which on nobody waits for it.
LOST_SECONDS: Final = 300.0

NO_REASON: Final = "its status says no more"

#: The name of a container, and its state.
ContainerState: TypeAlias = "tuple[str, Mapping[str, Any]]"

PENDING: Final = "Pending"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
_DISRUPTED: Final = "DisruptionTarget"
_OVER_TIME: Final = "DeadlineExceeded"
# Somebody has given the pod a readiness gate.
_GATES_NOT_READY: Final = "ReadinessGatesNotReady"


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """Return whether an init container runs for as long as its pod."""
    return container.get("restartPolicy") == "Always"


@frozen
class PodView:
    """A pod of a phase, as the API server has it.

    Args:
        pod: The pod.
        containers: Those whose end is the end of the phase, the main one first.
    """

    pod: Mapping[str, Any]
    containers: Sequence[str]

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> Self:
        """Return the view of a pod, which says itself which containers are the phase."""
        return cls(pod, names.containers_of(pod))

    @property
    def name(self) -> str:
        """The pod, as messages name it."""
        return f"{self.pod['metadata']['namespace']}/{self.pod['metadata']['name']}"

    @property
    def created(self) -> str:
        """When it was created."""
        return str(self.pod["metadata"]["creationTimestamp"])

    @property
    def deleted(self) -> str:
        """By when it should be gone; empty if nobody has deleted it."""
        return str(self.pod["metadata"].get("deletionTimestamp") or "")

    @property
    def lost_at(self) -> datetime | None:
        """From when on nobody waits for its end; None if nobody has deleted it."""
        if not self.deleted:
            return None
        return parse_time(self.deleted) + timedelta(seconds=LOST_SECONDS)

    def is_lost(self, now: datetime) -> bool:
        """Return whether it was deleted so long ago that nobody waits for its end any more."""
        return self.lost_at is not None and now >= self.lost_at

    @property
    def status(self) -> Mapping[str, Any]:
        """Its status."""
        return self.pod.get("status") or {}

    @property
    def phase(self) -> str:
        """Its phase."""
        return str(self.status.get("phase") or PENDING)

    @property
    def node(self) -> str:
        """The node that it runs on; empty before it has one."""
        return str((self.pod.get("spec") or {}).get("nodeName") or "")

    @property
    def is_disrupted(self) -> bool:
        """Whether it was ended from outside: evicted, preempted, shut down with its node."""
        named = self.status.get("reason")
        target = get_condition(conditions_of(self.pod), _DISRUPTED)
        return bool(named or target) and named != _OVER_TIME

    @property
    def is_over_time(self) -> bool:
        """Whether it has reached a limit of its own, `activeDeadlineSeconds`."""
        return self.status.get("reason") == _OVER_TIME

    @property
    def is_silent(self) -> bool:
        """Whether the cluster has given up on its node for now.

        The node lifecycle controller takes the pod's readiness away then, and leaves what the
        kubelet has said of its containers (kubernetes pkg/controller/util/node, MarkPodsNotReady).
        """
        conditions = conditions_of(self.pod)
        ready = get_condition(conditions, "Ready")
        return (
            ready is not None
            and ready["status"] == "False"
            and ready.get("reason") != _GATES_NOT_READY
            and is_true(conditions, "ContainersReady")
        )

    @property
    def runs(self) -> bool:
        """Whether a container of the phase may be running, or about to be started."""
        if self.phase in (SUCCEEDED, FAILED) or not self.node:
            return False
        return not all(state.get("terminated") for _, state in self.states())

    @property
    def words(self) -> str:
        """Why it is over as a whole, as the kubelet or a controller has it."""
        parts = [self.status.get("reason"), self.status.get("message")]
        target = get_condition(conditions_of(self.pod), _DISRUPTED)
        if target is not None and not any(parts):
            parts = [target.get("reason"), target.get("message")]
        return ": ".join(part.rstrip(".") for part in parts if part) or NO_REASON

    @property
    def unscheduled(self) -> str:
        """Why it has no node; empty if it has one, or nobody has looked yet."""
        scheduled = get_condition(conditions_of(self.pod), "PodScheduled")
        if scheduled is None or scheduled["status"] != "False":
            return ""
        return str(scheduled.get("message") or scheduled.get("reason") or NO_REASON).rstrip(".")

    def states(self) -> Iterator[ContainerState]:
        """Yield the states of the phase's own containers, the main one first."""
        statuses = self.status.get("containerStatuses") or ()
        found = {one["name"]: one.get("state") or {} for one in statuses}
        for container in self.containers:
            yield container, found.get(container) or {}

    def ended_at(self, container: str) -> datetime | None:
        """Return when a container of the phase ended; None if its node has not said."""
        for name, state in self.states():
            ended = (state.get("terminated") or {}).get("finishedAt")
            if name == container and ended:
                return parse_time(ended)
        return None

    def first_states(self) -> Iterator[ContainerState]:
        """Yield the states of the init containers, of those with a sidecar's life as well."""
        for one in self.status.get("initContainerStatuses") or ():
            yield one["name"], one.get("state") or {}

    def init_states(self) -> Iterator[ContainerState]:
        """Yield the states of the init containers that end before the others begin."""
        containers = (self.pod.get("spec") or {}).get("initContainers") or ()
        sidecars = {one["name"] for one in containers if is_sidecar(one)}
        return (one for one in self.first_states() if one[0] not in sidecars)

    def memory_limit(self, container: str) -> str:
        """Return the limit of a container's memory; empty if it has none."""
        containers = (self.pod.get("spec") or {}).get("containers") or ()
        resources = {one["name"]: one.get("resources") or {} for one in containers}
        limits = resources.get(container, {}).get("limits") or {}
        return str(limits.get("memory") or "")
