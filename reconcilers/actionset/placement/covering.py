"""Which of a container's volumes a path is on, and whether another pod can see it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions import places
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.placement.claims import Claim
    from reconcilers.actionset.placement.workload import Container, Mount

REASON_RAW: Final = "RawBlockVolume"
RAW: Final = (
    "argument includePath: {path} of container {container} is claim {claim} as a raw block device, "
    "which has no files; snapshot it by its storage's own means"
)

ON_IMAGE: Final = "{path} is on the container's own file system"
ON_VOLUME: Final = "{path} is on volume {volume}, which is no claim but {kind}"
ON_ONE_POD: Final = "{path} is on claim {claim}, which is ReadWriteOncePod"
LEFT_OUT: Final = (
    "{path} is on volume {volume}, which is no claim but {kind}: what is in it is not in the backup"
)
ONE_POD_LEFT_OUT: Final = (
    "{path} is on claim {claim}, which is ReadWriteOncePod: what is in it is not in the backup"
)


@frozen
class Beside:
    """Another pod on the same node sees the path.

    Args:
        mounts: The mounts that it needs, those above first.
        left_out: Which folders below the path it does not see, in a sentence each.
    """

    mounts: tuple[Mount, ...]
    left_out: tuple[str, ...] = ()


@frozen
class OnlyInside:
    """Only the container itself sees the path.

    Args:
        why: In a clause.
    """

    why: str


def claims_of(container: Container, path: str) -> frozenset[str]:
    """Return the names of the claims that a path of a container is on, or has folders on.

    Args:
        container: The container.
        path: Absolute path in it.
    """
    above = _innermost(container, path)
    mounts = [*([above] if above else []), *_below(container, path)]
    return frozenset(mount.claim for mount in mounts if mount.claim)


def decide(container: Container, path: str, claims: Mapping[str, Claim]) -> Beside | OnlyInside:
    """Return how a path of a container can be backed up.

    Args:
        container: The container.
        path: Absolute path in it.
        claims: The claims that `claims_of` returns, by name.

    Raises:
        InvalidInput: It is a raw block device.
    """
    for device, claim in container.devices.items():
        if path == device:
            words = {"path": path, "container": container.name, "claim": claim}
            raise InvalidInput(REASON_RAW, RAW.format(**words))
    above = _innermost(container, path)
    if above is None:
        return OnlyInside(ON_IMAGE.format(path=path))
    if not above.claim:
        return OnlyInside(ON_VOLUME.format(path=path, volume=above.volume, kind=above.kind))
    if claims[above.claim].one_pod:
        return OnlyInside(ON_ONE_POD.format(path=path, claim=above.claim))
    mounts, left_out = [above], []
    for mount in _below(container, path):
        words = {"path": mount.path, "volume": mount.volume, "kind": mount.kind}
        if not mount.claim:
            left_out.append(LEFT_OUT.format(**words))
        elif claims[mount.claim].one_pod:
            left_out.append(ONE_POD_LEFT_OUT.format(path=mount.path, claim=mount.claim))
        else:
            mounts.append(mount)
    return Beside(tuple(mounts), tuple(left_out))


def _innermost(container: Container, path: str) -> Mount | None:
    """Return the mount that a path is on, None if it is on none."""
    above = [mount for mount in container.mounts if places.is_below(path, mount.path)]
    return max(above, key=lambda mount: len(mount.path), default=None)


def _below(container: Container, path: str) -> list[Mount]:
    below = [
        mount
        for mount in container.mounts
        if mount.path != path and places.is_below(mount.path, path)
    ]
    return sorted(below, key=lambda mount: mount.path)
