"""Installs the Debian packages that are missing."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from clusterlib import locks, paths
from clusterlib.errors import ClusterError
from clusterlib.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from clusterlib.progress import Progress


def missing(packages: Iterable[str]) -> list[str]:
    """Return those of the packages that are not installed."""
    wanted = list(packages)
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *wanted]
    # The exit code is not zero when one of them is unknown to dpkg; what is known is still shown.
    shown = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in installed]


def install_missing(packages: Iterable[str], progress: Progress) -> None:
    """Install what is missing, as one step if there is anything.

    Raises:
        ClusterError: not root, or apt-get failed.
    """
    wanted = missing(packages)
    if not wanted:
        return
    words = " ".join(wanted)
    if os.geteuid() != 0:
        raise ClusterError(f"missing Debian packages; as root: apt-get install {words}")
    log = paths.cache() / "logs" / "apt.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        progress.step(f"installing {words}"),
        locks.exclusive(paths.cache() / "locks" / "apt"),
        log.open("w") as output,
    ):
        _apt_get(["update", "-q"], output.fileno())
        options = ["-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
        if _apt_get(["install", *options, *wanted], output.fileno()) != 0:
            raise ClusterError(f"apt-get could not install: {words}", log)


def unpack(package: str, scratch: Path) -> None:
    """Fetch a package and unpack it into the directory `unpacked`, without installing it.

    Raises:
        ClusterError: it could not be fetched.
    """
    # apt drops its rights for the download and needs to write here.
    scratch.chmod(0o777)
    fetch = ["sh", "-c", 'cd "$1" && apt-get download -q "$2"', "sh", str(scratch), package]
    run(fetch, what=f"fetching the Debian package {package}; try `apt-get update`")
    (archive,) = scratch.glob("*.deb")
    run(["dpkg-deb", "-x", str(archive), str(scratch / "unpacked")], what=f"unpacking {package}")


def _apt_get(arguments: list[str], output: int) -> int:
    # policy-rc.d is not ours to write: a package's own service (containerd) may start and is
    # left alone, as the cluster has its own root, state and socket.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        ["apt-get", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        check=False,
    ).returncode
