"""Where the pod of a data function goes, by what there is in the cluster now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from attrs import evolve, field, frozen

from reconcilers import resources
from reconcilers.actionset.parameters import podrecord
from reconcilers.actionset.parameters.lookup import Lookup, Reference
from reconcilers.actionset.placement import (
    claims,
    command,
    covering,
    override,
    restoring,
    seen,
    workload,
)
from reconcilers.actionset.placement.podspec import ROOT_USER, Placed, Volume
from reconcilers.actionset.placement.workload import Mount, User
from reconcilers.datafunctions import backupinfo, places
from reconcilers.datafunctions.functions.copy_volume_data import DEFAULT_MOUNT_PATH
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from controller.resource import Object
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.placement.claims import Claim, Holder
    from reconcilers.actionset.placement.workload import WorkloadPod
    from reconcilers.datafunctions.function import AnyFunction

REASON_NOT_RUNNING: Final = "PodNotRunning"
NOT_RUNNING: Final = (
    "argument pod: pod {namespace}/{pod} does not run ({phase}); a backup is made beside a pod "
    "that does"
)
REASON_ONE_OF: Final = "ArgumentsInvalid"
ONE_OF: Final = "give exactly one of the arguments pod and volumes"
NO_BACKUP: Final = (
    "argument pods: backupInfo has no backup of {pod}; it has those of {known}. A Deployment's "
    "pods have other names each time: name the pods that were backed up"
)
WAITS_FOR_HOLDERS: Final = "claims are still in use by pods that are being deleted: {pods}"
WAITS_FOR_NODE: Final = "pod {pod}, which uses claim {claim}, to be on a node"
COPIED_IN_USE: Final = (
    "claim {namespace}/{claim} is in use by pod {pod} while it is copied: see to it that its files "
    "can be copied meanwhile"
)
AS_ROOT: Final = (
    "nothing says as whom container {container} of pod {pod} runs, so its backup runs as root; set "
    "runAsUser in the container's securityContext"
)
ALL_READ_ONLY: Final = (
    "argument pod: all claims of pod {pod} can be mounted for reading only; name others by the "
    "argument volumes"
)


@frozen
class Beside:
    """A pod for the function.

    Args:
        namespace: The pod's.
        placed: What is decided of it.
        warnings: What the user should know, in a sentence each.
    """

    namespace: str
    placed: Placed
    warnings: tuple[str, ...] = ()


@frozen
class Inside:
    """No other pod can see the data: the function must run in the workload's own container.

    Args:
        namespace: The pod's.
        pod: Its name.
        container: The container of it.
        arguments: Of the program.
        why: Why, in a clause.
    """

    namespace: str
    pod: str
    container: str
    arguments: tuple[str, ...]
    why: str


@frozen
class Blocked:
    """Something is in the way that passes by itself.

    Args:
        by: What.
    """

    by: str


#: Where a function goes.
Plan: TypeAlias = Beside | Inside | Blocked


class Place(Protocol):
    """Decides where a function goes."""

    def __call__(self, asked: Asked) -> Plan:
        """Return where.

        Raises:
            InvalidInput: It cannot run as it is asked for.
            Refused: An argument cannot be as it was given.
            ClientError: The API server does not answer.
        """


@frozen
class Asked:
    """What a phase asks for.

    Args:
        run: The phase.
        look: Reads objects.
        function: The function.
        arguments: Its arguments.
        values: The same as texts, without those that the program does not take.
        pod: Of a function for several pods, the one that it is about.
    """

    run: PhaseRun
    look: Lookup
    function: AnyFunction
    arguments: Any = field(repr=False)
    values: Mapping[str, str] = field(repr=False)
    pod: str = ""

    @property
    def root(self) -> str:
        """Below which the pod has the workload's volumes."""
        return f"{command.ROOT}/{self.pod}" if self.pod else command.ROOT

    @property
    def override_user(self) -> User | None:
        """As whom the overrides say that the pod runs; None if they do not."""
        own = getattr(self.arguments, "pod_override", {})
        return override.user_of(own, self.run.action.pod_override)


