"""Where data is in this pod, and where it goes to at a restore."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

# Without the path: it is none, and may be something that was not meant to be one.
RELATIVE: Final = "argument {argument} is not an absolute path; write it from its root"
UPWARDS: Final = "argument {argument}: {path!r} leads upwards; write the path without `..`"
OUTSIDE: Final = (
    "argument backupPath: {path!r} is not in the snapshot, which is of {of!r}; give that path or "
    "one below it"
)


@frozen
class Target:
    """What is restored, and where to.

    Args:
        within: Path in the snapshot, relative to its root; empty for all of it.
        path: Absolute path, as a pod of the workload sees it.
    """

    within: str
    path: str


def absolute(argument: str, path: str) -> str:
    """Return an absolute path without doubled and trailing slashes.

    Args:
        argument: Name of the argument, for the message.
        path: As it was given.

    Raises:
        Refused: It is relative, or leads upwards.
    """
    pure = PurePosixPath(path)
    if not pure.is_absolute():
        raise Refused(RELATIVE.format(argument=argument))
    if ".." in pure.parts:
        raise Refused(UPWARDS.format(argument=argument, path=path))
    # POSIX leaves the meaning of two slashes at the beginning open; here they mean one.
    return "/" + "/".join(part for part in pure.parts if part.strip("/"))


def in_pod(root: Path, path: str) -> Path:
    """Return where this pod sees a path of the workload.

    Args:
        root: The folder below which the workload's volumes are mounted here, by the paths that they
            have there.
        path: Absolute path, as a pod of the workload sees it.
    """
    return root / path.lstrip("/")


def is_below(path: str, above: str) -> bool:
    """Return whether a path is another one, or below it.

    Args:
        path: Absolute path, as `absolute` returns it.
        above: The other one.
    """
    return PurePosixPath(path).is_relative_to(above)


def target(backed_up: str, *, restore_path: str, backup_path: str) -> Target:
    """Return where a restore puts what, as restic does.

    Without `backup_path` the data goes below `restore_path` by the absolute path that it was backed
    up from. With it the contents of that folder go into `restore_path` itself (Kanister
    pkg/restic/restic.go, RestoreCommandByID; restic's `restore ID:PATH --target`).

    Args:
        backed_up: Absolute path that the snapshot was made of.
        restore_path: The argument `restorePath`.
        backup_path: The argument `backupPath`; empty if it is not given.

    Raises:
        Refused: A path cannot be used, or the snapshot does not have it.
    """
    into = absolute("restorePath", restore_path)
    if not backup_path:
        return Target("", absolute("restorePath", f"{into}/{backed_up}"))
    wanted = PurePosixPath(absolute("backupPath", backup_path))
    of = PurePosixPath(backed_up)
    if wanted.is_relative_to(of):
        within = wanted.relative_to(of).as_posix()
        return Target("" if within == "." else within, into)
    if of.is_relative_to(wanted):
        # A folder above the one that was backed up: all goes, below the rest of the path.
        return Target("", absolute("restorePath", f"{into}/{of.relative_to(wanted)}"))
    raise Refused(OUTSIDE.format(path=backup_path, of=backed_up))
