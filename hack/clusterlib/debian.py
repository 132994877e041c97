"""Installs the Debian packages that are missing."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import locks, paths
from clusterlib.errors import ClusterError
from clusterlib.processes import run, succeeds

if TYPE_CHECKING:
    from collections.abc import Iterable

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


def unpack_once(package: str, directory: Path) -> None:
    """Unpack a package into a directory, without installing it, unless the directory is there.

    Safe to run concurrently: the directory appears whole or not at all.

    Raises:
        ClusterError: it could not be fetched.
    """
    with locks.exclusive(paths.cache() / "locks" / f"unpack-{package}"):
        if directory.exists():
            return
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent) as scratch:
            archive = _fetch(package, Path(scratch))
            unpacked = Path(scratch) / "unpacked"
            run(["dpkg-deb", "-x", str(archive), str(unpacked)], what=f"unpacking {package}")
            unpacked.rename(directory)


def _fetch(package: str, scratch: Path) -> Path:
    """Fetch a package; once more with new lists, as they may name a version that has gone."""
    # apt drops its rights for the download and needs to write here.
    scratch.chmod(0o777)
    fetch = ["sh", "-c", 'cd "$1" && apt-get download -q "$2"', "sh", str(scratch), package]
    if not succeeds(fetch):
        if os.geteuid() == 0:
            run(["apt-get", "update", "-q"], what=f"looking for the Debian package {package}")
        run(fetch, what=f"fetching the Debian package {package}; try `apt-get update`")
    (archive,) = scratch.glob("*.deb")
    return archive


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
