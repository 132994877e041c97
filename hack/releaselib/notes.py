"""The notes of a release."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE: Final = "NOTES.md"

TEXT: Final = """\
# Version {version}

{changes}

## What is here

| file | what it is |
|---|---|
| `install.yaml` | namespace, CRD, RBAC and the controller, with the image by its digest |
| `policies.yaml` | refusals of the API server itself, from Kubernetes 1.30 on |
| `repository-server-controller-{version}.tgz` | the Helm chart, with the image by its digest |
| `repository-server-controller-{version}.oci.tar` | the image, for {platforms} |
| `{wheel}` | the Python programs; see below |
| `*.cdx.json` | what is in the image, as CycloneDX |
| `SHA256SUMS` | `sha256sum --check SHA256SUMS` |

The wheel is without two programs that the image has: Kopia, which backs up and restores, and
`template-renderer`, without which `actionset-controller` does not start.

The image is `{image}@{digest}`, made of commit {commit}.
"""
#: A link to a page of the checkout, which leads nowhere from the page of a release.
_LINK: Final = re.compile(r"\[([^]]+)\]\((?!https?:)([^)]+)\)")
LEFT_OUT: Final = "\nNot built for {reason}\n"


def render(
    *,
    version: str,
    wheel: str,
    changes: str,
    image: str,
    digest: str,
    commit: str,
    platforms: Sequence[str],
    left_out: Sequence[str],
) -> str:
    """Return the notes.

    Args:
        version: The version.
        wheel: The name of the wheel.
        changes: What the changelog says of it.
        image: The image's name, without a tag.
        digest: Its digest.
        commit: What it is made of.
        platforms: What the image is built for.
        left_out: Why it is not built for others.
    """
    text = TEXT.format(
        version=version,
        wheel=wheel,
        changes=_LINK.sub(r"\1: `\2`", changes),
        image=image,
        digest=digest,
        commit=commit,
        platforms=" and ".join(platforms),
    )
    return text + "".join(LEFT_OUT.format(reason=reason) for reason in left_out)
