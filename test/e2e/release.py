"""A release of the Helm chart."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from clusterlib import components
from e2e.kubectl import Ran

if TYPE_CHECKING:
    from e2e.cluster import Cluster

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "repository-server-controller"
TIMEOUT_SECONDS: Final = 120.0


def program(name: str) -> str:
    """Return the path of a program of this project's list, built if it is not there yet."""
    path = components.load().program(name)
    if not path.exists():
        subprocess.run([ROOT / "hack" / "cluster", "build", name], check=True)  # noqa: S603
    return str(path)


@frozen
class Release:
    """A release of the chart, which need not be installed.

    Attributes:
        cluster: Where it is.
        kubeconfig: Says where that is.
        name: Its name.
        namespace: Its namespace.
        directory: For what Helm keeps of itself.
    """

    cluster: Cluster
    kubeconfig: str
    name: str
    namespace: str
    directory: Path

    @property
    def deployment(self) -> str:
        """The name of the controller's Deployment."""
        return f"{self.name}-repository-server-controller"

    @property
    def engine(self) -> str:
        """The name of the Deployment of the controller of ActionSets."""
        return f"{self.name}-actionset-controller"

    def apply(self, verb: str, values: Any, *flags: str) -> Ran:
        """Run `helm install` or `helm upgrade`, and wait until the controller is ready."""
        return self.run(
            *(verb, self.name, str(CHART), "--values=-", "--wait", "--timeout=90s", *flags),
            stdin=json.dumps(values),
        )

    def run(self, *arguments: str, stdin: str = "") -> Ran:
        """Run helm in the namespace of the release, and return what came of it."""
        folders = {
            f"HELM_{kind}_HOME": str(self.directory / kind.lower())
            for kind in ("CACHE", "CONFIG", "DATA")
        }
        result = subprocess.run(  # noqa: S603 - a program of this project's list
            [
                program("helm"),
                f"--kubeconfig={self.kubeconfig}",
                f"--namespace={self.namespace}",
                *arguments,
            ],
            env={**os.environ, **folders},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        return Ran(result.returncode, result.stdout, result.stderr)
