"""docs/failures.md: what `kubectl describe` printed while the tests ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

INTRODUCTION = """\
# What a RepositoryServer tells

This is how `kubectl describe repositoryserver` shows a healthy server, and one with each fault that
the controller tells of, as it was printed by the end-to-end tests. The message of the condition
`Ready`, which is that of the event as well, names the object, the field or key, and the fix. Once a
fault is mended the server becomes Ready by itself, within seconds.

`hack/describe-failures` writes this file anew.
"""


def document(descriptions: Iterable[tuple[str, str]]) -> str:
    """Return the file.

    Args:
        descriptions: What each server is an example of, and what kubectl printed of it.
    """
    sections = [
        f"## {heading[0].upper()}{heading[1:]}\n\n```\n{text.rstrip()}\n```\n"
        for heading, text in descriptions
    ]
    return "\n".join([INTRODUCTION, *sections])