def nowhere(asked: Asked) -> Plan:
    """Return a pod that sees no data: for what is only asked of the server."""
    return Beside(asked.arguments.namespace, Placed(command.line(asked.function, asked.values)))


def beside_pod(asked: Asked) -> Plan:
    """Return a pod beside that of the workload whose folder is backed up.

    It is on the same node, which a ReadWriteOnce claim allows, and sees the folder as the container
    does, for reading, as the user that the container runs as.
    """
    arguments = asked.arguments
    path = places.absolute("includePath", arguments.include_path)
    pod = _running_pod(asked, asked.pod or arguments.pod)
    container = pod.container(arguments.container)
    known = _claims(asked, covering.claims_of(container, path), f"a volume of pod {pod.name}")
    decided = covering.decide(container, path, known)
    if isinstance(decided, covering.OnlyInside):
        own = tuple(command.line(asked.function, asked.values, root="/"))
        return Inside(pod.namespace, pod.name, container.name, own, decided.why)
    warnings = list(decided.left_out)
    user = container.user
    if asked.override_user is not None:
        user = evolve(asked.override_user, se_linux=user.se_linux)
    elif user.uid is None:
        warnings.append(AS_ROOT.format(container=container.name, pod=pod.name))
        user = evolve(user, uid=0, gid=0)
    placed = Placed(
        command.line(asked.function, asked.values, root=command.ROOT),
        volumes=tuple(Volume(mount, asked.root) for mount in decided.mounts),
        user=user,
        node=pod.node,
        tolerations=pod.tolerations,
    )
    return Beside(pod.namespace, placed, tuple(warnings))


def of_claim(asked: Asked) -> Plan:
    """Return a pod with a claim, for reading: beside the pod that uses it, if one does."""
    arguments = asked.arguments
    default = DEFAULT_MOUNT_PATH.format(volume=arguments.volume)
    path = places.absolute("mountPath", arguments.mount_path or default)
    mount = Mount(path, arguments.volume, claim=arguments.volume)
    known = _claims(asked, {mount.claim}, "argument volume")[mount.claim]
    claims.check([known], writes=False)
    pods = _pods(asked)
    found = claims.holders(pods, {mount.claim}, own=asked.run.uid)
    waits = _waits(found)
    holder = claims.beside(known, found)
    if waits:
        return Blocked(waits)
    if holder is not None and known.one_node and not holder.node:
        return Blocked(WAITS_FOR_NODE.format(pod=holder.pod, claim=mount.claim))
    user, used_by = asked.override_user or ROOT_USER, _seen(pods, holder)
    placed = Placed(
        command.line(asked.function, asked.values, root=command.ROOT),
        volumes=(Volume(mount),),
        user=user if used_by is None else evolve(user, se_linux=_label_of(used_by)),
        node=used_by.node if used_by is not None and known.one_node else "",
        tolerations=() if used_by is None else used_by.tolerations,
    )
    if used_by is None:
        return Beside(arguments.namespace, placed)
    words = {"namespace": arguments.namespace, "claim": mount.claim, "pod": used_by.name}
    return Beside(arguments.namespace, placed, (COPIED_IN_USE.format(**words),))


def _seen(pods: Iterable[Object], holder: Holder | None) -> WorkloadPod | None:
    """Return what a pod that holds a claim says of itself; None without one."""
    found = (pod for pod in pods if holder is not None and pod["metadata"]["name"] == holder.pod)
    pod = next(found, None)
    return None if pod is None else workload.read(podrecord.record(pod))


def restored(asked: Asked) -> Plan:
    """Return a pod with the claims that are restored to: those of a pod, or those named."""
    arguments = asked.arguments
    if bool(arguments.pod) == bool(arguments.volumes):
        raise InvalidInput(REASON_ONE_OF, ONE_OF)
    if arguments.pod:
        return _restored_pod(asked, arguments.pod, "pod")
    mounts = restoring.of_volumes(arguments.volumes)
    found = _claims(asked, {mount.claim for mount in mounts}, "argument volumes")
    claims.check(found.values(), writes=True)
    return _restoring(asked, mounts)


