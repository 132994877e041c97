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
    "ScaleWorkload before this one does{instead}"
)
#: For a function that only reads.
BACK_UP_BESIDE: Final = ", or use BackupData, which backs up beside a pod that runs"

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


@frozen
class Holder:
    """A pod that uses a claim.

    Args:
        claim: Name of the claim.
        pod: Name of the pod.
        ending: Whether it is being deleted, so that the claim becomes free by itself.
    """

    claim: str
    pod: str
    ending: bool


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
        Holder(claim, pod["metadata"]["name"], "deletionTimestamp" in pod["metadata"])
        for pod in pods
        if (pod.get("status") or {}).get("phase") not in _ENDED
        and (pod["metadata"].get("labels") or {}).get(LABEL_UID) != own
        for claim in podrecord.claims_of(pod).values()
        if claim in claims
    ]


def check_free(namespace: str, found: Iterable[Holder], *, writes: bool) -> tuple[str, ...]:
    """Return the names of pods that are being deleted and hold a claim: they are waited for.

    Args:
        namespace: Of the claims.
        found: Who holds them.
        writes: Whether the claims' files are restored.

    Raises:
        InvalidInput: A pod that goes on holds one.
    """
    waits = []
    for holder in found:
        if not holder.ending:
            message = IN_USE.format(
                namespace=namespace,
                claim=holder.claim,
                pod=holder.pod,
                instead="" if writes else BACK_UP_BESIDE,
            )
            raise InvalidInput(REASON_IN_USE, message)
        waits.append(holder.pod)
    return tuple(sorted(set(waits)))
