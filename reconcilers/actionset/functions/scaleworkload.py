"""ScaleWorkload: sets the replicas of a workload, and waits until its pods are so.

The original count is stored before it is changed: a process that goes on after another one would
read the changed one (Kanister pkg/function/scale_workload.go keeps it, and its arguments, in one
object for all ActionSets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.actionset import places
from reconcilers.actionset.api import ANNOTATION_TIMEOUT
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions import patience, workloads
from reconcilers.datafunctions.arguments import Need, flag, number, text
from reconcilers.datafunctions.versions import DEFAULT_VERSION
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.clock import Clock
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Step

OUTPUT_ORIGINAL: Final = "originalReplicaCount"

REASON_WORKLOAD: Final = "WorkloadNotScalable"
NO_WORKLOAD: Final = (
    "the action's object is none of {kinds}: set the arguments {missing} to name the workload to"
    " scale"
)
NOT_SCALABLE: Final = "the kind of the workload is none that can be scaled; there are: {kinds}"
NEGATIVE: Final = "argument replicas is below 0; set it to 0 or more"
ABSENT: Final = "{what} does not exist; check the arguments namespace and name"
REPLACED: Final = "{what} was deleted meanwhile, and its scale is not known any more"
OVERRULED: Final = (
    "its scale to be 0: something else, an operator for example, has set it to {count}"
)
TIMED_OUT: Final = (
    "{what} was scaled to {wanted}, and after {seconds:.0f} s it still waits for {missing};"
    " see the events of its pods, or set the annotation {annotation} for a longer time"
)
CANCELLED: Final = "cancelled; {what} stays scaled to {wanted}"
CANCELLED_MEANWHILE: Final = "cancelled; see whether {what} was scaled to {wanted}"
CANCELLED_BEFORE: Final = "cancelled; nothing was scaled"

_KINDS: Final = f"{workloads.STATEFUL_SET}, {workloads.DEPLOYMENT}"


@frozen
class Arguments:
    """Arguments of ScaleWorkload."""

    replicas: int = number("replicas", "how many pods the workload is to have", need=Need.ALWAYS)
    namespace: str = text("namespace", "the namespace of the workload, if not the action's object")
    name: str = text("name", "the name of the workload, if not the action's object")
    kind: str = text("kind", "statefulset or deployment, if not the action's object")
    wait_for_ready: bool = flag("waitForReady", "whether to wait for the pods", default=True)


@frozen
class _Target:
    """What is scaled, as the memo has it.

    Args:
        namespace: Of the workload.
        name: Of the workload.
        kind: `STATEFUL_SET` or `DEPLOYMENT`.
        replicas: How many it is to have.
        waits: Whether to wait for its pods.
    """

    namespace: str
    name: str
    kind: str
    replicas: int
    waits: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class ScaleWorkload:
    """The function.

    Args:
        client: Reads and changes scales, lists pods and ReplicaSets.
        clock: The time.
    """

    name: Final = "ScaleWorkload"
    version: Final = DEFAULT_VERSION
    arguments: Final = Arguments
    unrendered: Final[frozenset[str]] = frozenset()

    def __init__(self, client: Client, *, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def advance(self, run: PhaseRun, arguments: Callable[[], Arguments]) -> Step:
        """Scale the workload, or look whether its pods are so. See `Function.advance`."""
        if not run.memo:
            return self._begin(run, _target(run, arguments()))
        target = _remembered(run)
        if not run.memo.get("scaled"):
            self._scale(run, target)
            return Running(memo={**run.memo, "scaled": True})
        if not target.waits:
            return _complete(run)
        return self._wait(run, target)

    def cancel(self, run: PhaseRun) -> Step:
        """End the wait. See `Function.cancel`."""
        if not run.memo:
            return Failed(CANCELLED_BEFORE)
        target = _remembered(run)
        template = CANCELLED if run.memo.get("scaled") else CANCELLED_MEANWHILE
        return Failed(template.format(what=target, wanted=target.replicas), _outputs(run))

    def so_far(self, run: PhaseRun) -> Mapping[str, Any] | None:
        """Return the number of replicas from before, once it is known."""
        return _outputs(run) if "original" in run.memo else None

    def _begin(self, run: PhaseRun, target: _Target) -> Running:
        scale = self._read(run, target)
        if scale is None:
            raise InvalidInput(REASON_WORKLOAD, ABSENT.format(what=target))
        owners = self._owners(run, target, scale)
        return Running(
            memo={
                "target": {
                    "namespace": target.namespace,
                    "name": target.name,
                    "kind": target.kind,
                    "replicas": target.replicas,
                    "waits": target.waits,
                },
                "uid": scale["metadata"]["uid"],
                "original": workloads.replicas_of(scale),
                # A ReplicaSet that is deleted before its pods would hide them.
                "owners": owners,
            }
        )

    def _scale(self, run: PhaseRun, target: _Target) -> None:
        try:
            self._client.merge_patch(
                workloads.SCALES[target.kind.lower()],
                target.namespace,
                target.name,
                {"spec": {"replicas": target.replicas}},
                subresource=workloads.SCALE,
                deadline=run.deadline,
            )
        except NotFound as error:
            raise InvalidInput(REASON_WORKLOAD, REPLACED.format(what=target)) from error

    def _wait(self, run: PhaseRun, target: _Target) -> Step:
        scale = self._read(run, target)
        if scale is None or scale["metadata"]["uid"] != run.memo["uid"]:
            return Failed(REPLACED.format(what=target), _outputs(run))
        missing = self._missing(run, target, scale)
        if not missing:
            return _complete(run)
        now = self._clock.now()
        if patience.is_over(run, now):
            message = TIMED_OUT.format(
                what=target,
                wanted=target.replicas,
                seconds=patience.DEFAULT_SECONDS,
                missing=missing,
                annotation=ANNOTATION_TIMEOUT,
            )
            return Failed(message, _outputs(run))
        return Running(waits_for=missing, again_after=patience.pause(run, now))

    def _missing(self, run: PhaseRun, target: _Target, scale: Object) -> str:
        """Return what the workload waits for; empty if for nothing."""
        # An autoscaler leaves 0 alone, and may settle on another number above it.
        wanted = workloads.replicas_of(scale)
        if not target.replicas and wanted:
            return OVERRULED.format(count=wanted)
        listed = self._client.list(
            resources.PODS,
            target.namespace,
            label_selector=workloads.selector_of(scale),
            deadline=run.deadline,
        )
        owners = {*run.memo["owners"], *self._owners(run, target, scale)}
        pods = workloads.owned_by(listed["items"], owners)
        return workloads.missing(pods, wanted, target.kind)

    def _owners(self, run: PhaseRun, target: _Target, scale: Object) -> list[str]:
        """Return the uids of what owns the workload's pods: itself, or its ReplicaSets."""
        uid = scale["metadata"]["uid"]
        if target.kind == workloads.STATEFUL_SET:
            return [uid]
        listed = self._client.list(
            resources.REPLICA_SETS,
            target.namespace,
            label_selector=workloads.selector_of(scale),
            deadline=run.deadline,
        )
        return sorted(workloads.uids(workloads.owned_by(listed["items"], {uid})))

    def _read(self, run: PhaseRun, target: _Target) -> Object | None:
        """Return the workload's Scale, which has its uid; None if there is no workload."""
        try:
            return self._client.get(
                workloads.SCALES[target.kind.lower()],
                target.namespace,
                target.name,
                subresource=workloads.SCALE,
                deadline=run.deadline,
            )
        except NotFound:
            return None


