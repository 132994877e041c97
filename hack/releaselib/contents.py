"""What is in an image's file system, from what installers and compilers have left there."""

from __future__ import annotations

import base64
import email.parser
import hashlib
import json
import posixpath
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from releaselib.layout import Image

#: Programs in Go, by their names in a folder `bin`.
PROGRAMS: Final = ("kopia", "template-renderer")

NO_BUILD_INFO: Final = "the image's {path} does not say what it is built from: {words}"
MISSING: Final = "the image has no {what}"

_RELEASE: Final = ("etc/os-release", "usr/lib/os-release")
_DPKG: Final = "var/lib/dpkg/status"
_METADATA: Final = re.compile(r".*\.dist-info/METADATA")
_PROGRAM: Final = re.compile(rf"(usr/)?bin/({'|'.join(PROGRAMS)})")
#: Of images that have Python from its source, which no packet manager knows of.
_PYTHON_VERSION: Final = "PYTHON_VERSION="
_INSTALLED: Final = "install ok installed"


@frozen
class DebianPackage:
    """A package of Debian.

    Attributes:
        name: Its name.
        version: Its version.
        architecture: For which machines it is.
    """

    name: str
    version: str
    architecture: str


@frozen
class PythonPackage:
    """A package of Python.

    Attributes:
        name: Its name.
        version: Its version.
        licence: The expression that it gives for its licences; empty if it gives none.
    """

    name: str
    version: str
    licence: str = ""


@frozen
class GoModule:
    """A module of Go.

    Attributes:
        path: Its name.
        version: Its version.
        sha256: The SHA-256 of go.sum, of the list of its files, as hexadecimal digits.
    """

    path: str
    version: str
    sha256: str


@frozen
class Program:
    """A program in Go.

    Attributes:
        name: Its name.
        module: The module that it is of, and whose version it has; `(devel)` where Go knows none.
        compiler: The version of Go.
        sha256: Of its file, as hexadecimal digits.
        modules: What it is built from besides.
    """

    name: str
    module: GoModule
    compiler: str
    sha256: str
    modules: tuple[GoModule, ...]


@frozen
class Contents:
    """All that is in an image.

    Attributes:
        system: The keys of `os-release`.
        debian: The packages of Debian.
        python: The packages of Python.
        interpreter: The version of a Python that is none of Debian's packages; empty if none is.
        programs: The programs in Go.
    """

    system: Mapping[str, str]
    debian: tuple[DebianPackage, ...]
    python: tuple[PythonPackage, ...]
    interpreter: str
    programs: tuple[Program, ...]


def of(image: Image, ask: Callable[[str, bytes], str] | None = None) -> Contents:
    """Return what is in an image.

    Args:
        image: The image.
        ask: Returns what `go version -m -json` says of a program, by its name and content; Go
            itself for None.

    Raises:
        ClusterError: Something is missing that each image of ours has.
    """
    files = image.files(_is_wanted)
    release = next((files[path] for path in _RELEASE if path in files), None)
    if release is None or _DPKG not in files:
        raise ClusterError(MISSING.format(what=f"/{_RELEASE[0]} or no /{_DPKG}"))
    programs = {posixpath.basename(path): path for path in files if _PROGRAM.fullmatch(path)}
    absent = [name for name in PROGRAMS if name not in programs]
    if absent:
        raise ClusterError(MISSING.format(what=f"/bin/{absent[0]}"))
    says = ask or _go_says
    environment = image.config.get("Env", ())
    versions = [entry for entry in environment if entry.startswith(_PYTHON_VERSION)]
    return Contents(
        system=os_release(release.decode()),
        debian=debian_packages(files[_DPKG].decode()),
        python=python_packages(
            content.decode() for path, content in files.items() if _METADATA.fullmatch(path)
        ),
        interpreter=versions[-1].removeprefix(_PYTHON_VERSION) if versions else "",
        programs=tuple(_program(name, files[programs[name]], says) for name in PROGRAMS),
    )


def _is_wanted(path: str) -> bool:
    return (
        path in (*_RELEASE, _DPKG)
        or _METADATA.fullmatch(path) is not None
        or _PROGRAM.fullmatch(path) is not None
    )


def os_release(text: str) -> dict[str, str]:
    """Return the keys of an `os-release`."""
    lines = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in lines}


def debian_packages(text: str) -> tuple[DebianPackage, ...]:
    """Return the installed packages of dpkg's database."""
    found = []
    for stanza in filter(None, text.split("\n\n")):
        fields = dict(re.findall(r"^([\w-]+): *(.*)$", stanza, re.MULTILINE))
        if fields.get("Status") == _INSTALLED:
            found.append(
                DebianPackage(fields["Package"], fields["Version"], fields["Architecture"])
            )
    return tuple(found)


def python_packages(documents: Iterable[str]) -> tuple[PythonPackage, ...]:
    """Return the packages of files `METADATA`, in the order of their names."""
    found = set()
    for document in documents:
        fields = email.parser.HeaderParser().parsestr(document)
        licence = fields.get("License-Expression", "")
        found.add(PythonPackage(fields["Name"], fields["Version"], licence))
    return tuple(sorted(found, key=lambda one: (one.name.lower(), one.version)))


def go_program(name: str, document: dict[str, Any], sha256: str) -> Program:
    """Return a program by what `go version -m -json` says of it."""
    modules = (one.get("Replace", one) for one in document.get("Deps", ()))
    return Program(
        name=name,
        module=_module(document["Main"]),
        compiler=document["GoVersion"].removeprefix("go"),
        sha256=sha256,
        modules=tuple(_module(one) for one in modules),
    )


def _module(entry: Mapping[str, str]) -> GoModule:
    # `h1:` and the base64 of a SHA-256: golang.org/x/mod/sumdb/dirhash.
    total = entry.get("Sum", "").removeprefix("h1:")
    return GoModule(entry["Path"], entry.get("Version", ""), base64.b64decode(total).hex())


def _program(name: str, content: bytes, ask: Callable[[str, bytes], str]) -> Program:
    return go_program(name, json.loads(ask(name, content)), hashlib.sha256(content).hexdigest())


def _go_says(name: str, content: bytes) -> str:
    """Return what Go says of a program.

    Raises:
        ClusterError: The program does not say what it is built from.
    """
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / name
        file.write_bytes(content)
        command = ["go", "version", "-m", "-json", str(file)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0 or not result.stdout.strip():
        words = result.stderr.strip() or "no module information"
        raise ClusterError(NO_BUILD_INFO.format(path=f"/bin/{name}", words=words))
    return result.stdout
