"""The ActionSets of tests, and their controller as a process of this checkout."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from e2e.cluster import NAMESPACE, Cluster
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, BLUEPRINTS, LABEL_UID
from testlib import templates

if TYPE_CHECKING:
    from pathlib import Path

    from controller.resource import Object

CRDS: Final = ("actionsets", "blueprints", "profiles")
_MAIN: Final = "from reconcilers.actionset.main import main; main()"
ENDED: Final = ("complete", "failed")
#: A pod may pull no image, but the machine may be busy.
SECONDS: Final = 180.0


@define
class ActionSets:
    """ActionSets and Blueprints in the namespace of the tests, or in another one.

    Attributes:
        cluster: Where they are.
        namespace: Theirs.
    """

    cluster: Cluster
    namespace: str = field(default=NAMESPACE, kw_only=True)

    def install(self) -> None:
        """Install the CRDs."""
        for name in CRDS:
            self.cluster.kubectl.run(
                "apply", "--server-side", f"--filename=manifests/kanister-crds/{name}.yaml"
            )
        for name in CRDS:
            self.cluster.kubectl.run(
                "wait", "--for=condition=Established", f"crd/{name}.cr.kanister.io"
            )

    def run(self, name: str, action: Object) -> Object:
        """Run an action, and return its ActionSet once it is over."""
        self.begin(name, action)
        return self.ended(name)

    def begin(self, name: str, action: Object) -> None:
        """Create an ActionSet of one action."""
        self.cluster.kubectl.create(
            [
                {
                    "apiVersion": ACTION_SETS.api_version,
                    "kind": ACTION_SETS.kind,
                    "metadata": {"name": name, "namespace": self.namespace},
                    "spec": {"actions": [action]},
                }
            ]
        )

    def ended(self, name: str) -> Object:
        """Return an ActionSet once it is over and nothing of it is left."""
        found = wait_for(
            f"ActionSet {name} to end",
            lambda: self.cluster.client.get(ACTION_SETS, self.namespace, name),
            lambda obj: _state(obj) in ENDED,
            seconds=SECONDS,
        )
        uid = found["metadata"]["uid"]
        wait_for(f"the pods of ActionSet {name} to be gone", lambda: self.pods(uid), _is_empty)
        return found

    def pods(self, uid: str) -> list[Object]:
        """Return the pods of an ActionSet, in all namespaces."""
        found: list[Object] = self.cluster.client.list(
            resources.PODS, "", label_selector=f"{LABEL_UID}={uid}"
        )["items"]
        return found

    def make_blueprint(self, name: str, actions: dict[str, Any]) -> None:
        """Create a Blueprint."""
        self.cluster.kubectl.create(
            [
                {
                    "apiVersion": BLUEPRINTS.api_version,
                    "kind": BLUEPRINTS.kind,
                    "metadata": {"name": name, "namespace": self.namespace},
                    "actions": actions,
                }
            ]
        )


@define
class Engine(ActionSets):
    """The process. It serves the namespace of the tests.

    Attributes:
        log: File that it writes to.
    """

    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this Python
                [
                    sys.executable,
                    "-c",
                    _MAIN,
                    f"--kubeconfig={self.cluster.kubectl.kubeconfig}",
                    f"--namespace={NAMESPACE}",
                    f"--functions-image={self.cluster.controller_image}",
                    f"--template-renderer={templates.program()}",
                    "--metrics-bind-address=0",
                    "--health-probe-bind-address=0",
                ],
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        """Kill it, as a node that goes does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def outputs_of(obj: Object) -> dict[str, dict[str, Any]]:
    """Return the outputs of an ActionSet's one action, by phase.

    Raises:
        AssertionError: It has failed; the message has its error.
    """
    assert _state(obj) == "complete", obj["status"].get("error")
    return {
        phase["name"]: phase.get("output") or {} for phase in obj["status"]["actions"][0]["phases"]
    }


def phase_states(obj: Object) -> dict[str, str]:
    """Return the state of each phase of an ActionSet's one action, by name; empty at the start."""
    actions = (obj.get("status") or {}).get("actions") or [{"phases": ()}]
    return {phase["name"]: phase["state"] for phase in actions[0].get("phases") or ()}


def error_in(obj: Object) -> str:
    """Return why an ActionSet has failed; empty if it has not."""
    message: str = ((obj.get("status") or {}).get("error") or {}).get("message", "")
    return message


def error_of(obj: Object) -> str:
    """Return why an ActionSet has failed."""
    assert _state(obj) == "failed", obj["status"]
    message: str = obj["status"]["error"]["message"]
    return message


def _state(obj: Object) -> str:
    state: str = (obj.get("status") or {}).get("state", "")
    return state


def _is_empty(found: list[Object]) -> bool:
    return not found
