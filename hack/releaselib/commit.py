"""The commit that a release is made of."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from attrs import frozen

from clusterlib import processes
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

NO_COMMIT: Final = "{folder} is no checkout with a commit: a release is made of one"


@frozen
class Commit:
    """What is checked out.

    Attributes:
        id: The commit.
        epoch: When it was made, in seconds since 1970: the time of everything in the release.
        changes: What differs from it in the checkout, as `git status --short` shows it.
        tags: The tags that point to it.
        tagged: The commit that the release's own tag points to; empty if there is no such tag.
    """

    id: str
    epoch: int
    changes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    tagged: str = ""


def read(folder: Path, tag: str) -> Commit:
    """Return what is checked out in a folder.

    Args:
        folder: The checkout.
        tag: The tag of the release.

    Raises:
        ClusterError: There is no commit.
    """
    shown = _git(folder, "show", "--no-patch", "--format=%H %ct", "HEAD")
    if shown is None:
        raise ClusterError(NO_COMMIT.format(folder=folder))
    commit, epoch = shown.split()
    return Commit(
        id=commit,
        epoch=int(epoch),
        changes=_lines(folder, "status", "--short"),
        tags=_lines(folder, "tag", "--points-at", "HEAD"),
        tagged=(
            _git(folder, "rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}") or ""
        ).strip(),
    )


def _lines(folder: Path, *arguments: str) -> tuple[str, ...]:
    command = ["git", "-C", str(folder), *arguments]
    return tuple(processes.run(command, what="asking git").splitlines())


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, None if it finds nothing."""
    command = ["git", "-C", str(folder), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else None
