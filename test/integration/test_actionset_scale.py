"""ScaleWorkload beside the controllers of Kubernetes, with the rights that it needs alone."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import define, evolve
from prometheus_client import CollectorRegistry

from controller.clock import Deadline
from controller.metrics import Metrics
from controller.resource import Resource
from controller.rest.client import Client
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Transport
from e2e.waiting import CLOCK, wait_for
from fakes.clock import FakeClock
from fakes.phaseruns import Phase, phase_run
from fakes.workloads import DEPLOYMENTS, STATEFUL_SETS
from integration.conftest import NAMESPACES, client_of
from integration.plane import NEVER_ENDS, NO, NODES
from reconcilers import resources
from reconcilers.actionset.function import Complete, Running
from reconcilers.actionset.functions.scaleworkload import ScaleWorkload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from integration.plane import Plane
    from reconcilers.actionset.function import Step

pytestmark = pytest.mark.timeout(180)

ROLES: Final = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS: Final = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
USER: Final = "engine"
#: A node of its own. A kubelet that was lost leaves a Lease behind, for which the next one of its
#: name has to wait.
NODE: Final = "scaled"
#: All that ScaleWorkload asks for.
RULES: Final = [
    {
        "apiGroups": ["apps"],
        "resources": ["statefulsets/scale", "deployments/scale"],
        "verbs": ["get", "patch"],
    },
    {"apiGroups": ["apps"], "resources": ["replicasets"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
]


@define
class Site:
    """A namespace with workloads.

    Args:
        client: Of an administrator.
        engine: A client with the rights of `RULES`.
        namespace: The namespace.
    """

    client: Client
    engine: Client
    namespace: str

    def create(self, resource: Resource, *, replicas: int, **annotations: str) -> None:
        """Create a workload `db`, and wait until its pods are ready."""
        labels = {"app": "db"}
        template = {
            "metadata": {"labels": labels, "annotations": annotations},
            "spec": {
                "containers": [{"name": "main", "image": "none"}],
            },
        }
        spec: Object = {"replicas": replicas, "selector": {"matchLabels": labels}}
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": "db", "namespace": self.namespace},
            "spec": spec | {"template": template},
        }
        self.client.create(resource, self.namespace, body)
        wait_for(
            "the workload to be ready",
            lambda: self.client.get(resource, self.namespace, "db"),
            lambda found: found.get("status", {}).get("readyReplicas") == replicas,
        )

    def phase(self, kind: str, replicas: int) -> Phase:
        """Return a phase that scales it."""
        given = {"namespace": self.namespace, "name": "db", "kind": kind, "replicas": replicas}
        run = phase_run(FakeClock())
        action = evolve(run.action, object=evolve(run.action.object, namespace=self.namespace))
        run = evolve(
            run, action=action, started_at=CLOCK.now(), deadline=Deadline.after(CLOCK, 600.0)
        )
        return Phase(ScaleWorkload(self.engine, clock=CLOCK), FakeClock(), given, run)

    def pods(self) -> list[Object]:
        found: list[Object] = self.client.list(resources.PODS, self.namespace)["items"]
        return found


def finish(phase: Phase) -> Step:
    return wait_for(
        "the phase to end", phase.advance, lambda step: not isinstance(step, Running), seconds=60
    )


@pytest.fixture(scope="module")
def node(kubernetes: Plane) -> Iterator[Plane]:
    """Give the control plane with a node."""
    client = client_of(kubernetes.kubeconfig)
    kubernetes.add_node(client, NODE)
    yield kubernetes
    kubernetes.lose_node(NODE)
    client.delete(NODES, "", NODE)


@pytest.fixture
def site(node: Plane) -> Iterator[Site]:
    """Give a namespace of the test's own."""
    client, name = client_of(node.kubeconfig), f"test-{uuid.uuid4().hex[:8]}"
    meta = {"name": name}
    client.create(NAMESPACES, "", {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    role = {"metadata": {"name": USER, "namespace": name}}
    client.create(ROLES, name, {**_typed(ROLES), **role, "rules": RULES})
    binding: Object = {
        "subjects": [{"kind": "User", "name": USER, "apiGroup": ROLES.group}],
        "roleRef": {"kind": "Role", "name": USER, "apiGroup": ROLES.group},
    }
    client.create(BINDINGS, name, {**_typed(BINDINGS), **role, **binding})
    api_client = load_api_client(node.kubeconfig)
    api_client.default_headers["Impersonate-User"] = USER
    transport = Transport(api_client, clock=CLOCK, metrics=Metrics(CollectorRegistry()))
    yield Site(client, Client(transport, field_manager=USER), name)
    client.delete(NAMESPACES, "", name)


def _typed(resource: Resource) -> Object:
    return {"apiVersion": resource.api_version, "kind": resource.kind}


@pytest.mark.parametrize(
    "resource",
    [pytest.param(STATEFUL_SETS, id="StatefulSet"), pytest.param(DEPLOYMENTS, id="Deployment")],
)
def test_it_is_down_when_no_pod_is_left_and_up_when_all_are_ready(
    site: Site, resource: Resource
) -> None:
    site.create(resource, replicas=2)

    assert finish(site.phase(resource.kind, 0)) == Complete({"originalReplicaCount": 2})
    assert site.pods() == []

    assert finish(site.phase(resource.kind, 2)) == Complete({"originalReplicaCount": 0})
    conditions = [one["status"]["conditions"] for one in site.pods()]
    assert len(conditions) == 2
    assert all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in one) for one in conditions
    )


@pytest.mark.parametrize(
    "resource",
    [pytest.param(STATEFUL_SETS, id="StatefulSet"), pytest.param(DEPLOYMENTS, id="Deployment")],
)
def test_a_pod_that_does_not_go_is_waited_for(site: Site, resource: Resource) -> None:
    """Its containers may have ended, and its volume still be held."""
    site.create(resource, replicas=1, **{NEVER_ENDS: NO})
    phase = site.phase(resource.kind, 0)
    wait_for(
        "the pod to be deleted",
        phase.advance,
        lambda _: [one for one in site.pods() if "deletionTimestamp" in one["metadata"]],
    )
    (pod,) = site.pods()
    ended: dict[str, Any] = {"status": {"phase": "Succeeded"}}
    name = pod["metadata"]["name"]
    site.client.merge_patch(resources.PODS, site.namespace, name, ended, subresource="status")

    step = phase.advance()

    assert isinstance(step, Running)
    assert step.waits_for == f"pods to be gone: {name}"
    site.client.delete(resources.PODS, site.namespace, name, grace_seconds=0)
    assert finish(phase) == Complete({"originalReplicaCount": 1})


def test_another_process_goes_on_with_the_count_of_the_first(site: Site) -> None:
    site.create(STATEFUL_SETS, replicas=2)
    phase = site.phase("statefulset", 0)
    phase.advance()
    phase.advance()

    phase.function = ScaleWorkload(site.engine, clock=CLOCK)

    assert finish(phase) == Complete({"originalReplicaCount": 2})
