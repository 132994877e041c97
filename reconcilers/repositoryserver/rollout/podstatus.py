"""What a pod's status says: whether its server answers, and what keeps it from that.

Pure functions. `status` reports what they find, in conditions of the resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.conditions import conditions_of, get_condition, is_true, parse_time
from reconcilers.kopia import failures
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.verdict import (
    REASON_IMAGE_PULLING,
    REASON_KOPIA_RESTARTING,
    REASON_OPENING_REPOSITORY,
    REASON_POD_PENDING,
    REASON_WAITING_FOR_ANSWER,
    REPOSITORY_CONNECTED,
    SERVER_INITIALIZED,
    SERVER_SETUP,
    STEPS,
    Problem,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from reconcilers.repositoryserver.verdict import PodContext

REASON_UNSCHEDULABLE: Final = "PodUnschedulable"
REASON_CLAIM_MISSING: Final = "ClaimMissing"
REASON_IMAGE: Final = "ImagePullFailed"
REASON_CONTAINER: Final = "ContainerNotCreated"
CLAIM_MISSING: Final = (
    "PersistentVolumeClaim {namespace}/{claim}, named by key claimName of Secret {location}, does "
    "not exist; create it or correct the key"
)
UNSCHEDULABLE: Final = (
    "no node can run pod {pod}: {cause}; fix the nodes or the volume, or change resources, "
    "nodeSelector or tolerations of spec.server or of the controller's settings"
)
IMAGE: Final = (
    "image {image} of pod {pod} cannot be pulled: {cause}; correct it in spec.server.image or "
    "spec.server.podOverride or, if neither names it, in --server-image or the settings of the "
    "controller, or name a Secret for its registry in spec.server.imagePullSecrets"
)
CONTAINER: Final = (
    "the container of pod {pod} cannot be created: {cause}; see the events of the pod"
)
REASON_NODE_LOST: Final = "NodeLost"
NODE_LOST: Final = (
    "node {node} does not answer, so the state of pod {pod} is unknown; bring the node back, or, "
    "if it is gone for good, delete the Node, and the pod is created on another one"
)
#: Seconds after its time to end from which a pod counts as one that does not end.
STUCK_SECONDS: Final = 60.0
REASON_STUCK: Final = "PodStuckTerminating"
STUCK: Final = (
    "pod {pod} on node {node} should have ended by {since} and may still hold "
    "PersistentVolumeClaim {claim}, so another pod waits; mend the node or its volume, or, if "
    "nothing of it runs any more, kubectl -n {namespace} delete pod {pod} --force --grace-period=0"
)
REASON_POD_ENDED: Final = "PodEnded"
POD_ENDED: Final = "pod {pod} has ended and is being replaced: {cause}"

WAITING_POD: Final = "a pod of ReplicaSet {name} is being created"
WAITING_DELETION: Final = "pod {pod} is being deleted, and another one takes its place"
WAITING_CONTAINER: Final = (
    "the container of pod {pod} is starting; if this lasts, see the events of the pod"
)
WAITING_IMAGE: Final = (
    "the node pulls image {image} and starts the container of pod {pod}; if this lasts, see the "
    "events of the pod"
)
WAITING_INIT_CONTAINER: Final = "pod {pod} waits for its init container {container}: {cause}"
WAITING_SERVER: Final = (
    "Kopia is opening the repository in pod {pod}; if this lasts, see the log of the pod"
)
WAITING_RESTART: Final = (
    "Kopia exited with code {code} in pod {pod}; the kubelet is starting it again"
)
WAITING_PROBE: Final = (
    "pod {pod} fails its readiness probe; if this lasts, {storage} may be away: check it"
)
WAITING_READY: Final = "the server answers in pod {pod}, but the pod is not Ready: {cause}"

#: A node's faults, which say nothing of the revision whose pod has them.
OF_THE_NODE: Final = frozenset({REASON_NODE_LOST, REASON_STUCK})

# What is said of a pod that has not mounted its claim yet: the kubelet pulls images after that.
_BEFORE_CLAIM: Final = frozenset({REASON_POD_PENDING, REASON_UNSCHEDULABLE, REASON_NODE_LOST})
# The scheduler tries again with the same pod: a fault that it no longer reports is over.
_OF_THE_SCHEDULER: Final = frozenset({REASON_UNSCHEDULABLE, REASON_CLAIM_MISSING})
_IMAGE_REASONS: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_CREATION_REASONS: Final = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
_CONTAINER_CREATING: Final = "ContainerCreating"
_BEING_CREATED: Final = frozenset({_CONTAINER_CREATING, "PodInitializing"})
_HAS_SANDBOX: Final = "PodReadyToStartContainers"
CRASH_LOOP: Final = "CrashLoopBackOff"
# Somebody has given the pod a readiness gate.
_GATES_NOT_READY: Final = "ReadinessGatesNotReady"
# Phases that a pod does not come back from.
ENDED_PHASES: Final = frozenset({"Failed", "Succeeded"})


def examine(
    pod: Mapping[str, Any] | None, name: str, context: PodContext
) -> Problem | Waiting | None:
    """Return what keeps a pod from serving clients.

    Args:
        pod: The newest pod; None while there is none.
        name: Of its ReplicaSet.
        context: What messages name.

    Returns:
        A problem, what is being waited for, or None when nothing is seen that does.
    """
    if pod is None:
        return Waiting(SERVER_SETUP, REASON_POD_PENDING, WAITING_POD.format(name=name))
    if pod["metadata"].get("deletionTimestamp"):
        # The end of a pod is confirmed by its node, and by nobody else.
        message = WAITING_DELETION.format(pod=pod["metadata"]["name"])
        return _node_lost(pod, context) or Waiting(SERVER_SETUP, REASON_POD_PENDING, message)
    for check in POD_CHECKS:
        verdict = check(pod, context)
        if verdict is not None:
            return verdict
    return None


def may_wait_for_claim(
    pod: Mapping[str, Any] | None, verdict: Problem | Waiting | None, now: datetime
) -> bool:
    """Return whether another pod may be what keeps a pod from the claim that it is to mount.

    One that has just been made, in place of one that crashed say, may have it in a moment.

    Args:
        pod: The pod; None while there is none.
        verdict: What `examine` returned of it.
        now: The time.
    """
    if verdict is None or verdict.reason not in _BEFORE_CLAIM:
        return False
    created = None if pod is None else parse_time(pod["metadata"]["creationTimestamp"])
    return created is None or (now - created).total_seconds() >= STUCK_SECONDS


def held_by_ending_pod(
    pods: Iterable[Mapping[str, Any]], context: PodContext, now: datetime
) -> Problem | None:
    """Return the fault that a pod does not end, and so keeps its claim from another one.

    Args:
        pods: The pods of a server, whose newest is not Ready.
        context: What messages name.
        now: The time.
    """
    for pod in pods:
        ending = pod["metadata"].get("deletionTimestamp")
        if ending and (now - parse_time(ending)).total_seconds() >= STUCK_SECONDS:
            message = STUCK.format(
                pod=pod["metadata"]["name"],
                node=pod["spec"].get("nodeName"),
                since=ending,
                claim=context.claim,
                namespace=pod["metadata"]["namespace"],
            )
            return Problem(SERVER_SETUP, REASON_STUCK, message)
    return None


def lasting_problem(
    failure: Problem | None, verdict: Problem | Waiting | None
) -> Problem | Waiting | None:
    """Return the fault of the try before while what failed is being tried again.

    Without this every try would look like a recovery, and end in an event of its own.

    Args:
        failure: The fault at the try before.
        verdict: What is known of the present one.
    """
    if failure is None or verdict is None or failure.reason in _OF_THE_SCHEDULER:
        return verdict
    if isinstance(verdict, Waiting):
        # A try that has got past the step that failed has mended it.
        order = list(STEPS)
        return failure if order.index(verdict.step) <= order.index(failure.step) else verdict
    # The kubelet reports the error of an image, and that it waits to try again, by turns.
    return failure if verdict.reason == failure.reason == REASON_IMAGE else verdict


def _over(pod: Mapping[str, Any], _context: PodContext) -> Problem | None:
    status = pod.get("status", {})
    if status.get("phase") not in ENDED_PHASES:
        return None
    words = ": ".join(filter(None, (status.get("reason"), status.get("message"))))
    message = POD_ENDED.format(pod=pod["metadata"]["name"], cause=words or status["phase"])
    return Problem(SERVER_SETUP, REASON_POD_ENDED, message)


def _unschedulable(pod: Mapping[str, Any], context: PodContext) -> Problem | Waiting | None:
    scheduled = get_condition(conditions_of(pod), "PodScheduled")
    if scheduled is None or scheduled["status"] != "False":
        return None
    cause = scheduled.get("message", "").rstrip(".")
    if f'persistentvolumeclaim "{context.claim}" not found' in cause:
        message = CLAIM_MISSING.format(
            namespace=pod["metadata"]["namespace"],
            claim=context.claim,
            location=context.setting.location,
        )
        return Problem(SERVER_SETUP, REASON_CLAIM_MISSING, message)
    message = UNSCHEDULABLE.format(pod=pod["metadata"]["name"], cause=cause)
    return Problem(SERVER_SETUP, REASON_UNSCHEDULABLE, message)


def _not_created(pod: Mapping[str, Any], _context: PodContext) -> Problem | Waiting | None:
    status = container_status(pod)
    if status is None:
        message = WAITING_CONTAINER.format(pod=pod["metadata"]["name"])
        return Waiting(SERVER_SETUP, REASON_POD_PENDING, message)
    waiting = status["state"].get("waiting")
    if waiting is None or waiting.get("reason") == CRASH_LOOP:
        return None
    words = {"pod": pod["metadata"]["name"], "cause": waiting.get("message", "")}
    if waiting.get("reason") in _IMAGE_REASONS:
        message = IMAGE.format(image=status["image"], **words)
        return Problem(SERVER_SETUP, REASON_IMAGE, message)
    if waiting.get("reason") in _CREATION_REASONS:
        return Problem(SERVER_SETUP, REASON_CONTAINER, CONTAINER.format(**words))
    if _image_is_being_pulled(pod, waiting):
        message = WAITING_IMAGE.format(image=status["image"], **words)
        return Waiting(SERVER_SETUP, REASON_IMAGE_PULLING, message)
    message = WAITING_CONTAINER.format(**words)
    return _init_container(pod) or Waiting(SERVER_SETUP, REASON_POD_PENDING, message)


def _image_is_being_pulled(pod: Mapping[str, Any], waiting: Mapping[str, Any]) -> bool:
    """Return whether all that the container waits for is its image.

    The kubelet mounts the volumes and makes the sandbox, and then sets the condition; after that it
    pulls the image (kubernetes pkg/kubelet/kuberuntime, SyncPod).
    """
    has_sandbox = is_true(conditions_of(pod), _HAS_SANDBOX)
    return has_sandbox and waiting.get("reason") == _CONTAINER_CREATING


def _init_container(pod: Mapping[str, Any]) -> Waiting | None:
    """Return which init container, of an override or of a webhook, the server's waits for."""
    for status in pod["status"].get("initContainerStatuses") or ():
        waiting = status["state"].get("waiting") or {}
        # The others wait as well: for this one.
        if waiting.get("reason") not in (None, *_BEING_CREATED):
            words = {"pod": pod["metadata"]["name"], "container": status["name"]}
            cause = ": ".join(filter(None, (waiting["reason"], waiting.get("message"))))
            message = WAITING_INIT_CONTAINER.format(cause=cause, **words)
            return Waiting(SERVER_SETUP, REASON_POD_PENDING, message)
    return None


