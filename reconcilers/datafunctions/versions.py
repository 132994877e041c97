"""Versions of functions, as an ActionSet's `preferredVersion` names them."""

from __future__ import annotations

import re
from typing import Final

#: What a function has that was never given a version, and what is meant where none is named.
DEFAULT_VERSION: Final = "v0.0.0"

# What Masterminds/semver v1 accepts (version.go, SemVerRegex): `v` and the last two numbers may be
# left out.
_VERSION: Final = re.compile(
    r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def normalized(text: str) -> str:
    """Return a version in the one form that versions are compared in, such as `v1.0.0-alpha`.

    Kanister compares the text as well, so that there `1.0.0-alpha` is not `v1.0.0-alpha` and
    silently means another function. Build metadata does not count, as in the specification.

    Args:
        text: As a user wrote it; empty for the default.

    Raises:
        ValueError: It is no version.
    """
    if not text:
        return DEFAULT_VERSION
    parts = _VERSION.fullmatch(text)
    if parts is None:
        raise ValueError(f"{text!r} is not a version, such as v1.0.0-alpha")
    major, minor, patch, prerelease = parts.groups()
    numbers = ".".join(str(int(number or "0")) for number in (major, minor, patch))
    return f"v{numbers}-{prerelease}" if prerelease else f"v{numbers}"
