"""PrepareData: runs a command in a pod that mounts claims (Kanister pkg/function/prepare_data.go).

A command that fails does not fail the phase unless the argument failOnError says so: that is
Kanister's default, and Blueprints rely on it. It does not go unsaid, though: a Warning event of the
ActionSet names it. What kept the command from running at all fails the phase in either case, as it
does there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.actionset import places
from reconcilers.actionset.function import Complete
from reconcilers.actionset.functions.podfunction import CONTAINER, PodArguments, PodFunction
from reconcilers.actionset.phases import builder
from reconcilers.actionset.phases.model import PhasePod, outputs_of_log
from reconcilers.datafunctions.arguments import Need, flag, mapping, text, texts
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.rest.client import Client
    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.phases.model import PodResult
    from reconcilers.actionset.services import PhasePods

#: Where a claim is mounted that no argument names.
DEFAULT_PATH: Final = "/mnt/prepare_data/{claim}"

REASON_CLAIM: Final = "ClaimNotUsable"
REASON_NO_VOLUMES: Final = "NoVolumes"
NO_WORKLOAD: Final = (
    "argument volumes is missing, and the action's object is no Deployment or StatefulSet, whose "
    "claims are its default; name the claims and their paths"
)
NO_CLAIMS: Final = (
    "argument volumes is missing, and no pod of the action's object that runs has a claim; name "
    "the claims and their paths"
)
NO_CLAIM: Final = (
    "PersistentVolumeClaim {namespace}/{claim} does not exist; correct the argument volumes or "
    "namespace"
)
IGNORED: Final = (
    "phase {phase} counts as complete although its command has failed, since its argument "
    "failOnError is not true: {cause}"
)

_READ_ONLY: Final = ["ReadOnlyMany"]


@frozen(kw_only=True)
class Arguments(PodArguments):
    """Arguments of PrepareData."""

    namespace: str = text("namespace", "the namespace of the pod and the claims", need=Need.ALWAYS)
    image: str = text("image", "the image that has the command", need=Need.ALWAYS)
    command: tuple[str, ...] = texts(
        "command", "the program and its arguments, in place of the image's", need=Need.ALWAYS
    )
    volumes: Mapping[str, str] = mapping(
        "volumes", "claims and the paths at which they are mounted, if not all of the workload"
    )
    account: str = text("serviceaccount", "the ServiceAccount of the pod")
    fail_on_error: bool = flag("failOnError", "whether a command that fails fails the phase")


def prepare_data(
    pods: PhasePods, client: Client, warn: Callable[[PhaseRun, str], None]
) -> PodFunction[Arguments]:
    """Return the function.

    Args:
        pods: Runs the pods of phases.
        client: Reads claims.
        warn: Records a Warning event of a phase's ActionSet.
    """

    def make(run: PhaseRun, arguments: Arguments) -> PhasePod:
        return _make(run, arguments, client)

    def result(run: PhaseRun, arguments: Callable[[], Arguments], of_pod: PodResult) -> Step:
        return _result(run, arguments, of_pod, warn)

    return PodFunction(name="PrepareData", arguments=Arguments, pods=pods, make=make, result=result)


def _make(run: PhaseRun, arguments: Arguments, client: Client) -> PhasePod:
    # Before a claim is asked for in it.
    places.check_namespace(run, arguments.namespace, argument=builder.ARGUMENT_NAMESPACE)
    paths = arguments.volumes or _claims_of_workload(run.parameters)
    volumes, mounts = [], []
    for number, claim in enumerate(sorted(paths)):
        places.check_name(claim, argument="a claim of argument volumes")
        read_only = _is_read_only(client, run, arguments.namespace, claim)
        name = f"claim-{number}"
        source = {"claimName": claim, "readOnly": read_only}
        volumes.append({"name": name, "persistentVolumeClaim": source})
        mounts.append({"name": name, "mountPath": paths[claim], "readOnly": read_only})
    container = {
        "name": CONTAINER,
        "image": arguments.image,
        "command": list(arguments.command),
        "volumeMounts": mounts,
    }
    # As part of the override the account is judged as one that stands there.
    account = {"serviceAccountName": arguments.account} if arguments.account else {}
    return PhasePod(
        namespace=arguments.namespace,
        spec={"containers": [container], "volumes": volumes},
        main=CONTAINER,
        override={**account, **arguments.pod_override},
        labels=arguments.pod_labels,
        annotations=arguments.pod_annotations,
    )


def _claims_of_workload(parameters: Mapping[str, Any]) -> dict[str, str]:
    workload = parameters.get("Deployment") or parameters.get("StatefulSet")
    if workload is None:
        raise InvalidInput(REASON_NO_VOLUMES, NO_WORKLOAD)
    by_pod: Mapping[str, Mapping[str, str]] = workload.get("PersistentVolumeClaims") or {}
    claims = {claim for mounted in by_pod.values() for claim in mounted}
    if not claims:
        raise InvalidInput(REASON_NO_VOLUMES, NO_CLAIMS)
    return {claim: DEFAULT_PATH.format(claim=claim) for claim in claims}


def _is_read_only(client: Client, run: PhaseRun, namespace: str, claim: str) -> bool:
    """Return whether a claim can only be read.

    One that can be written as well is mounted so: Kanister mounts it read-only
    (pkg/kube/utils.go, PVCContainsReadOnlyAccessMode).

    Raises:
        InvalidInput: There is none.
    """
    try:
        found = client.get(
            resources.PERSISTENT_VOLUME_CLAIMS, namespace, claim, deadline=run.deadline
        )
    except NotFound as error:
        message = NO_CLAIM.format(namespace=namespace, claim=claim)
        raise InvalidInput(REASON_CLAIM, message) from error
    modes = (found.get("spec") or {}).get("accessModes")
    return bool(modes == _READ_ONLY)


def _result(
    run: PhaseRun,
    arguments: Callable[[], Arguments],
    of_pod: PodResult,
    warn: Callable[[PhaseRun, str], None],
) -> Step:
    has_run = of_pod.exit_code is not None
    if not of_pod.cause or of_pod.problem or not has_run or arguments().fail_on_error:
        return outputs_of_log(of_pod)
    # Without the last lines: what a program prints is not for events.
    warn(run, IGNORED.format(phase=run.phase, cause=of_pod.cause))
    return Complete(dict(of_pod.outputs))