def restored_one(asked: Asked) -> Plan:
    """Return a pod with the claims of one pod of several that are restored."""
    backups = backupinfo.parse(asked.arguments.backup_info)
    if asked.pod not in backups:
        known = ", ".join(backups)
        raise InvalidInput(REASON_ONE_OF, NO_BACKUP.format(pod=asked.pod, known=known))
    # Of many pods it would be too long for a command line.
    own = {"backupInfo": backupinfo.render([backups[asked.pod]]), "pods": asked.pod}
    return _restored_pod(evolve(asked, values={**asked.values, **own}), asked.pod, "pods")


def beside_one(asked: Asked) -> Plan:
    """Return a pod beside one pod of several that are backed up."""
    return beside_pod(evolve(asked, values={**asked.values, "pods": asked.pod}))


def _restored_pod(asked: Asked, name: str, argument: str) -> Plan:
    pod = seen.pod(asked.run.parameters, name, argument=argument)
    mounts = restoring.of_pod(pod)
    found = _claims(asked, {mount.claim for mount in mounts}, f"a volume of pod {name}")
    # One that is shared for reading is not restored to, and no reason to restore nothing.
    writable = tuple(mount for mount in mounts if not found[mount.claim].read_only)
    if not writable:
        raise InvalidInput(claims.REASON_READ_ONLY, ALL_READ_ONLY.format(pod=name))
    return _restoring(asked, writable, pod)


def _restoring(asked: Asked, mounts: tuple[Mount, ...], pod: WorkloadPod | None = None) -> Plan:
    names = {mount.claim for mount in mounts}
    found = claims.holders(_pods(asked), names, own=asked.run.uid)
    claims.check_free(asked.arguments.namespace, found)
    waits = _waits(found)
    if waits:
        return Blocked(waits)
    mounted = tuple(mount.path for mount in mounts)
    user = asked.override_user or ROOT_USER
    if pod is not None:
        user = evolve(user, se_linux=_label_of(pod))
    placed = Placed(
        command.line(asked.function, asked.values, root=command.ROOT, mounted=mounted),
        volumes=tuple(Volume(mount, asked.root) for mount in mounts),
        writes=True,
        user=user,
        tolerations=() if pod is None else pod.tolerations,
    )
    return Beside(asked.arguments.namespace, placed)


def _label_of(pod: WorkloadPod) -> Mapping[str, str]:
    """Return the SELinux options of a workload's pod: its volumes keep the label by them."""
    labels = (container.user.se_linux for container in pod.containers.values())
    return next(filter(None, labels), {})


def _running_pod(asked: Asked, name: str) -> WorkloadPod:
    namespace = asked.arguments.namespace
    argument = "argument pods" if asked.pod else "argument pod"
    found = asked.look.get(Reference(resources.PODS, namespace, name, argument))
    phase = (found.get("status") or {}).get("phase", "")
    if phase != "Running":
        message = NOT_RUNNING.format(namespace=namespace, pod=name, phase=phase)
        raise InvalidInput(REASON_NOT_RUNNING, message)
    return workload.read(podrecord.record(found))


def _claims(asked: Asked, names: Collection[str], field_: str) -> dict[str, Claim]:
    namespace = asked.arguments.namespace
    return {
        name: claims.read(
            asked.look.get(Reference(resources.PERSISTENT_VOLUME_CLAIMS, namespace, name, field_))
        )
        for name in sorted(names)
    }


def _pods(asked: Asked) -> list[Object]:
    """Return all pods of the namespace."""
    field_ = f"function {asked.function.name}"
    namespace = asked.arguments.namespace
    return list(asked.look.select(Reference(resources.PODS, namespace, "", field_)))


def _waits(found: Sequence[Holder]) -> str:
    """Return what is waited for until those who hold claims are gone; empty for nothing."""
    ending = claims.ending(found)
    return WAITS_FOR_HOLDERS.format(pods=", ".join(ending)) if ending else ""
