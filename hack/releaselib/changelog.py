"""Sections of CHANGELOG.md."""

from __future__ import annotations

import re
from typing import Final

_HEADING: Final = re.compile(r"^## +(\S+).*$", re.MULTILINE)


def section(text: str, version: str) -> str | None:
    """Return what the changelog says of a version, without its heading; None if it does not.

    Args:
        text: The whole changelog. The first word of a heading of the second level is the version;
            a date may follow.
        version: Which.
    """
    headings = list(_HEADING.finditer(text))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading[1] == version:
            end = following.start() if following else len(text)
            return text[heading.end() : end].strip()
    return None
