"""The controller, installed in the cluster as a user installs it: an overlay of manifests/."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from attrs import frozen

from controller.leaderelection.lease import LEASES
from e2e.cluster import DEPLOYMENTS, NAMESPACE, Cluster, names
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.pods import allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from e2e.node import Node

MANIFESTS = Path(__file__).parents[2] / "manifests"
DEPLOYMENT = "repository-server-controller"
SELECTOR = f"app.kubernetes.io/name={DEPLOYMENT}"

SERVER_IMAGE = "RSC_SERVER_IMAGE"
SETTINGS_VOLUME = "settings"

# As in the manifests.
REPLICAS = 2

READ_METRICS = (
    "import urllib.request;"
    "print(urllib.request.urlopen('http://localhost:8080/metrics').read().decode())"
)


@frozen
class Controller:
    """The controller's Deployment.

    Attributes:
        cluster: Where it is.
    """

    cluster: Cluster

    def install(self, directory: Path) -> None:
        """Apply the manifests with the images under test, and wait for the controller.

        Args:
            directory: For the overlay.
        """
        content = yaml.safe_dump(self._overlay(directory))
        (directory / "kustomization.yaml").write_text(content)
        self.cluster.kubectl.run("apply", f"--kustomize={directory}")
        self.wait_ready()

    def pod(self) -> Object:
        """Return the pod that leads."""
        name = _pod_of(self.leader())
        leaders = [pod for pod in self.pods() if pod["metadata"]["name"] == name]
        assert len(leaders) == 1, names(self.pods())
        return leaders[0]

    def leader(self) -> str:
        """Return who holds the lease, a name that begins with its pod's; "" if nobody does."""
        lease = self.cluster.get(LEASES, DEPLOYMENT)
        holder: str = lease["spec"].get("holderIdentity", "") if lease is not None else ""
        return holder

    def wait_ready(self) -> None:
        """Wait until its pods are ready, no other is left, and one of them leads."""
        wait_for(
            "the controller to be ready",
            lambda: self.cluster.get(DEPLOYMENTS, DEPLOYMENT),
            lambda found: found is not None and _rolled_out(found),
        )
        wait_for("a leader", self.leader, lambda leader: _pod_of(leader) in names(self.pods()))

    def kill(self, node: Node) -> None:
        """Kill its process, as the kernel does when memory is short."""
        node.kill(self.pod())

    def replace(self) -> None:
        """Delete its pod, which may have been killed, and wait for the next one.

        A container that was killed often is started again late; a new pod at once.
        """
        pod = self.pod()["metadata"]["name"]
        self.cluster.client.delete(resources.PODS, NAMESPACE, pod, grace_seconds=0)
        self.wait_ready()

    def scale(self, replicas: int) -> None:
        """Set how many pods it has, and wait for it."""
        self.cluster.client.merge_patch(
            DEPLOYMENTS, NAMESPACE, DEPLOYMENT, {"spec": {"replicas": replicas}}
        )
        if replicas:
            self.wait_ready()
            return
        wait_for("the controller's pods to be gone", self.pods, lambda pods: not pods)

    def use_server_image(self, image: str) -> None:
        """Set the image of the servers, as an upgrade does; the controller's pods follow."""
        self.set_environment({SERVER_IMAGE: image})

    def set_environment(self, variables: Mapping[str, str]) -> None:
        """Set variables of its container; its pods follow."""
        self.cluster.kubectl.run(
            "set",
            "env",
            f"--namespace={NAMESPACE}",
            f"deployment/{DEPLOYMENT}",
            *(f"{name}={value}" for name, value in variables.items()),
        )

    def settings(self) -> str:
        """Return the name of the ConfigMap with its settings."""
        deployment = self.cluster.client.get(DEPLOYMENTS, NAMESPACE, DEPLOYMENT)
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        (name,) = (one["configMap"]["name"] for one in volumes if one["name"] == SETTINGS_VOLUME)
        return str(name)

    def use_settings(self, config_map: str) -> None:
        """Have it read its settings from another ConfigMap, as kustomize names one anew."""
        volume = {"name": SETTINGS_VOLUME, "configMap": {"name": config_map}}
        patch = {"spec": {"template": {"spec": {"volumes": [volume]}}}}
        self.cluster.kubectl.run(
            "patch",
            f"--namespace={NAMESPACE}",
            f"deployment/{DEPLOYMENT}",
            f"--patch={json.dumps(patch)}",
        )

    def metrics(self) -> str:
        """Return what it tells Prometheus."""
        pod = self.pod()["metadata"]["name"]
        command = ["exec", f"--namespace={NAMESPACE}", pod, "--", "python3", "-c", READ_METRICS]
        return self.cluster.kubectl.run(*command)

    def pods(self) -> list[Object]:
        """Return its pods."""
        pods: list[Object] = self.cluster.client.list(
            resources.PODS, NAMESPACE, label_selector=SELECTOR
        )["items"]
        return pods

    def _overlay(self, directory: Path) -> dict[str, Any]:
        name, _, tag = self.cluster.controller_image.rpartition(":")
        environment = [
            {"name": SERVER_IMAGE, "value": self.cluster.server_image},
            # Where most could be said that must not be.
            {"name": "RSC_LOG_LEVEL", "value": "debug"},
            # The tests have images that cannot be pulled, containers beside a server, and a store
            # that its client is told of by a variable. test_attacker.py has another controller.
            {"name": "RSC_POD_OVERRIDE", "value": allowed.ANY},
        ]
        container = {"name": "controller", "env": environment}
        patch = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": DEPLOYMENT},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }
        return {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": NAMESPACE,
            # kustomize takes no absolute path.
            "resources": [os.path.relpath(MANIFESTS, directory.resolve())],
            "images": [{"name": DEPLOYMENT, "newName": name, "newTag": tag}],
            "patches": [{"patch": yaml.safe_dump(patch)}],
        }


def _pod_of(leader: str) -> str:
    return leader.rpartition("_")[0]


def _rolled_out(deployment: Object) -> bool:
    status = deployment.get("status", {})
    wanted = deployment["spec"]["replicas"]
    return bool(
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and status.get("replicas") == status.get("updatedReplicas") == wanted
        and status.get("availableReplicas") == wanted
    )
