"""The virtual environment with the pinned tools and libraries, made once into the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from clusterlib import debian, locks, paths
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REQUIREMENTS = paths.CHECKOUT / "requirements" / "dev.txt"

# Debian has Python's `venv` apart from Python itself.
VENV_MODULE, VENV_PACKAGES = "ensurepip", ["python3-venv"]

VENV_FAILED = "`{python} -m venv` failed"
INSTALL_FAILED = "pip could not install {file}; run the command again to go on"


class Environment:
    """A virtual environment for one list of requirements and one Python.

    Another list, or another Python, gives another environment: a checkout of an older commit
    finds its own again.

    Args:
        requirements: the file with the exact versions.
    """

    def __init__(self, requirements: Path = REQUIREMENTS) -> None:
        self._requirements = requirements
        self._name = os.path.relpath(requirements, paths.CHECKOUT)
        digest = hashlib.sha256(requirements.read_bytes())
        # The environment refers to the Python that it was made with.
        digest.update(f"{sys.version} {sys.base_exec_prefix}".encode())
        self.directory = paths.cache() / "venvs" / digest.hexdigest()[:16]
        self._complete = self.directory / "complete"

    def program(self, name: str) -> str:
        """Return where a program of the environment is."""
        return str(self.directory / "bin" / name)

    def make(self) -> None:
        """Make the environment, unless it is there.

        Raises:
            ClusterError: Debian's package of `venv` is missing and this is not root, or a
                package could not be fetched.
        """
        with locks.exclusive(paths.cache() / "locks" / f"venv-{self.directory.name}"):
            if self._complete.exists():
                return
            packages = [] if importlib.util.find_spec(VENV_MODULE) else VENV_PACKAGES
            progress = Progress(2 + bool(debian.missing(packages)))
            debian.install_missing(packages, progress)
            log = paths.cache() / "logs" / "venv.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("")
            with progress.step("making a virtual environment"):
                self._create(log)
            with progress.step(f"installing {self._name}", lambda: self._fetched(log)):
                self._install(log)
            self._complete.touch()

    def _create(self, log: Path) -> None:
        # --clear: what an interrupted run left is of no use.
        command = [sys.executable, "-m", "venv", "--clear", str(self.directory)]
        _logged(command, log, VENV_FAILED.format(python=sys.executable))

    def _install(self, log: Path) -> None:
        # The list is whole: what it does not name must not come along.
        options = ["--disable-pip-version-check", "--progress-bar=off", "--no-deps"]
        options.append("--require-hashes")
        command = [self.program("python"), "-m", "pip", "install", *options]
        failure = INSTALL_FAILED.format(file=self._name)
        _logged([*command, f"--requirement={self._requirements}"], log, failure)

    def _fetched(self, log: Path) -> str:
        wanted = self._requirements.read_text().count("==")
        fetched = sum(line.startswith("Collecting ") for line in log.read_text().splitlines())
        return f"({fetched} of {wanted} packages)"


def variables(base: Mapping[str, str], environment: Environment) -> dict[str, str]:
    """Return the variables under which the tools and the tests run.

    The project is imported from the checkout, and what the tools leave behind goes into the
    cache, one directory for each checkout.

    Args:
        base: the caller's variables.
        environment: gives the programs.
    """
    # os.pathsep would separate two paths in the name, never a digest.
    left = left_behind()
    return {
        **base,
        "PATH": os.pathsep.join([str(environment.directory / "bin"), base.get("PATH", os.defpath)]),
        "VIRTUAL_ENV": str(environment.directory),
        "PYTHONPATH": os.pathsep.join([str(paths.CHECKOUT), str(paths.HACK)]),
        "PYTHONPYCACHEPREFIX": str(left / "pycache"),
        "RUFF_CACHE_DIR": str(left / "ruff"),
        "MYPY_CACHE_DIR": str(left / "mypy"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(left / "hypothesis"),
    }


def left_behind() -> Path:
    """Return the directory for the caches of the tools."""
    checkout = hashlib.sha256(str(paths.CHECKOUT).encode()).hexdigest()[:8]
    return paths.cache() / "test" / checkout


def _logged(command: list[str], log: Path, failure: str) -> None:
    with log.open("a") as output:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        )
    if result.returncode != 0:
        raise ClusterError(failure, log)
