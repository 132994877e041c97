"""A control plane with fake nodes: kube-apiserver, etcd, kube-scheduler, and kwok as the kubelets.

Pods are scheduled, and Running and Ready as soon as kwok has seen them; nothing runs in them. Of
kube-controller-manager's controllers there are those that make the pods of ReplicaSets, write
EndpointSlices and delete what has lost its owner.
"""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchlib.requests import Requests
from clusterlib import (
    certificates,
    components,
    controlplane,
    installation,
    kwok,
    processes,
)
from clusterlib.certificates import Identity
from clusterlib.cluster import Cluster
from clusterlib.errors import ClusterError
from clusterlib.processes import Command
from clusterlib.progress import Progress
from clusterlib.state import State
from demolib.kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clusterlib.components import Components
    from demolib.objects import Object

NAME = "bench-scale"
USER = "bench-contender"

NODES = 10
PODS_A_NODE = 1000
# Bounds of what scheduler and controllers ask the API server: their own would be what is measured.
QPS_LIMITS = ("--kube-api-qps=1000", "--kube-api-burst=1000")
CONTROLLERS = (
    "--controllers=endpointslice-controller,garbage-collector-controller,replicaset-controller",
    "--concurrent-service-endpoint-syncs=10",
)

PROGRAMS = (
    *("etcd", "kube-apiserver", "kubectl"),
    *("kube-scheduler", "kube-controller-manager", "kwok"),
)


@dataclass(frozen=True)
class FakeCluster:
    """A running one.

    Attributes:
        state: its files.
        requests: asks its API as the administrator, whose requests are not logged.
        kubectl: the same by kubectl.
        kubeconfig: for the user whose requests are logged.
    """

    state: State
    requests: Requests
    kubectl: Kubectl
    kubeconfig: Path

    @property
    def audit_log(self) -> Path:
        """The log of the user's requests."""
        return self.state.audit_log


@contextmanager
def running() -> Iterator[FakeCluster]:
    """Bring a new cluster up, and take it down in the end.

    Raises:
        ClusterError: a step failed.
    """
    state, known = State(NAME), components.load()
    cluster = Cluster(state, known)
    cluster.down()
    try:
        cluster.up(with_node=False, audit=True, audited_user=USER)
        yield _with_nodes(state, known)
    finally:
        cluster.down()


def build() -> None:
    """Build the programs that are missing.

    Raises:
        ClusterError: a build failed.
    """
    missing = installation.plan(
        components.load(), packages_for=["control-plane"], programs=PROGRAMS
    )
    missing.carry_out(Progress(missing.steps))


def _with_nodes(state: State, known: Components) -> FakeCluster:
    record = state.read_record()
    if record is None:
        raise ClusterError(f"cluster {state.name} is gone")
    layout = record.layout
    state.authority.issue(Identity(USER, USER, ("system:masters",)))
    kubeconfig = state.component_kubeconfig(USER)
    certificates.write_kubeconfig(
        kubeconfig, server=layout.server, authority=state.authority, name=USER
    )
    requests = Requests(_connector(state, str(layout.node), layout.api_port))
    for index in range(NODES):
        _make_node(requests, index)
    for command in (
        _with(controlplane.kube_scheduler(state, known), QPS_LIMITS),
        _with(controlplane.kube_controller_manager(state, layout, known), QPS_LIMITS + CONTROLLERS),
        _kwok(state, known, str(layout.pods)),
    ):
        processes.start(command, cluster=state.directory, logs=state.logs)
    kubectl = Kubectl(str(known.program("kubectl")), (f"--kubeconfig={state.kubeconfig}",))
    return FakeCluster(state, requests, kubectl, kubeconfig)


def _with(command: Command, arguments: tuple[str, ...]) -> Command:
    return Command(command.name, [*command.arguments, *arguments])


def _connector(state: State, host: str, port: int) -> Any:  # noqa: ANN401 - see Requests
    authority = state.authority
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.load_cert_chain(authority.certificate_of("admin"), authority.key_of("admin"))

    def connect(timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)

    return connect


def _kwok(state: State, known: Components, pods: str) -> Command:
    configuration = state.directory / "kwok.json"
    configuration.write_text("\n---\n".join(map(json.dumps, stages())))
    return Command(
        "kwok",
        [
            str(known.program("kwok")),
            f"--kubeconfig={state.kubeconfig}",
            f"--config={configuration}",
            "--manage-all-nodes=true",
            f"--cidr={pods}",
            "--node-ip=127.0.0.1",
        ],
    )


def stages() -> list[Object]:
    """Return what kwok does to pods."""
    # Only one write a pod: what is measured is not the kubelet.
    ready = {"statusTemplate": kwok.RUNNING}
    scheduled = {"key": ".spec.nodeName", "operator": "Exists"}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    stays = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    goes = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    return [
        kwok.stage("pod-ready", "Pod", [scheduled, pending, stays], ready),
        kwok.stage("pod-delete", "Pod", [goes], {"delete": True}),
        # kwok wants one of nodes; theirs are Ready from the start.
        kwok.stage("node-keep", "Node", [goes], {"delete": True}),
    ]


def _make_node(requests: Requests, index: int) -> None:
    name = f"fake-{index}"
    requests.create(
        "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
    )
    # Admission taints a new node; who would take that away is a controller that is not here.
    requests.merge(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
    room = {"cpu": "1000", "memory": "4Ti", "pods": str(PODS_A_NODE)}
    ready = {"type": "Ready", "status": "True", "reason": "Fake", "message": ""}
    status = {"allocatable": room, "capacity": room, "conditions": [ready]}
    requests.merge(f"/api/v1/nodes/{name}/status", {"status": status})
