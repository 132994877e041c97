"""Phases of KubeOps, and the objects that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.resource import Resource
from fakes.phaseclient import PhaseClient, client_of
from fakes.phaseruns import Phase, phase_run
from reconcilers.actionset.functions.kubeops import KubeOps

if TYPE_CHECKING:
    from fakes.clock import FakeClock

CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
THINGS = Resource("example.com", "v1", "things", "Thing")
ACCOUNT = "kanister/engine"
ANNOTATION = "actionset.cr.kanister.io/phase"

SERVED: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("", "v1"): [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True},
        {"name": "pods", "kind": "Pod", "namespaced": True},
        {"name": "secrets", "kind": "Secret", "namespaced": True},
        {"name": "namespaces", "kind": "Namespace", "namespaced": False},
    ],
    ("apps", "v1"): [{"name": "deployments", "kind": "Deployment", "namespaced": True}],
    ("cr.kanister.io", "v1alpha1"): [
        {"name": "actionsets", "kind": "ActionSet", "namespaced": True}
    ],
    ("rbac.authorization.k8s.io", "v1"): [
        {"name": "rolebindings", "kind": "RoleBinding", "namespaced": True}
    ],
}


def manifest(
    kind: str = "ConfigMap", name: str = "made", version: str = "v1", rest: str = ""
) -> str:
    return f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}}}\n{rest}"


def existing(name: str = "made", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": "app", "name": name, "uid": "uid-1", **metadata},
        "data": {"kept": "as it is"},
    }


REFERENCE = {"apiVersion": "v1", "resource": "configmaps", "name": "made", "namespace": "app"}
OUTPUT = {**REFERENCE, "group": "", "kind": ""}
CREATE: dict[str, Any] = {"operation": "create", "namespace": "app", "spec": manifest()}
PATCH: dict[str, Any] = {
    "operation": "patch",
    "objectReference": REFERENCE,
    "spec": "data: {key: value}",
}
DELETE: dict[str, Any] = {"operation": "delete", "objectReference": REFERENCE}


def phase(client: PhaseClient, clock: FakeClock, given: dict[str, Any], **changes: Any) -> Phase:
    function = KubeOps(client_of(client), clock, account=ACCOUNT)
    return Phase(function, clock, given, phase_run(clock, **changes))


def restarted(run: Phase, client: PhaseClient, clock: FakeClock) -> None:
    """Go on in another process."""
    run.function = KubeOps(client_of(client), clock, account=ACCOUNT)


def stored(client: PhaseClient, resource: Resource = CONFIG_MAPS) -> dict[str, Any]:
    (found,) = client.store(resource).list()
    return found
