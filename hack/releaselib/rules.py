"""Whether a version may be released from what is checked out. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from releaselib.commit import Commit

NO_VERSION: Final = "{version} is no version: take three numbers, such as 1.2.3, or 1.2.3-rc.1"
OTHER_VERSION: Final = (
    "{file} says version {found}; set it to {version} in the commit that is released"
)
NO_NOTES: Final = "CHANGELOG.md has no section `## {version}`; write what users will notice"
EMPTY_NOTES: Final = "CHANGELOG.md says nothing in its section `## {version}`"
CHANGED: Final = (
    "the checkout differs from its commit ({files}); commit, or pass --allow-changes for a trial"
)
TAGGED_ELSEWHERE: Final = "tag {tag} is at commit {commit}; release that one, or another version"
OTHER_TAG: Final = "the commit has the tag {found} of another version, and not {tag}"

#: As Helm wants them, without what follows a plus sign, which no tag of an image may have.
_VERSION: Final = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?")
_TAG: Final = re.compile(r"v\d+\.\d+\.\d+.*")
_SHOWN: Final = 3


def tag_of(version: str) -> str:
    """Return the tag of a version's commit."""
    return f"v{version}"


def refusals(
    version: str,
    commit: Commit,
    *,
    notes: str | None,
    versions: dict[str, str],
    allow_changes: bool = False,
) -> list[str]:
    """Return why the version may not be released; nothing if it may.

    Args:
        version: The version.
        commit: What is checked out.
        notes: What the changelog says of the version; None if nothing.
        versions: The versions that files of the checkout have, by their names.
        allow_changes: Whether the checkout may differ from its commit.
    """
    if not _VERSION.fullmatch(version):
        return [NO_VERSION.format(version=version)]
    found = [
        OTHER_VERSION.format(file=file, found=its, version=version)
        for file, its in versions.items()
        if its != version
    ]
    if not notes:
        missing = NO_NOTES if notes is None else EMPTY_NOTES
        found.append(missing.format(version=version))
    if commit.changes and not allow_changes:
        files = ", ".join(line.split(maxsplit=1)[1] for line in commit.changes[:_SHOWN])
        more = ", ..." if len(commit.changes) > _SHOWN else ""
        found.append(CHANGED.format(files=files + more))
    return found + _tags(tag_of(version), commit)


def _tags(tag: str, commit: Commit) -> list[str]:
    """Return which tags do not fit. Without any, the release is a trial of what will be tagged."""
    if commit.tagged and commit.tagged != commit.id:
        return [TAGGED_ELSEWHERE.format(tag=tag, commit=commit.tagged)]
    others = [found for found in commit.tags if _TAG.fullmatch(found) and found != tag]
    if others and tag not in commit.tags:
        return [OTHER_TAG.format(found=", ".join(others), tag=tag)]
    return []
