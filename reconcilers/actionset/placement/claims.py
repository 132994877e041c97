"""Claims that a pod is to mount: what they allow, and which pods use them now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.actionset.api import LABEL_UID
from reconcilers.actionset.parameters import podrecord
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from controller.resource import Object

READ_ONLY_MANY: Final = "ReadOnlyMany"
READ_WRITE_MANY: Final = "ReadWriteMany"
READ_WRITE_ONCE_POD: Final = "ReadWriteOncePod"

REASON_RAW: Final = "RawBlockVolume"
REASON_READ_ONLY: Final = "ClaimReadOnly"
REASON_IN_USE: Final = "ClaimInUse"

RAW: Final = (
    "claim {namespace}/{claim} is a raw block device (volumeMode Block), which has no files; "
    "snapshot it by its storage's own means"
)
READ_ONLY: Final = (
    "claim {namespace}/{claim} can be mounted for reading only ({modes}), so nothing can be "
    "restored to it; restore to another claim by the argument volumes"
)
IN_USE: Final = (
    "claim {namespace}/{claim} is in use by pod {pod}; scale its workload to 0 first, as a phase "
    "ScaleWorkload before this one does"
)
IN_USE_BY_ONE: Final = (
    "claim {namespace}/{claim}, which is ReadWriteOncePod, is in use by pod {pod}; scale its "
    "workload to 0 first, as a phase ScaleWorkload before this one does, or use BackupData, which "
    "backs it up in the pod itself"
)

_ENDED: Final = frozenset({"Succeeded", "Failed"})


@frozen
class Claim:
    """A claim, as far as it matters to who mounts it.

    Args:
        namespace: Its namespace.
        name: Its name.
        modes: Its access modes.
        raw: Whether it is a raw block device.
    """

    namespace: str
    name: str
    modes: tuple[str, ...] = ()
    raw: bool = False

    @property
    def one_pod(self) -> bool:
        """Whether only one pod at a time can mount it."""
        return READ_WRITE_ONCE_POD in self.modes

    @property
    def read_only(self) -> bool:
        """Whether nobody can write to it."""
        return set(self.modes) == {READ_ONLY_MANY}

    @property
    def one_node(self) -> bool:
        """Whether only pods of one node can mount it at the same time."""
        return not {READ_ONLY_MANY, READ_WRITE_MANY} & set(self.modes)


@frozen
class Holder:
    """A pod that uses a claim.

    Args:
        claim: Name of the claim.
        pod: Name of the pod.
        ending: Whether it is being deleted, so that the claim becomes free by itself.
        node: The node that it is on; empty if it has none yet.
    """

    claim: str
    pod: str
    ending: bool
    node: str = ""


def read(claim: Mapping[str, Any]) -> Claim:
    """Return what a PersistentVolumeClaim says."""
    spec = claim["spec"]
    return Claim(
        namespace=claim["metadata"]["namespace"],
        name=claim["metadata"]["name"],
        modes=tuple(spec.get("accessModes") or ()),
        raw=spec.get("volumeMode") == "Block",
    )


def check(claims: Iterable[Claim], *, writes: bool) -> None:
    """Refuse claims whose files cannot be backed up or restored.

    Args:
        claims: The claims.
        writes: Whether their files are restored.

    Raises:
        InvalidInput: One is a raw block device, or cannot be written to.
    """
    for claim in claims:
        words = {"namespace": claim.namespace, "claim": claim.name}
        if claim.raw:
            raise InvalidInput(REASON_RAW, RAW.format(**words))
        if writes and claim.read_only:
            message = READ_ONLY.format(modes=", ".join(claim.modes), **words)
            raise InvalidInput(REASON_READ_ONLY, message)


def holders(pods: Iterable[Object], claims: Collection[str], *, own: str) -> list[Holder]:
    """Return which pods use claims.

    A pod counts from the moment it exists, since it may be started at any time, until its
    containers have ended.

    Args:
        pods: All pods of the claims' namespace.
        claims: Names of the claims.
        own: uid of the ActionSet, whose own pods do not count.
    """
    return [
        Holder(
            claim,
            pod["metadata"]["name"],
            "deletionTimestamp" in pod["metadata"],
            pod["spec"].get("nodeName") or "",
        )
        for pod in pods
        if (pod.get("status") or {}).get("phase") not in _ENDED
        and (pod["metadata"].get("labels") or {}).get(LABEL_UID) != own
        for claim in podrecord.claims_of(pod).values()
        if claim in claims
    ]


def check_free(namespace: str, found: Iterable[Holder]) -> None:
    """Refuse claims that are to be written to and that pods use.

    Args:
        namespace: Of the claims.
        found: Who holds them.

    Raises:
        InvalidInput: A pod that goes on holds one.
    """
    for holder in found:
        if not holder.ending:
            words = {"namespace": namespace, "claim": holder.claim, "pod": holder.pod}
            raise InvalidInput(REASON_IN_USE, IN_USE.format(**words))


def ending(found: Iterable[Holder]) -> tuple[str, ...]:
    """Return the names of pods that are being deleted: they are waited for."""
    return tuple(sorted({holder.pod for holder in found if holder.ending}))


def beside(claim: Claim, found: Iterable[Holder]) -> Holder | None:
    """Return the pod beside which a claim is read, None if no pod that goes on uses it.

    ReadWriteOnce is by node, so a pod on the same node can mount it too. Kanister does not look
    whether it is in use (pkg/function/copy_volume_data.go), and there are Blueprints that have a
    database keep its files fit for a copy meanwhile.

    Args:
        claim: The claim.
        found: Who holds it.

    Raises:
        InvalidInput: No other pod can mount it.
    """
    holding = [holder for holder in found if not holder.ending]
    # One that is on a node says where the volume is.
    first = min(holding, key=lambda holder: (not holder.node, holder.pod), default=None)
    if first is not None and claim.one_pod:
        words = {"namespace": claim.namespace, "claim": claim.name, "pod": first.pod}
        raise InvalidInput(REASON_IN_USE, IN_USE_BY_ONE.format(**words))
    return first
