"""Builds Go programs, and unpacks those of Debian, once into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import debian, locks, paths
from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from clusterlib.components import Components, GoGroup, UnpackedPackage
    from clusterlib.progress import Progress

# Go asks for a module once, and a new machine fetches a thousand; what has come is kept.
TRIES = 3

NOT_BUILT = "{name} did not build; run the command again to go on"
GO_MISSING = "`go` is not on PATH; install Go 1.26 or later and put its bin directory on PATH"


def missing(components: Components, programs: Iterable[str]) -> list[str]:
    """Return those of the programs that the cache does not hold, in the given order."""
    return [name for name in programs if not components.program(name).exists()]


def steps(components: Components, programs: Iterable[str]) -> int:
    """Return how many steps `build_missing` takes for these programs."""
    packages, groups = _by_source(components, programs)
    return len(packages) + len(groups)


def _by_source(
    components: Components, programs: Iterable[str]
) -> tuple[dict[str, UnpackedPackage], dict[str, list[str]]]:
    """Return what the missing programs come from.

    Returns:
        Debian packages by name; programs by the group of Go that they are built with.
    """
    packages: dict[str, UnpackedPackage] = {}
    groups: dict[str, list[str]] = {}
    for name in missing(components, programs):
        package = components.package_of(name)
        if package is not None:
            packages[package.name] = package
        else:
            groups.setdefault(components.group_of(name).name, []).append(name)
    return packages, groups


def build_missing(components: Components, programs: Iterable[str], progress: Progress) -> None:
    """Build or unpack what the cache does not hold, one step for each group or package.

    One run of Go builds all of a group: while it links one of them, it compiles for the others.

    Safe to run concurrently: a group is locked while its programs are built, and a program
    appears in the cache whole or not at all.

    Raises:
        ClusterError: Go is missing, a build failed, or a package could not be fetched.
    """
    packages, groups = _by_source(components, programs)
    for package in packages.values():
        with progress.step(f"unpacking {package.name}"):
            debian.unpack_once(package.name, package.directory)
    for names in groups.values():
        group = components.group_of(names[0])
        log = paths.cache() / "logs" / f"build-{group.name}.log"
        with progress.step(
            f"building {', '.join(names)} {group.version}",
            lambda log=log: _compiled(log),  # type: ignore[misc]
        ):
            _build(group, names, log)


def _build(group: GoGroup, names: Sequence[str], log: Path) -> None:
    if shutil.which("go") is None:
        raise ClusterError(GO_MISSING)
    with locks.exclusive(paths.cache() / "locks" / f"build-{group.name}"):
        wanted = [name for name in names if not (group.directory / name).exists()]
        if not wanted:
            return
        group.directory.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=group.directory) as scratch:
            command = ["go", "build", "-v", "-trimpath", "-ldflags", group.ldflags]
            command += ["-o", f"{scratch}/", *(group.programs[name] for name in wanted)]
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
            for name in wanted:
                unfinished = Path(scratch) / group.built_as(name)
                if not unfinished.exists():
                    raise ClusterError(NOT_BUILT.format(name=name), log)
                unfinished.rename(group.directory / name)


def _compiled(log: Path) -> str:
    """Say how far a build is: `go build -v` writes a line for each package it compiles."""
    try:
        packages = len(log.read_text().splitlines())
    except FileNotFoundError:
        return ""
    return f"({packages} packages compiled)" if packages else ""
