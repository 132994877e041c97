"""What the status of a phase's pod says: what it waits for, or how it has ended. Pure.

A phase is over when its own containers are: the program of a sidecar that somebody has injected
never ends. It is over as well once one of several has failed: the others may wait for it for ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import evolve, frozen

from controller.conditions import parse_time
from reconcilers.actionset.phases.podview import FAILED, NO_REASON, SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconcilers.actionset.phases.podview import PodView

#: Seconds that a pod may take until its container runs: Kanister's (pkg/kube/pod.go,
#: DefaultPodReadyWaitTimeout).
START_SECONDS: Final = 900.0

WAITS_FOR_NODE: Final = "pod {pod} waits for a node: {cause}"
WAITS_FOR_IMAGE: Final = "the image of container {container} of pod {pod} cannot be pulled: {cause}"
WAITS_FOR_CONTAINER: Final = "container {container} of pod {pod} cannot be created: {cause}"
WAITS_FOR_START: Final = "pod {pod} is starting"
WAITS_FOR_END: Final = "pod {pod} is being deleted; its container is ending"
NODE_SILENT: Final = "node {node} of pod {pod} does not answer"

NOT_STARTED: Final = "{cause}; it has not started within {minutes:.0f} min of {since}"
HOPELESS: Final = "{cause}; correct its name"
EXITED: Final = "container {container} of pod {pod} has ended with exit code {code}"
KILLED: Final = "container {container} of pod {pod} was ended by signal {signal}"
OUT_OF_MEMORY: Final = (
    "container {container} of pod {pod} was killed as it took more memory than its limit{limit}; "
    "set a higher one by podOverride"
)
OUT_OF_MEMORY_LIMIT: Final = " of {limit}"
NOT_RUN: Final = "container {container} of pod {pod} could not be run: {cause}"
POD_FAILED: Final = "pod {pod} has failed: {cause}"
WAS_DELETED: Final = "{cause}, after somebody has deleted the pod"
LOST: Final = (
    "outcome unknown: pod {pod} was deleted and should have ended by {since}, and its node {node} "
    "does not confirm it; it may still run there"
)
_IMAGE_REASONS: Final = frozenset({"ErrImagePull", "ImagePullBackOff"})
#: Those that no wait mends.
_HOPELESS_REASONS: Final = frozenset({"InvalidImageName", "ErrImageNeverPull"})
_CREATION_REASONS: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
# Of a container that the runtime could not start (pkg/kubelet/kuberuntime, containerd, CRI-O).
_NOT_RUN_REASONS: Final = frozenset({"ContainerCannotRun", "StartError"})
_OUT_OF_MEMORY: Final = "OOMKilled"
# What shells and runtimes add to the number of a signal.
_SIGNALS: Final = 128
_LAST_SIGNAL: Final = 64
_INITIALIZING: Final = "PodInitializing"


@frozen
class Waiting:
    """The pod is not over.

    Args:
        why: What it waits for; empty while its containers run.
        container: Whose log there may be: the main one, once it has been started; empty before.
        until: When its state becomes another one without an event; None if it does not.
    """

    why: str = ""
    container: str = ""
    until: datetime | None = None


@frozen
class Ended:
    """The pod is over.

    Args:
        cause: Why it has failed; empty if it has succeeded.
        container: Whose log has the outputs, or the reason for the failure; empty for nobody's.
        exit_code: That of this container; None if it is not known.
        disrupted: Whether it was ended from outside, so that it might succeed when run again.
    """

    cause: str = ""
    container: str = ""
    exit_code: int | None = None
    disrupted: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether it has done its work."""
        return not self.cause


def examine(
    view: PodView, now: datetime, *, start_seconds: float = START_SECONDS
) -> Waiting | Ended:
    """Return what a pod waits for, or how it has ended.

    From what is certain to what is not: the end of a container counts more than what the pod says,
    which comes later; what the kubelet said last holds until its node is given up.

    Args:
        view: The pod.
        now: The time.
        start_seconds: How long it may take until its containers run. Default: 15 min.
    """
    found = (
        _own_container_failed(view)
        or _own_containers_succeeded(view)
        or _pod_ended(view)
        or _silent(view)
        or _not_started(view, now, start_seconds)
        or Waiting(container=view.containers[0])
    )
    return _after_deletion(view, found, now) if view.deleted else found


def lost_cause(view: PodView) -> str:
    """Return the cause for a pod whose end nobody confirms any more."""
    return LOST.format(pod=view.name, since=view.deleted, node=view.node)


def _after_deletion(view: PodView, found: Waiting | Ended, now: datetime) -> Waiting | Ended:
    """Add to what was found that somebody has deleted the pod."""
    if isinstance(found, Ended):
        if found.succeeded:
            return found
        cause = WAS_DELETED.format(cause=found.cause)
        return Ended(cause, found.container, found.exit_code, disrupted=True)
    if not view.node:
        # Nothing of it ever runs.
        cause = WAS_DELETED.format(cause=found.why or WAITS_FOR_START.format(pod=view.name))
        return Ended(cause, disrupted=True)
    if view.is_lost(now):
        return Ended(lost_cause(view), disrupted=True)
    why = found.why if view.is_silent else WAITS_FOR_END.format(pod=view.name)
    return Waiting(why, found.container, view.lost_at)


