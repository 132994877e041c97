"""From what was seen to the status: conditions, progress and server info, as pure functions.

A server comes up in `STEPS`, each with a condition of the last shipped contract. A step is True,
False, or Unknown while it waits for the one before it. `Ready` sums them up.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from attrs import frozen

from controller.conditions import conditions_of, get_condition, is_true, set_condition
from reconcilers.repositoryserver import children, kopia
from reconcilers.repositoryserver.errors import Problem
from reconcilers.repositoryserver.secrets import REASON_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.repositoryserver.api import RepositoryServer

SERVER_SETUP = "ServerSetup"
REPOSITORY_CONNECTED = "RepositoryConnected"
SERVER_INITIALIZED = "ServerInitialized"
CLIENT_USER_INITIALIZED = "ClientUserInitialized"
SERVER_REFRESHED = "ServerRefreshed"
READY = "Ready"
CERTIFICATE_EXPIRING = "CertificateExpiring"
REPOSITORY_SHARED = "RepositoryShared"

# What is told of a server besides: True is a warning, and changes nothing of Ready.
WARNINGS = (CERTIFICATE_EXPIRING, REPOSITORY_SHARED)

# In the order in which a server comes up; with the last shipped reasons for True and False.
STEPS = {
    SERVER_SETUP: (
        "KopiaRepositoryServerSetupSucceeded",
        "KopiaRepositoryServerSetupFailed",
    ),
    REPOSITORY_CONNECTED: (
        "KopiaRepositoryConnectionSucceeded",
        "KopiaRepositoryConnectionFailed",
    ),
    SERVER_INITIALIZED: (
        "KopiaRepositoryServerInitializationSucceeded",
        "KopiaRepositoryServerInitializationFailed",
    ),
    CLIENT_USER_INITIALIZED: (
        "ClientInitializationSucceeded",
        "ClientInitializationFailed",
    ),
    SERVER_REFRESHED: ("ServerRefreshed", "ServerRefreshFailed"),
}

# What these say is over with the process. The users, by contrast, stay in their Secret.
_OF_THE_PROCESS = frozenset({REPOSITORY_CONNECTED, SERVER_INITIALIZED})

PROGRESS_PENDING = "Pending"
PROGRESS_READY = "Ready"
PROGRESS_FAILED = "Failed"

REASON_READY = "ServerReady"
REASON_PENDING = "Pending"
REASON_EXPIRING = "CertificateExpiring"
REASON_RENEWED = "CertificateRenewed"
REASON_SHARED = "RepositoryShared"
REASON_NOT_SHARED = "RepositoryNotShared"

MESSAGES = {
    SERVER_SETUP: "Secrets are valid; pod, service and network policy are in place",
    REPOSITORY_CONNECTED: "Kopia has opened the repository",
    SERVER_INITIALIZED: "the Kopia server answers",
    CLIENT_USER_INITIALIZED: "the users of the access Secret are known",
    SERVER_REFRESHED: "the server has taken up the users",
}
READY_MESSAGE = "clients can connect to service {service}"
WAITS = "waits for {step}"
RENEWED = "another certificate has taken the place of the one that was about to expire"
NOT_SHARED = "no other RepositoryServer of the namespace writes to the repository any more"

REASON_UNSCHEDULABLE = "PodUnschedulable"
REASON_CLAIM_MISSING = "ClaimMissing"
REASON_IMAGE = "ImagePullFailed"
REASON_CONTAINER = "ContainerNotCreated"
CLAIM_MISSING = (
    "PersistentVolumeClaim {namespace}/{claim}, named by key claimName of Secret {location}, does "
    "not exist; create it or correct the key"
)
UNSCHEDULABLE = "no node takes pod {pod}: {cause}"
IMAGE = "image {image} of pod {pod} cannot be pulled: {cause}"
CONTAINER = "the container of pod {pod} cannot be created: {cause}"
REASON_NODE_LOST = "NodeLost"
NODE_LOST = (
    "node {node} does not answer, so nobody knows of pod {pod}; bring the node back, or delete the "
    "Node if it is gone for good, and the pod is made again elsewhere"
)
REASON_POD_ENDED = "PodEnded"
POD_ENDED = "pod {pod} has ended for good and is made again: {cause}"
# When a change has failed, for the one who asks whether backups go on.
FORMER_SERVES = "{message} (meanwhile pod {pod} serves as before)"

WAITING_POD = "pod {pod} is being created"
WAITING_DELETION = "pod {pod} is being deleted and will be made again"
WAITING_TURN = "waits until fewer servers are being replaced at the same time"
WAITING_OWNER = (
    "{kind} {name} still belongs to a deleted RepositoryServer of this name; it is being deleted"
)
WAITING_CONTAINER = "the container of pod {pod} is starting"
WAITING_SERVER = "Kopia is opening the repository in pod {pod}"
WAITING_RESTART = "Kopia ended with exit code {code} in pod {pod}; the kubelet starts it again"
WAITING_PROBE = "pod {pod} does not pass its readiness probe; if that lasts, {storage} may be away"
WAITING_ENDPOINT = "the Service is about to route to pod {pod}"

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
_CREATION_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
CRASH_LOOP = "CrashLoopBackOff"
# Somebody has given the pod a readiness gate.
_GATES_NOT_READY = "ReadinessGatesNotReady"
# Phases that a pod does not come back from.
ENDED_PHASES = frozenset({"Failed", "Succeeded"})


@frozen
class Waiting:
    """A step that is under way.

    Attributes:
        step: Type of its condition.
        message: What is being waited for.
    """

    step: str
    message: str


@frozen
class PodContext:
    """What messages about a pod name besides it.

    Attributes:
        claim: Name of the PersistentVolumeClaim.
        setting: What messages about Kopia name.
    """

    claim: str
    setting: kopia.Setting

    @classmethod
    def of(cls, server: RepositoryServer, *, storage: str, claim: str) -> PodContext:
        """Return what is to be named of a server.

        Args:
            server: The resource.
            storage: Where its repository is, in words.
            claim: Name of the PersistentVolumeClaim; empty if there is none.
        """
        setting = kopia.Setting(
            storage=storage,
            location=str(server.location),
            credential=str(server.credential or ""),
            password=str(server.password),
            user=children.run_as_user(server),
        )
        return cls(claim, setting)


def examine_pod(
    pod: Mapping[str, Any] | None, name: str, context: PodContext
) -> Problem | Waiting | None:
    """Say what keeps the server's process from answering.

    Args:
        pod: The newest pod; None while there is none.
        name: The name that it has or will have.
        context: What messages name.

    Returns:
        A problem, what is being waited for, or None when the container is ready.
    """
    if pod is None:
        return Waiting(SERVER_SETUP, WAITING_POD.format(pod=name))
    if pod["metadata"].get("deletionTimestamp"):
        # The end of a pod is confirmed by its node, and by nobody else.
        return _node_lost(pod, context) or Waiting(SERVER_SETUP, WAITING_DELETION.format(pod=name))
    for check in POD_CHECKS:
        verdict = check(pod, context)
        if verdict is not None:
            return verdict
    return None


def is_secret_missing(verdict: Problem | Waiting) -> bool:
    """Return whether what is wrong is that a Secret does not exist."""
    return isinstance(verdict, Problem) and verdict.reason == REASON_MISSING


def awaiting_secret(verdict: Problem | Waiting) -> Problem | Waiting:
    """Wait for a Secret that does not exist in place of calling it a fault."""
    return Waiting(verdict.step, verdict.message) if is_secret_missing(verdict) else verdict


def lasting_problem(
    failure: Problem | None, verdict: Problem | Waiting | None
) -> Problem | Waiting | None:
    """Go on telling a fault while what failed is being tried again.

    Without this every try would look like a recovery, and end in an event of its own.

    Args:
        failure: The fault at the try before.
        verdict: What is known of the present one.
    """
    if failure is None or verdict is None:
        return verdict
    if isinstance(verdict, Waiting):
        # A try that has got past the step that failed has mended it.
        order = list(STEPS)
        return failure if order.index(verdict.step) <= order.index(failure.step) else verdict
    # The kubelet tells an image's error and that it waits to try again by turns.
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
    cause = scheduled.get("message", "")
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
        return Waiting(SERVER_SETUP, WAITING_CONTAINER.format(pod=pod["metadata"]["name"]))
    waiting = status["state"].get("waiting")
    if waiting is None or waiting.get("reason") == CRASH_LOOP:
        return None
    words = {"pod": pod["metadata"]["name"], "cause": waiting.get("message", "")}
    if waiting.get("reason") in _IMAGE_REASONS:
        message = IMAGE.format(image=status["image"], **words)
        return Problem(SERVER_SETUP, REASON_IMAGE, message)
    if waiting.get("reason") in _CREATION_REASONS:
        return Problem(SERVER_SETUP, REASON_CONTAINER, CONTAINER.format(**words))
    return Waiting(SERVER_SETUP, WAITING_CONTAINER.format(pod=pod["metadata"]["name"]))


def _ended(pod: Mapping[str, Any], context: PodContext) -> Problem | Waiting | None:
    status = container_status(pod)
    ended = last_end(pod)
    # Of a process that has got as far as listening, an end before tells nothing any more.
    if status is None or ended is None or status.get("started"):
        return None
    looping = (status["state"].get("waiting") or {}).get("reason") == CRASH_LOOP
    explanation = kopia.explain(
        ended.get("message", ""),
        ended["exitCode"],
        context.setting,
        out_of_memory=ended.get("reason") == "OOMKilled",
    )
    # A single end without a known cause is a kill; the kubelet mends it within a second.
    if explanation.reason == kopia.REASON_EXITED and not looping:
        message = WAITING_RESTART.format(code=ended["exitCode"], pod=pod["metadata"]["name"])
        return Waiting(SERVER_INITIALIZED, message)
    step = SERVER_INITIALIZED if explanation.opened else REPOSITORY_CONNECTED
    return Problem(step, explanation.reason, explanation.message)


def _not_started(pod: Mapping[str, Any], _context: PodContext) -> Waiting | None:
    status = container_status(pod)
    if status is not None and not status.get("started"):
        return Waiting(REPOSITORY_CONNECTED, WAITING_SERVER.format(pod=pod["metadata"]["name"]))
    return None


def _not_answering(pod: Mapping[str, Any], context: PodContext) -> Waiting | None:
    status = container_status(pod)
    if status is not None and not status.get("ready"):
        words = {"pod": pod["metadata"]["name"], "storage": context.setting.storage}
        return Waiting(SERVER_INITIALIZED, WAITING_PROBE.format(**words))
    return None


def _node_lost(pod: Mapping[str, Any], _context: PodContext) -> Problem | None:
    if not node_is_lost(pod):
        return None
    message = NODE_LOST.format(node=pod["spec"].get("nodeName"), pod=pod["metadata"]["name"])
    return Problem(SERVER_SETUP, REASON_NODE_LOST, message)


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
)


def container_status(pod: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the status of the server's container; None before the kubelet has written it.

    By name: a service mesh may have put a container beside it.
    """
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == children.CONTAINER), None)


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
    """Return since when only another pod would help; None if this one may yet come up.

    One that has ended for good counts from its creation: a pod that had a life is replaced at once,
    one that a node refuses again and again is not made a hundred times a minute.
    """
    if pod.get("status", {}).get("phase") in ENDED_PHASES:
        return parse_time(pod["metadata"]["creationTimestamp"])
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
    return status is None or waiting.get("reason") in {"ContainerCreating", "PodInitializing"}


