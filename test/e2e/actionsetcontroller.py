"""The controller of ActionSets, installed in the cluster as a user installs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import yaml
from attrs import define

from controller.leaderelection.lease import LEASES
from e2e.actionsets import ActionSets
from e2e.cluster import CLIENTS, DEPLOYMENTS, NAMESPACE, names
from e2e.installation import MANIFESTS
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.actionset.options import PROGRAM

if TYPE_CHECKING:
    from pathlib import Path

    from controller.resource import Object
    from e2e.node import Node

#: What the manifests call the image.
IMAGE: Final = "repository-server-controller"
SELECTOR: Final = f"app.kubernetes.io/name={PROGRAM}"

#: Whole seconds for which the lease of one that was killed is left alone; 15 by default, for which
#: these tests would wait each time.
LEASE_SECONDS: Final = 4
_ENVIRONMENT: Final = {
    "ASC_LEADER_ELECTION_LEASE_DURATION": str(LEASE_SECONDS),
    "ASC_LEADER_ELECTION_RENEW_DEADLINE": "3",
    "ASC_LEADER_ELECTION_RETRY_PERIOD": "0.5",
    # Where most could be said that must not be.
    "ASC_LOG_LEVEL": "debug",
}


@define
class InstalledEngine(ActionSets):
    """Its Deployment of two pods, of which one leads, with the rights that the manifests have.

    Attributes:
        node: Kills processes.
    """

    node: Node

    def deploy(self, directory: Path) -> None:
        """Install it, with rights in the namespace of the applications, and wait for a leader.

        Its CRDs must be there: `install` makes them.

        Args:
            directory: For the overlays.
        """
        for name, content in (("application", _application()), ("engine", self._overlay())):
            folder = directory / name
            folder.mkdir()
            # kustomize takes no absolute path.
            for key in ("resources", "components"):
                content[key] = [
                    os.path.relpath(path, folder.resolve()) for path in content.get(key, ())
                ]
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))
            self.cluster.kubectl.run("apply", f"--kustomize={folder}")
        wait_for("a leader of the controller of ActionSets", self.leader)

    def leader(self) -> str:
        """Return the name of the pod that leads; "" if none of those that are there does."""
        lease = self.cluster.get(LEASES, PROGRAM)
        holder = (lease or {}).get("spec", {}).get("holderIdentity") or ""
        name: str = holder.rpartition("_")[0]
        return name if name in names(self.controllers()) else ""

    def controllers(self) -> list[Object]:
        """Return its pods."""
        found: list[Object] = self.cluster.client.list(
            resources.PODS, NAMESPACE, label_selector=SELECTOR
        )["items"]
        return found

    def kill_leader(self) -> None:
        """Kill the process that leads with SIGKILL. The other one takes over."""
        (leader,) = (pod for pod in self.controllers() if pod["metadata"]["name"] == self.leader())
        self.node.kill(leader)

    def logs(self) -> str:
        """Return what its processes have written, also those that were killed last."""
        return "".join(
            self.cluster.kubectl.attempt(
                "logs", f"--namespace={NAMESPACE}", pod["metadata"]["name"], *previous
            ).output
            for pod in self.controllers()
            for previous in ((), ("--previous",))
        )

    def remove(self) -> None:
        """Delete the Deployment, so that another controller can serve the namespace."""
        self.cluster.delete(DEPLOYMENTS, PROGRAM)
        wait_for("the pods of the controller to be gone", self.controllers, lambda pods: not pods)

    def _overlay(self) -> dict[str, Any]:
        name, _, tag = self.cluster.controller_image.rpartition(":")
        variables = [{"name": key, "value": value} for key, value in _ENVIRONMENT.items()]
        container = {"name": "controller", "env": variables}
        patch = {
            "apiVersion": DEPLOYMENTS.api_version,
            "kind": DEPLOYMENTS.kind,
            "metadata": {"name": PROGRAM},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }
        return {
            "namespace": NAMESPACE,
            "components": [MANIFESTS / "actionset-controller"],
            "images": [{"name": IMAGE, "newName": name, "newTag": tag}],
            "patches": [{"patch": yaml.safe_dump(patch)}],
        }


def _application() -> dict[str, Any]:
    patch = [{"op": "replace", "path": "/subjects/0/namespace", "value": NAMESPACE}]
    return {
        "namespace": CLIENTS,
        "resources": [MANIFESTS / "application"],
        "patches": [{"target": {"kind": "RoleBinding"}, "patch": yaml.safe_dump(patch)}],
    }