def _target(run: PhaseRun, arguments: Arguments) -> _Target:
    """Return what is to be scaled.

    Raises:
        InvalidInput: Nothing that can be.
    """
    default = _workload_of_action(run.parameters)
    given = {"namespace": arguments.namespace, "name": arguments.name, "kind": arguments.kind}
    absent = [argument for argument, value in given.items() if not (value or default.get(argument))]
    if absent:
        message = NO_WORKLOAD.format(kinds=_KINDS, missing=", ".join(absent))
        raise InvalidInput(REASON_WORKLOAD, message)
    named = {argument: value or str(default[argument]) for argument, value in given.items()}
    kind = workloads.kind_of(named["kind"])
    if not kind:
        raise InvalidInput(REASON_WORKLOAD, NOT_SCALABLE.format(kinds=_KINDS))
    if arguments.replicas < 0:
        raise InvalidInput(REASON_WORKLOAD, NEGATIVE)
    target = _Target(
        namespace=named["namespace"],
        name=named["name"],
        kind=kind,
        replicas=arguments.replicas,
        waits=arguments.wait_for_ready,
    )
    _check(run, target)
    return target


def _remembered(run: PhaseRun) -> _Target:
    """Return what is being scaled. An annotation can be changed by hand, so it is checked anew."""
    target = _Target(**run.memo["target"])
    _check(run, target)
    return target


def _check(run: PhaseRun, target: _Target) -> None:
    places.check_namespace(run, target.namespace, argument="argument namespace")
    places.check_name(target.name, argument="argument name")


def _workload_of_action(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the arguments for an action's object, as Kanister's setArgs fills them in."""
    for kind in (workloads.STATEFUL_SET, workloads.DEPLOYMENT, "DeploymentConfig"):
        found = parameters.get(kind)
        if found:
            return {"namespace": found["Namespace"], "name": found["Name"], "kind": kind}
    return {}


def _outputs(run: PhaseRun) -> dict[str, int]:
    """Return the outputs. The count is a number, as Kanister's is."""
    return {OUTPUT_ORIGINAL: run.memo["original"]}


def _complete(run: PhaseRun) -> Complete:
    return Complete(_outputs(run))
