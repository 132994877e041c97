"""The wheel of a release."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from clusterlib import images, paths, processes, wheels

if TYPE_CHECKING:
    from pathlib import Path

WHAT: Final = "building the wheel"


def build(scratch: Path, target: Path, *, epoch: int, log: Path) -> None:
    """Build the wheel into a folder, with the pinned tools, from the files that the image has.

    Args:
        scratch: A folder for what is made on the way.
        target: The folder.
        epoch: The time of its files, in seconds since 1970.
        log: Takes what the programs say.

    Raises:
        ClusterError: It did not build.
    """
    # What a build leaves in a checkout would be in the next wheel.
    source, environment = scratch / "source", scratch / "venv"
    images.copy_files(images.sources_of(images.CONTROLLER), source)
    told = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(epoch),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels.fetch(log)),
    }
    pip = str(environment / "bin" / "pip")
    listed = paths.CHECKOUT / "requirements" / "build.txt"
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [pip, "install", "--require-hashes", f"--requirement={listed}"],
        [pip, "wheel", "--no-build-isolation", "--no-deps", f"--wheel-dir={target}", str(source)],
    ):
        processes.logged(command, what=WHAT, log=log, environment=told)
