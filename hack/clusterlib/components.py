"""Reads hack/components.toml: which programs and packages, at which versions."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clusterlib import paths

if TYPE_CHECKING:
    from pathlib import Path


_MAJOR = re.compile(r"v\d+")


@dataclass(frozen=True)
class GoGroup:
    """Programs that are built from one Go module.

    Attributes:
        name: its own, and the folder of hack/tools if `source` is empty.
        version: the version of `module`, with its v.
        module: the Go module that gives the group its version.
        programs: the package to build for each program.
        ldflags: linker settings, filled in.
        source: the folder of the module in the checkout; empty for one of hack/tools.
    """

    name: str
    version: str
    module: str
    programs: dict[str, str]
    ldflags: str
    source: str = ""

    @property
    def folder(self) -> Path:
        """Where the group's go.mod is."""
        return paths.CHECKOUT / self.source if self.source else paths.TOOLS / self.name

    @property
    def directory(self) -> Path:
        """Where the built programs are; another version, or another build, is elsewhere."""
        digest = hashlib.sha256(self.ldflags.encode())
        for file in sorted(self.folder.glob("*")):
            digest.update(file.read_bytes())
        return paths.cache() / "bin" / f"{self.name}-{self.version}-{digest.hexdigest()[:8]}"

    def built_as(self, program: str) -> str:
        """Return the name that `go build` gives a program: the last of its package's, but no v3."""
        package = self.programs[program]
        path = self.module if package == "." else package
        return next(word for word in reversed(path.split("/")) if not _MAJOR.fullmatch(word))


@dataclass(frozen=True)
class UnpackedPackage:
    """Programs of a Debian package that is unpacked into the cache.

    Attributes:
        name: the package's.
        programs: the path in the package for each program.
    """

    name: str
    programs: dict[str, str]

    @property
    def directory(self) -> Path:
        """Where it is, or will be, unpacked."""
        return paths.cache() / "unpacked" / self.name


@dataclass(frozen=True)
class Components:
    """All of hack/components.toml.

    Attributes:
        groups: the Go groups by name.
        unpacked: the Debian packages that are unpacked, by name.
        debian: the Debian packages that are installed, by what needs them.
    """

    groups: dict[str, GoGroup]
    unpacked: dict[str, UnpackedPackage]
    debian: dict[str, list[str]]

    def group_of(self, program: str) -> GoGroup:
        """Return the group that a program belongs to.

        Raises:
            KeyError: no group has this program.
        """
        for group in self.groups.values():
            if program in group.programs:
                return group
        raise KeyError(program)

    def package_of(self, program: str) -> UnpackedPackage | None:
        """Return the package that a program is unpacked from, None for one of Go."""
        found = (one for one in self.unpacked.values() if program in one.programs)
        return next(found, None)

    def has(self, program: str) -> bool:
        """Return whether there is such a program."""
        built = any(program in group.programs for group in self.groups.values())
        return built or self.package_of(program) is not None

    def program(self, name: str) -> Path:
        """Return where a program is, or will be once it is built or unpacked."""
        package = self.package_of(name)
        if package is not None:
            return package.directory / package.programs[name]
        return self.group_of(name).directory / name


def load(path: Path = paths.COMPONENTS) -> Components:
    """Read the components file."""
    document = tomllib.loads(path.read_text())
    groups = {name: _group(name, entry) for name, entry in document["go"].items()}
    unpacked = {
        name: UnpackedPackage(name, entry["programs"])
        for name, entry in document["unpacked"].items()
    }
    return Components(groups=groups, unpacked=unpacked, debian=document["debian"])


def _group(name: str, entry: dict[str, Any]) -> GoGroup:
    version = entry["version"]
    number = version.removeprefix("v")
    major, minor, _ = number.split(".", maxsplit=2)
    flags = " ".join(["-s -w", *entry.get("ldflags", [])])
    return GoGroup(
        name=name,
        version=version,
        module=entry["module"],
        programs=entry["programs"],
        ldflags=flags.format(version=version, number=number, major=major, minor=minor),
        source=entry.get("source", ""),
    )