def _ended(pod: Mapping[str, Any], context: PodContext) -> Problem | Waiting | None:
    status = container_status(pod)
    ended = last_end(pod)
    # Of a process that has got as far as listening, an end before says nothing any more.
    if status is None or ended is None or status.get("started"):
        return None
    looping = (status["state"].get("waiting") or {}).get("reason") == CRASH_LOOP
    explanation = failures.explain(
        ended.get("message", ""),
        ended["exitCode"],
        context.setting,
        out_of_memory=ended.get("reason") == "OOMKilled",
    )
    step = SERVER_INITIALIZED if explanation.opened else REPOSITORY_CONNECTED
    # A single end without a known cause is a kill; the kubelet mends it within a second.
    if explanation.reason == failures.REASON_EXITED and not looping:
        message = WAITING_RESTART.format(code=ended["exitCode"], pod=pod["metadata"]["name"])
        return Waiting(step, REASON_KOPIA_RESTARTING, message)
    return Problem(step, explanation.reason, explanation.message)


def _not_started(pod: Mapping[str, Any], _context: PodContext) -> Waiting | None:
    status = container_status(pod)
    if status is not None and not status.get("started"):
        message = WAITING_SERVER.format(pod=pod["metadata"]["name"])
        return Waiting(REPOSITORY_CONNECTED, REASON_OPENING_REPOSITORY, message)
    return None


