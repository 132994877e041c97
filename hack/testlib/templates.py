"""What tests of templates need: the program that renders them, and public Blueprints as data."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from clusterlib import builds, components, paths
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROGRAM = "template-renderer"
#: Names the folder with public Blueprints to the tests.
BLUEPRINTS = "RSC_TEST_BLUEPRINTS"

WITHOUT_GO = "without the tests of templates: `go` is not on PATH; install Go 1.26 or later"


def program() -> Path:
    """Return where the program is, or will be once it is built."""
    return components.load().program(PROGRAM)


def build() -> None:
    """Build the program, unless the cache holds it; without Go, say what that leaves out.

    Raises:
        ClusterError: It did not build.
    """
    known = components.load()
    if builds.missing(known, [PROGRAM]) and shutil.which("go") is None:
        print(WITHOUT_GO, flush=True)
        return
    builds.build_missing(known, [PROGRAM], Progress(builds.steps(known, [PROGRAM])))


def blueprints() -> Mapping[str, str]:
    """Return the variable that names the folder with Blueprints, none if it is not there."""
    folder = paths.CHECKOUT.parent / "shared" / "blueprints"
    return {BLUEPRINTS: str(folder)} if folder.is_dir() else {}