def parse_time(text: str) -> datetime:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def answers(pod: Mapping[str, Any]) -> bool:
    """Return whether Kopia answers in a pod, so that it can be told something."""
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


def pod_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether the pod is Ready and stays."""
    return is_true(conditions_of(pod), "Ready") and not pod["metadata"].get("deletionTimestamp")


@frozen
class Outcome:
    """What a reconcile has found and done.

    Attributes:
        verdicts: What keeps the newest server from being Ready, in the order of `STEPS`; empty if
            nothing does.
        serving: Whether a pod, be it the newest or the one before, serves clients.
        pod_name: Pod that the Service routes to.
        service_name: The Service; empty before there is one.
        network_policy_name: The NetworkPolicy; empty before there is one.
        fingerprint: Of the certificate that the Service's pod shows.
        not_after: When that certificate expires, as Kubernetes writes times.
        expiring: What to say of the certificate of the newest server if it is about to expire;
            empty if it is not, None if that is not known.
        shared: What to say of other servers that have the same repository; empty if there are none,
            None if that is not known.
        registered_users: Users of whom the repository has no entry of before; None leaves what is
            recorded.
    """

    verdicts: tuple[Problem | Waiting, ...]
    serving: bool
    pod_name: str = ""
    service_name: str = ""
    network_policy_name: str = ""
    fingerprint: str = ""
    not_after: str = ""
    expiring: str | None = None
    shared: str | None = None
    registered_users: tuple[str, ...] | None = None


def desired_status(
    current: Mapping[str, Any], outcome: Outcome, *, generation: int, now: datetime
) -> dict[str, Any]:
    """Return the status that tells the outcome.

    Args:
        current: The status as it is, from this controller or the removed one.
        outcome: What was found.
        generation: Generation of the resource that was looked at.
        now: The time for conditions that change.
    """
    conditions = list(current.get("conditions") or [])
    for type_, (value, reason, message) in _conditions(conditions, outcome).items():
        conditions = set_condition(
            conditions, type_, value, reason, message, generation=generation, now=now
        )
    info = {
        "podName": outcome.pod_name,
        "serviceName": outcome.service_name,
        "networkPolicyName": outcome.network_policy_name,
        "tlsFingerprint": outcome.fingerprint,
        "tlsNotAfter": outcome.not_after,
    }
    status: dict[str, Any] = {
        **current,
        "conditions": conditions,
        "progress": progress(outcome),
        "observedGeneration": generation,
    }
    if outcome.registered_users is not None:
        status["registeredUsers"] = sorted(outcome.registered_users)
    # What is not known at the moment is left as it was: clients hold on to the last known name.
    status["serverInfo"] = {
        **(current.get("serverInfo") or {}),
        **{key: value for key, value in info.items() if value},
    }
    return status


def progress(outcome: Outcome) -> str:
    """Return the word of `status.progress`."""
    if _first_problem(outcome) is not None:
        return PROGRESS_FAILED
    return PROGRESS_READY if outcome.serving else PROGRESS_PENDING


def is_stage(current: Mapping[str, Any], outcome: Outcome, generation: int) -> bool:
    """Return whether an outcome is no more than another stage of a server that comes up.

    Args:
        current: The status as it is.
        outcome: What was found.
        generation: Generation of the resource that was looked at.
    """
    return (
        progress(outcome) == PROGRESS_PENDING
        and current.get("progress") in (None, PROGRESS_PENDING)
        and current.get("observedGeneration") in (None, generation)
    )


def _first_problem(outcome: Outcome) -> Problem | None:
    return next((v for v in outcome.verdicts if isinstance(v, Problem)), None)


def _conditions(current: list[dict[str, Any]], outcome: Outcome) -> dict[str, tuple[str, str, str]]:
    by_step = {verdict.step: verdict for verdict in reversed(outcome.verdicts)}
    found: dict[str, tuple[str, str, str]] = {}
    blocker = ""
    for step, (succeeded, failed) in STEPS.items():
        verdict = by_step.get(step)
        if verdict is not None:
            blocker = blocker or step
            if isinstance(verdict, Problem):
                found[step] = ("False", failed, verdict.message)
            elif not (outcome.serving and is_true(current, step)):
                found[step] = ("Unknown", REASON_PENDING, verdict.message)
        elif not blocker:
            found[step] = ("True", succeeded, MESSAGES[step])
        # A failure that no verdict repeats is not known to last.
        elif not is_true(current, step) or (step in _OF_THE_PROCESS and not outcome.serving):
            found[step] = ("Unknown", REASON_PENDING, WAITS.format(step=blocker))
    found[READY] = _ready(outcome)
    warnings = (
        (CERTIFICATE_EXPIRING, outcome.expiring, REASON_EXPIRING, (REASON_RENEWED, RENEWED)),
        (REPOSITORY_SHARED, outcome.shared, REASON_SHARED, (REASON_NOT_SHARED, NOT_SHARED)),
    )
    for type_, warning, reason, over in warnings:
        if warning:
            found[type_] = ("True", reason, warning)
        # Where there never was anything to warn of there is nothing to say.
        elif warning is not None and get_condition(current, type_) is not None:
            found[type_] = ("False", *over)
    return found


def _ready(outcome: Outcome) -> tuple[str, str, str]:
    problem = _first_problem(outcome)
    if problem is not None:
        message = problem.message
        if outcome.serving:
            message = FORMER_SERVES.format(message=message, pod=outcome.pod_name)
        return ("False", problem.reason, message)
    if outcome.serving:
        return ("True", REASON_READY, READY_MESSAGE.format(service=outcome.service_name))
    if outcome.verdicts:
        return ("False", REASON_PENDING, outcome.verdicts[0].message)
    return ("False", REASON_PENDING, WAITING_ENDPOINT.format(pod=outcome.pod_name))
