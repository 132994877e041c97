"""Whether a cluster can be made on this machine, and what to do where it cannot."""

from __future__ import annotations

import os
import platform
import shutil

IMAGE = "repository-server-controller"

NEEDS = "a cluster of its own needs Debian 12 and root; {way}"
NO_ROOT = "run it with sudo, or, with a cluster that you have: {other}"
ELSEWHERE = "with a cluster that you have: {other}"
OTHER = "--context CONTEXT --image IMAGE, an image that the cluster can pull"
WITH_KIND = (
    f"docker build -t {IMAGE} . && kind load docker-image {IMAGE}, "
    f"then --context kind-kind --image {IMAGE}"
)


def unfit() -> str:
    """Return why no cluster can be made on this machine, and what to do; empty if one can."""
    return judge(
        debian=platform.system() == "Linux" and shutil.which("apt-get") is not None,
        root=os.geteuid() == 0,
        kind=shutil.which("kind") is not None,
    )


def judge(*, debian: bool, root: bool, kind: bool) -> str:
    """Return why no cluster can be made on a machine, and what to do; empty if one can.

    Args:
        debian: whether it takes Debian's packages.
        root: whether this is root.
        kind: whether the program kind is at hand.
    """
    if debian and root:
        return ""
    other = WITH_KIND if kind else OTHER
    way = NO_ROOT if debian else ELSEWHERE
    return NEEDS.format(way=way.format(other=other))