def _not_answering(pod: Mapping[str, Any], context: PodContext) -> Waiting | None:
    status = container_status(pod)
    if status is not None and not status.get("ready"):
        words = {"pod": pod["metadata"]["name"], "storage": context.setting.storage}
        message = WAITING_PROBE.format(**words)
        return Waiting(SERVER_INITIALIZED, REASON_WAITING_FOR_ANSWER, message)
    return None


def _node_lost(pod: Mapping[str, Any], _context: PodContext) -> Problem | None:
    if not node_is_lost(pod):
        return None
    message = NODE_LOST.format(node=pod["spec"].get("nodeName"), pod=pod["metadata"]["name"])
    return Problem(SERVER_SETUP, REASON_NODE_LOST, message)


def _not_ready(pod: Mapping[str, Any], _context: PodContext) -> Waiting | None:
    """Return what keeps a pod whose server answers from being Ready: a sidecar, or a gate."""
    ready = get_condition(conditions_of(pod), "Ready")
    if ready is None or ready["status"] != "False":
        return None
    cause = ready.get("message") or ready.get("reason", "")
    message = WAITING_READY.format(pod=pod["metadata"]["name"], cause=cause)
    return Waiting(SERVER_INITIALIZED, REASON_WAITING_FOR_ANSWER, message)


