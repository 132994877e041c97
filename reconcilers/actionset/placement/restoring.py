"""Which claims a restore mounts, and where: those of a pod as it was, or those that are named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.actionset.placement.workload import Mount
from reconcilers.datafunctions import places
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.placement.workload import WorkloadPod

REASON_AMBIGUOUS: Final = "PathAmbiguous"
REASON_NO_CLAIM: Final = "NoClaim"
REASON_TWICE: Final = "PathTwice"

AMBIGUOUS: Final = (
    "argument pod: containers {first} and {second} of pod {pod} have different volumes at {path}; "
    "say by the argument volumes which claim is restored to"
)
NO_CLAIM: Final = (
    "argument pod: pod {pod} has no claim that anything could be restored to; name claims and the "
    "paths that they are mounted at by the argument volumes"
)
TWICE: Final = "argument volumes has two claims at {path}; a path has one"


def of_pod(pod: WorkloadPod) -> tuple[Mount, ...]:
    """Return the claims of all containers of a pod, those above first.

    Args:
        pod: The pod, as it was.

    Raises:
        InvalidInput: It has none, or two containers have different ones at the same path.
    """
    found: dict[str, tuple[str, Mount]] = {}
    for container in pod.containers.values():
        for mount in container.mounts:
            first, other = found.setdefault(mount.path, (container.name, mount))
            if _place(other) != _place(mount) and (other.claim or mount.claim):
                words = {"pod": pod.name, "path": mount.path}
                message = AMBIGUOUS.format(first=first, second=container.name, **words)
                raise InvalidInput(REASON_AMBIGUOUS, message)
    mounts = [mount for _, mount in found.values() if mount.claim]
    if not mounts:
        raise InvalidInput(REASON_NO_CLAIM, NO_CLAIM.format(pod=pod.name))
    return tuple(sorted(mounts, key=lambda mount: mount.path))


def of_volumes(volumes: Mapping[str, str]) -> tuple[Mount, ...]:
    """Return the claims that are named, those above first.

    Args:
        volumes: Paths by the names of the claims.

    Raises:
        InvalidInput: Two are at one path.
        Refused: A path cannot be used.
    """
    found: dict[str, Mount] = {}
    for claim, given in volumes.items():
        path = places.absolute("volumes", given)
        if path in found:
            raise InvalidInput(REASON_TWICE, TWICE.format(path=path))
        found[path] = Mount(path, claim, claim=claim)
    return tuple(found[path] for path in sorted(found))


def _place(mount: Mount) -> tuple[str, str, str]:
    return (mount.claim, mount.sub_path, mount.volume if not mount.claim else "")
