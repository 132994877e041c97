"""Plays Blueprints as an unmodified Kanister does: a KubeTask is a pod, its log has the outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from e2e import blueprints
from e2e.cluster import NAMESPACE, Cluster
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.datafunctions.outputs import MARKER
from reconcilers.pods import strategicmerge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object
    from e2e.blueprints import Blueprint, Phase

#: Kanister pkg/consts/consts.go and pkg/kube/pod.go: on every pod that it makes.
LABELS: Final = {"createdBy": "kanister"}
IMAGE: Final = "repository-server-controller"

# A pod reads a GiB of zeros and writes it again, on a machine that is busy.
POD_SECONDS: Final = 180.0
ENDED: Final = ("Succeeded", "Failed")


@define
class Kanister:
    """What runs the phases of an action.

    Attributes:
        cluster: Where it is.
        connection: Values of the connection Secret, which phases name.
        pods: The pods of a StatefulSet `db`.
    """

    cluster: Cluster
    connection: Mapping[str, str]
    pods: tuple[str, ...] = ("db-0", "db-1")
    _number: int = field(default=0, init=False)

    def run(
        self, blueprint: Blueprint, action: str, artifacts: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Run an action, and return its artifacts.

        Args:
            blueprint: Where it is.
            action: Its name.
            artifacts: Those of the action that it begins with.
        """
        scope: dict[str, Any] = {
            "StatefulSet": {"Namespace": NAMESPACE, "Pods": self.pods},
            "Namespace": {"Name": NAMESPACE},
            "ArtifactsIn": artifacts,
            "Phases": {},
        }
        for phase in blueprint.phases(action):
            # There is no workload that would have to be scaled.
            if phase.function == blueprints.SCALE:
                continue
            assert phase.function == blueprints.KUBE_TASK
            assert set(phase.objects) == {"connection"}
            scope["Phases"][phase.name] = {"Secrets": {"connection": {"Data": self.connection}}}
            scope["Phases"][phase.name]["Output"] = self.kube_task(phase, scope)
        made = blueprints.render(blueprint.actions[action].get("outputArtifacts", {}), scope)
        return {
            name: {
                "KeyValue": one.get("keyValue", {}),
                "KopiaSnapshot": one.get("kopiaSnapshot", ""),
            }
            for name, one in made.items()
        }

    def kube_task(self, phase: Phase, scope: Mapping[str, Any]) -> dict[str, str]:
        """Run a KubeTask, and return its outputs.

        Raises:
            AssertionError: Its pod has failed; the message has its log.
        """
        arguments = blueprints.render(dict(phase.arguments), scope)
        assert arguments["image"] == IMAGE
        self._number += 1
        name = f"kanister-job-{self._number}-{phase.name}"
        return self.run_pod(name, arguments["command"], arguments["podOverride"])

    def run_pod(self, name: str, command: list[str], override: Mapping[str, Any]) -> dict[str, str]:
        """Run a pod as KubeTask makes it, and return the outputs in its log.

        Args:
            name: Of the pod.
            command: Replaces the image's entry point.
            override: As the argument `podOverride`.
        """
        container = {
            "name": "container",
            "image": self.cluster.controller_image,
            "command": command,
            "imagePullPolicy": "IfNotPresent",
        }
        spec = {"restartPolicy": "Never", "containers": [container]}
        self.cluster.kubectl.create(
            [
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS},
                    "spec": strategicmerge.merged(spec, override, field="podOverride"),
                }
            ]
        )
        ended = wait_for(
            f"pod {name} to end",
            lambda: self.cluster.client.get(resources.PODS, NAMESPACE, name),
            lambda pod: _phase(pod) in ENDED,
            seconds=POD_SECONDS,
        )
        log = self.cluster.kubectl.run("logs", f"--namespace={NAMESPACE}", name)
        assert _phase(ended) == "Succeeded", log
        self.cluster.discard(resources.PODS, name)
        return outputs_of(log)


def outputs_of(log: str) -> dict[str, str]:
    """Return the outputs in a pod's log (Kanister pkg/output/stream.go)."""
    outputs = {}
    for line in log.splitlines():
        _, marker, text = line.partition(MARKER)
        if marker and text.strip():
            pair = json.loads(text)
            outputs[pair["key"]] = pair["value"]
    return outputs


def _phase(pod: Object) -> str:
    phase: str = pod.get("status", {}).get("phase", "")
    return phase
