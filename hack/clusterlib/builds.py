"""Builds Go programs once into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import locks, paths
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterlib.components import Components, GoGroup
    from clusterlib.progress import Progress

# Go asks for a module once, and a new machine fetches a thousand; what has come is kept.
TRIES = 3

GO_MISSING = "`go` is not on PATH; install Go 1.26 or later and put its bin directory on PATH"


def missing(components: Components, programs: Iterable[str]) -> list[str]:
    """Return those of the programs that the cache does not hold, in the given order."""
    return [name for name in programs if not components.program(name).exists()]


def build_missing(components: Components, programs: Iterable[str], progress: Progress) -> None:
    """Build what the cache does not hold, one step for each program.

    Safe to run concurrently: a group is locked while one of its programs is built, and a
    program appears in the cache whole or not at all.

    Raises:
        ClusterError: Go is missing or a build failed.
    """
    for name in missing(components, programs):
        group = components.group_of(name)
        log = paths.cache() / "logs" / f"build-{name}.log"
        with progress.step(
            f"building {name} {group.version}",
            lambda log=log: _compiled(log),  # type: ignore[misc]
        ):
            _build(group, name, log)


def _build(group: GoGroup, name: str, log: Path) -> None:
    if shutil.which("go") is None:
        raise ClusterError(GO_MISSING)
    target = group.directory / name
    with locks.exclusive(paths.cache() / "locks" / f"build-{group.name}"):
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            unfinished = Path(scratch) / name
            command = ["go", "build", "-v", "-trimpath", "-ldflags", group.ldflags]
            command += ["-o", str(unfinished), group.programs[name]]
            environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"}
            with log.open("w") as output:
                for _ in range(TRIES):
                    built = subprocess.run(
                        command,
                        cwd=group.folder,
                        env=environment,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        check=False,
                    )
                    if built.returncode == 0:
                        break
            if not unfinished.exists():
                raise ClusterError(f"{name} did not build; run the command again to go on", log)
            unfinished.rename(target)


def _compiled(log: Path) -> str:
    """Say how far a build is: `go build -v` writes a line for each package it compiles."""
    try:
        packages = len(log.read_text().splitlines())
    except FileNotFoundError:
        return ""
    return f"({packages} packages compiled)" if packages else ""