# From the outside in: nothing more happens in a pod that is over, a pod without a node has no
# container, a container that was never created cannot have ended, and one that has ended is not
# about to answer. What the kubelet said last holds until its node is known to be lost.
POD_CHECKS: tuple[Callable[[Mapping[str, Any], PodContext], Problem | Waiting | None], ...] = (
    _over,
    _unschedulable,
    _not_created,
    _ended,
    _not_started,
    _not_answering,
    _node_lost,
    _not_ready,
)


def container_status(pod: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the status of the server's container; None before the kubelet has written it.

    By name: a service mesh may have put a container beside it.
    """
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == names.CONTAINER), None)


def last_end(pod: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how the container ended last: its state if it has ended, else its last state."""
    status = container_status(pod)
    if status is None:
        return None
    ended: dict[str, Any] | None = status["state"].get("terminated") or (
        status.get("lastState") or {}
    ).get("terminated")
    return ended


def failed_since(pod: Mapping[str, Any]) -> datetime | None:
    """Return when a pod last crashed whose next start the kubelet puts off; None if it does not.

    Another pod is started at once.
    """
    status = container_status(pod)
    ended = last_end(pod) or {}
    if status is None or not ended.get("finishedAt"):
        return None
    waiting = status["state"].get("waiting") or {}
    return parse_time(ended["finishedAt"]) if waiting.get("reason") == CRASH_LOOP else None


def container_is_being_created(pod: Mapping[str, Any]) -> bool:
    """Return whether the kubelet is still getting together what the container needs."""
    status = container_status(pod)
    waiting = {} if status is None else status["state"].get("waiting") or {}
    return status is None or waiting.get("reason") in _BEING_CREATED


def answers(pod: Mapping[str, Any]) -> bool:
    """Return whether Kopia answers in a pod, so that a command can be run there."""
    container = container_status(pod)
    gone = pod["metadata"].get("deletionTimestamp")
    ready = container is not None and bool(container.get("ready"))
    return ready and not gone and not node_is_lost(pod)


def node_is_lost(pod: Mapping[str, Any]) -> bool:
    """Return whether the cluster has given up on the node that a pod runs on.

    The node lifecycle controller takes the pod's readiness away then, and leaves what the kubelet
    has said of the containers (kubernetes pkg/controller/util/node, MarkPodsNotReady).
    """
    conditions = conditions_of(pod)
    ready = get_condition(conditions, "Ready")
    return (
        ready is not None
        and ready["status"] == "False"
        and ready.get("reason") != _GATES_NOT_READY
        and is_true(conditions, "ContainersReady")
    )


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod is Ready and stays."""
    return is_true(conditions_of(pod), "Ready") and not pod["metadata"].get("deletionTimestamp")