def _own_container_failed(view: PodView) -> Ended | None:
    failed = [
        (terminated.get("finishedAt") or "", number, container, terminated)
        for number, (container, state) in enumerate(view.states())
        for terminated in (state.get("terminated"),)
        if terminated is not None and terminated["exitCode"] != 0
    ]
    if not failed:
        return None
    # What failed first is the reason why the others did.
    ends = [
        _failed(view, container, terminated)
        for _, _, container, terminated in sorted(failed, key=lambda one: one[:2])
    ]
    causes = dict.fromkeys(end.cause for end in ends)
    return evolve(ends[0], cause="; ".join(causes))


def _own_containers_succeeded(view: PodView) -> Ended | None:
    states = [state for _, state in view.states()]
    if all(state.get("terminated") for state in states):
        return Ended(container=view.containers[0], exit_code=0)
    return None


def _pod_ended(view: PodView) -> Ended | None:
    """Judge a pod that is over while the kubelet has not said so of its own containers."""
    if view.phase == SUCCEEDED:
        return Ended(container=view.containers[0])
    if view.phase != FAILED:
        return None
    for container, state in view.init_states():
        terminated = state.get("terminated")
        if terminated is not None and terminated["exitCode"] != 0:
            return _failed(view, container, terminated)
    cause = POD_FAILED.format(pod=view.name, cause=view.words)
    return Ended(cause, disrupted=not view.is_over_time)


def _failed(view: PodView, container: str, terminated: Mapping[str, Any]) -> Ended:
    """Return the end of a pod by the failure of a container."""
    code = terminated["exitCode"]
    words = {"pod": view.name, "container": container}
    reason = terminated.get("reason")
    # Evicted, shut down with its node, preempted: the pod says why, the container by which signal.
    if view.is_disrupted or view.is_over_time:
        cause = POD_FAILED.format(pod=view.name, cause=view.words)
        return Ended(cause, container, code, disrupted=view.is_disrupted)
    if reason == _OUT_OF_MEMORY:
        limit = view.memory_limit(container)
        shown = OUT_OF_MEMORY_LIMIT.format(limit=limit) if limit else ""
        return Ended(OUT_OF_MEMORY.format(limit=shown, **words), container, code)
    if reason in _NOT_RUN_REASONS:
        # The runtime's words name the program, which a template has made.
        cause = _without_command(terminated.get("message") or NO_REASON)
        return Ended(NOT_RUN.format(cause=cause, **words), container, code)
    if _SIGNALS < code <= _SIGNALS + _LAST_SIGNAL:
        return Ended(KILLED.format(signal=code - _SIGNALS, **words), container, code)
    return Ended(EXITED.format(code=code, **words), container, code)


def _without_command(message: str) -> str:
    """Return the end of a runtime's message, which says what is wrong, without the command.

    Of `... exec: "pg_dump": executable file not found in $PATH: unknown` the part after the last
    quotation mark.
    """
    return message.rpartition('"')[2].lstrip(": ").rstrip() or NO_REASON


def _not_started(view: PodView, now: datetime, start_seconds: float) -> Waiting | Ended | None:
    """Return what a pod waits for whose own containers have not all been started."""
    states = [state for _, state in view.states()]
    if all(_has_started(state) for state in states):
        return None
    fault, hopeless = _fault(view)
    if hopeless:
        return Ended(HOPELESS.format(cause=fault))
    if not fault and _initializes(view):
        # For as long as the phase may take.
        return Waiting()
    why = fault or WAITS_FOR_START.format(pod=view.name)
    container = view.containers[0] if _has_started(states[0]) else ""
    since = _waits_since(view)
    until = parse_time(since) + timedelta(seconds=start_seconds)
    if now < until:
        return Waiting(why, container, until)
    minutes = start_seconds / 60
    return Ended(NOT_STARTED.format(cause=why, minutes=minutes, since=since), disrupted=True)


def _has_started(state: Mapping[str, Any]) -> bool:
    return state.get("running") is not None or bool(state.get("terminated"))


def _initializes(view: PodView) -> bool:
    """Return whether an init container works, for which the main one waits."""
    _, state = next(view.states())
    waiting = state.get("waiting") or {}
    works = any(state.get("running") is not None for _, state in view.init_states())
    return works and waiting.get("reason") == _INITIALIZING


def _waits_since(view: PodView) -> str:
    """Return since when the main container could have been started."""
    ends = [(state.get("terminated") or {}).get("finishedAt") for _, state in view.init_states()]
    return max(view.created, *(str(end or "") for end in ends), "")


def _fault(view: PodView) -> tuple[str, bool]:
    """Return what keeps a pod from starting, empty if nothing is seen; whether it is hopeless."""
    if view.unscheduled:
        return WAITS_FOR_NODE.format(pod=view.name, cause=view.unscheduled), False
    for container, state in (*view.first_states(), *view.states()):
        waiting = state.get("waiting") or {}
        reason = waiting.get("reason")
        cause = waiting.get("message") or reason
        words = {"pod": view.name, "container": container, "cause": cause}
        if reason in _IMAGE_REASONS | _HOPELESS_REASONS:
            return WAITS_FOR_IMAGE.format(**words), reason in _HOPELESS_REASONS
        if reason in _CREATION_REASONS:
            return WAITS_FOR_CONTAINER.format(**words), False
    return "", False


def _silent(view: PodView) -> Waiting | None:
    if view.is_silent:
        why = NODE_SILENT.format(node=view.node, pod=view.name)
        return Waiting(why, view.containers[0])
    return None
