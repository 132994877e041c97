"""A control plane with the controllers of Kubernetes, and nodes by kwok that can be lost.

Of the real thing are kube-apiserver with all its admission plugins, kube-controller-manager and
kube-scheduler. Of a node there is what the cluster sees: its lease, and what becomes of its pods.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import define

from clusterlib import controlplane, kwok, processes
from clusterlib.processes import Command
from controller.errors import AlreadyExists
from controller.resource import Resource
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from clusterlib.components import Components
    from clusterlib.outages import Outages
    from clusterlib.state import Record, State
    from controller.resource import Object
    from controller.rest.client import Client

NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
NODE_LEASES: Final = "kube-node-lease"

#: What is built beside what any control plane has.
PROGRAMS: Final = ("kube-controller-manager", "kube-scheduler", "kwok")
LEFT: Final = "left"
RIGHT: Final = "right"

#: Of controllers: no metrics, for which all clusters of a machine would have one port.
NOT_SERVED: Final = "--secure-port=0"

#: The kubelet's lease is renewed each second, and missed after so many. The cluster's own are 10 s
#: and 50 s.
LEASE_SECONDS: Final = 4
GRACE_SECONDS: Final = 8
CONTROLLER_FLAGS: Final = (
    NOT_SERVED,
    "--allocate-node-cidrs=false",
    "--node-monitor-period=1s",
    f"--node-monitor-grace-period={GRACE_SECONDS}s",
    "--node-eviction-rate=10",
    "--kube-api-qps=200",
    "--kube-api-burst=400",
)

#: On a pod, or on the template of one: what a kubelet does not do with it.
LEFT_ALONE: Final = "test.kubelet/starts"
NEVER_ENDS: Final = "test.kubelet/ends"
NO: Final = "never"

_SECONDS_TO_START: Final = 60.0


@define(eq=False)
class Plane:
    """The control plane.

    Args:
        state: Its files.
        record: What it is.
        components: Where the programs are.
        outages: Ends and starts its API server.
    """

    state: State
    record: Record
    components: Components
    outages: Outages

    @property
    def kubeconfig(self) -> str:
        """Its administrator's kubeconfig."""
        return str(self.outages.kubeconfig)

    def start(self, client: Client) -> None:
        """Start the API server anew, with all of its plugins, and the controllers.

        Args:
            client: Of its administrator.
        """
        processes.kill_component(self.state.directory, "kube-apiserver")
        self._run(self._api_server())
        self.outages.wait_for_api()
        layout = self.record.layout
        manager = controlplane.kube_controller_manager(self.state, layout, self.components)
        self._run(Command(manager.name, [*manager.arguments, *CONTROLLER_FLAGS]))
        scheduler = controlplane.kube_scheduler(self.state, self.components)
        self._run(Command(scheduler.name, [*scheduler.arguments, NOT_SERVED]))
        wait_for(
            "the controllers to make accounts",
            lambda: client.list(resources.SERVICE_ACCOUNTS, "default")["items"],
            seconds=_SECONDS_TO_START,
        )

    def add_node(self, client: Client, name: str) -> None:
        """Make a node, or bring back one that was lost, and wait until pods may come to it."""
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        body["metadata"] = {"name": name, "labels": {"kubernetes.io/hostname": name, **_OS}}
        try:
            client.create(NODES, "", body)
        except AlreadyExists:
            client.merge_patch(NODES, "", name, {"metadata": {"labels": _OS}})
        self._run(self._kubelet(name))
        wait_for(
            f"node {name} to renew its lease",
            lambda: [one["metadata"]["name"] for one in client.list(LEASES, NODE_LEASES)["items"]],
            lambda found: name in found,
        )

        def taints() -> object:
            # Again and again, as a kubelet does it: the cluster may have given the node up since.
            room = {"status": _ROOM}
            found = client.merge_patch(NODES, "", name, room, subresource="status")
            return found["spec"].get("taints")

        wait_for(f"node {name} to take pods", taints, lambda found: not found)

    def lose_node(self, name: str) -> None:
        """Let nothing be heard of a node any more."""
        processes.kill_component(self.state.directory, _kubelet_name(name))

    def _run(self, command: Command) -> None:
        processes.start(command, cluster=self.state.directory, logs=self.state.logs)

    def _api_server(self) -> Command:
        """Return the API server's command, with the plugin that looks accounts up.

        Without a controller manager nobody would make them.
        """
        command = controlplane.kube_apiserver(self.state, self.record, self.components)
        kept = [one for one in command.arguments if one != controlplane.WITHOUT_ACCOUNTS]
        assert len(kept) == len(command.arguments) - 1
        return Command(command.name, kept)

    def _kubelet(self, node: str) -> Command:
        configuration = self.state.directory / "kwok.json"
        configuration.write_text("\n---\n".join(map(json.dumps, _stages())))
        return Command(
            _kubelet_name(node),
            [
                str(self.components.program("kwok")),
                f"--kubeconfig={self.state.kubeconfig}",
                f"--config={configuration}",
                f"--manage-single-node={node}",
                f"--cidr={self.record.layout.pods}",
                "--node-ip=127.0.0.1",
                "--server-address=",
                f"--node-lease-duration-seconds={LEASE_SECONDS}",
            ],
        )


_OS: Final = {"kubernetes.io/os": "linux"}
_RESOURCES: Final = {"cpu": "100", "memory": "100Gi", "pods": "100", "ephemeral-storage": "1Ti"}
_ROOM: Final[dict[str, Any]] = {
    "capacity": _RESOURCES,
    "allocatable": _RESOURCES,
    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
}


def _kubelet_name(node: str) -> str:
    return f"kubelet-{node}"


def _stages() -> list[Object]:
    """Return what the kubelets do."""
    scheduled = {"key": ".spec.nodeName", "operator": "Exists"}
    pending = {"key": ".status.phase", "operator": "In", "values": ["Pending"]}
    stays = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
    goes = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
    starts = {"key": f'.metadata.annotations["{LEFT_ALONE}"]', "operator": "DoesNotExist"}
    ends = {"key": f'.metadata.annotations["{NEVER_ENDS}"]', "operator": "DoesNotExist"}
    return [
        kwok.stage(
            "pod-run", "Pod", [scheduled, pending, stays, starts], {"statusTemplate": kwok.RUNNING}
        ),
        kwok.stage("pod-end", "Pod", [scheduled, goes, ends], {"delete": True}),
        # kwok wants one of nodes.
        kwok.stage("node-end", "Node", [goes], {"delete": True}),
    ]
