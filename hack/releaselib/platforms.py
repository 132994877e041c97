"""For which machines an image can be built on this one."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

from attrs import frozen

from clusterlib.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Where Linux says for which other machines it has an interpreter.
INTERPRETERS: Final = Path("/proc/sys/fs/binfmt_misc")
_ENABLED: Final = "enabled"

UNKNOWN: Final = "there is no platform {name}; there are: {names}"
OTHER_MACHINE: Final = (
    "{name}: base and Kopia are made on the machine, and for machines of its kind only; "
    "--pinned takes images that are for others as well"
)
NO_INTERPRETER: Final = (
    "{name}: this machine runs no programs for it; as root: apt-get install qemu-user-static"
)


@frozen
class Platform:
    """A kind of machine that Kubernetes runs on.

    Attributes:
        name: As images name it.
        go: As Go names its processor, and images.
        machine: As Linux and Python name it.
    """

    name: str
    go: str
    machine: str


ALL: Final = (
    Platform("linux/amd64", "amd64", "x86_64"),
    Platform("linux/arm64", "arm64", "aarch64"),
)


@frozen
class Choice:
    """The platforms of an image.

    Attributes:
        built: Those that it is built for.
        left_out: Why it is not built for the others.
    """

    built: tuple[Platform, ...]
    left_out: tuple[str, ...] = ()


def choose(
    names: Sequence[str], *, pinned: bool, machine: str, interpreters: Sequence[str]
) -> Choice:
    """Return for which platforms the image is built.

    Args:
        names: Which are asked for; empty for all that can be built.
        pinned: Whether base and Kopia come from a registry.
        machine: This one, as Linux names it.
        interpreters: The machines whose programs this one runs besides.

    Raises:
        ClusterError: One that is asked for cannot be built, or is unknown.
    """
    known = {one.name: one for one in ALL}
    for name in names:
        if name not in known:
            raise ClusterError(UNKNOWN.format(name=name, names=", ".join(known)))
    built, left_out = [], []
    for name in names or known:
        reason = _obstacle(known[name], pinned, machine, interpreters)
        if not reason:
            built.append(known[name])
        elif names:
            raise ClusterError(reason)
        else:
            left_out.append(reason)
    return Choice(tuple(built), tuple(left_out))


def _obstacle(wanted: Platform, pinned: bool, machine: str, interpreters: Sequence[str]) -> str:
    """Return why the image cannot be built for a platform; nothing if it can."""
    if wanted.machine == machine:
        return ""
    if not pinned:
        return OTHER_MACHINE.format(name=wanted.name)
    if wanted.machine not in interpreters:
        return NO_INTERPRETER.format(name=wanted.name)
    return ""


def this_machine() -> str:
    """Return the kind of this machine, as Linux names it."""
    return platform.machine()


def interpreters(folder: Path = INTERPRETERS) -> list[str]:
    """Return the machines whose programs this one runs by an interpreter."""
    if not folder.is_dir():
        return []
    found = [file for file in folder.iterdir() if file.name.startswith("qemu-")]
    enabled = [file for file in found if file.read_text().startswith(_ENABLED)]
    return sorted(file.name.removeprefix("qemu-") for file in enabled)
