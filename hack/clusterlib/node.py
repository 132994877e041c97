"""The node: containerd, kubelet, kube-proxy, kube-router, their configuration and readiness."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from clusterlib import controlplane, images, namespace, processes, waiting
from clusterlib.errors import ClusterError
from clusterlib.processes import Command

if TYPE_CHECKING:
    from pathlib import Path

    from clusterlib.api import Api
    from clusterlib.components import Components
    from clusterlib.layout import Layout
    from clusterlib.state import State

POLICY_AGENT = "kube-router"
# What is built here runs beside Debian's containerd, in the order in which it starts.
BUILT_AGENTS = ("kubelet", "kube-proxy", POLICY_AGENT)
AGENTS = (namespace.INIT, "containerd", *BUILT_AGENTS)

# Elsewhere kube-proxy and kube-router run in pods that ask for no CPU, or for a quarter of one, and
# get a tenth of what the kubelet gets where it is scarce. kube-router makes all rules anew for each
# change; what changes meanwhile goes into one.
POD_NICE = 10

CONTAINERD_TIMEOUT_SECONDS = 60.0
NODE_TIMEOUT_SECONDS = 180.0
POLICY_TIMEOUT_SECONDS = 90.0

# Inside the node, whose /run and /var/lib are its own; outside nothing is there.
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

_CONTAINERD = """\
version = 2
# The opt plugin would make a directory in /opt, which the node shares with the machine.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE nothing may lower its OOM score below its parent's.
  restrict_oom_score_adj = true

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
"""


def containerd(state: State, components: Components) -> Command:
    """Write containerd's configuration and return its command line."""
    file = _directory(state) / "containerd.toml"
    pause = images.reference(images.PAUSE, components)
    file.write_text(_CONTAINERD.format(pause=pause, cni=_directory(state) / "cni"))
    return Command("containerd", ["/usr/bin/containerd", "--config", str(file)])


def wait_for_containerd(state: State, prefix: list[str]) -> None:
    """Wait until containerd answers.

    Raises:
        ClusterError: it did not in time.
    """
    waiting.until(
        lambda: processes.succeeds([*prefix, "ctr", "version"]),
        what="containerd to answer",
        timeout_seconds=CONTAINERD_TIMEOUT_SECONDS,
        log=state.logs / "containerd.log",
    )


def agents(state: State, layout: Layout, components: Components) -> list[Command]:
    """Return the command lines of kubelet and kube-proxy."""
    directory, name = _directory(state), controlplane.node_name(state)
    kubelet = [
        f"--config={directory / 'kubelet.json'}",
        f"--kubeconfig={state.component_kubeconfig('kubelet')}",
        f"--hostname-override={name}",
        f"--node-ip={layout.node}",
    ]
    kube_proxy = [f"--config={directory / 'kube-proxy.json'}", f"--hostname-override={name}"]
    return [
        Command("kubelet", [str(components.program("kubelet")), *kubelet]),
        Command("kube-proxy", [str(components.program("kube-proxy")), *kube_proxy], nice=POD_NICE),
    ]


def policy_agent(state: State, layout: Layout, components: Components) -> Command:
    """Return kube-router's command line; it ends at once where the node is not registered."""
    return Command(
        POLICY_AGENT,
        [
            str(components.program(POLICY_AGENT)),
            f"--kubeconfig={state.component_kubeconfig(POLICY_AGENT)}",
            f"--hostname-override={controlplane.node_name(state)}",
            f"--service-cluster-ip-range={layout.services}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
        ],
        nice=POD_NICE,
    )


def write_configuration(state: State, layout: Layout) -> None:
    """Write the files that the agents read."""
    directory = _directory(state)
    _write(directory / "kubelet.json", kubelet_configuration(state, layout))
    _write(directory / "kube-proxy.json", kube_proxy_configuration(state, layout))
    (directory / "cni").mkdir(exist_ok=True)  # containerd makes it as well
    _write(directory / "cni" / "bridge.conflist", network_configuration(layout))


def kubelet_configuration(state: State, layout: Layout) -> dict[str, Any]:
    """Return the KubeletConfiguration."""
    authority = state.authority
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": str(authority.certificate)}},
        "tlsCertFile": str(authority.certificate_of("kubelet")),
        "tlsPrivateKeyFile": str(authority.key_of("kubelet")),
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [str(layout.dns_service)],
        "clusterDomain": controlplane.CLUSTER_DOMAIN,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": namespace.group_of(state),
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        # Sysctls and limits that the machine does not let us set are left as they are.
        "featureGates": {"KubeletInUserNamespace": True},
        # The machine's disk is not the cluster's to judge: no eviction, no image deleted.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        # How full volumes are. By default it is a minute or two until a new one is measured.
        "volumeStatsAggPeriod": "10s",
    }


def kube_proxy_configuration(state: State, layout: Layout) -> dict[str, Any]:
    """Return the KubeProxyConfiguration."""
    kubeconfig = str(state.component_kubeconfig("kube-proxy"))
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": kubeconfig},
        "clusterCIDR": str(layout.pods),
        # kube-proxy tries again only after this time when its rules could not be written
        # (kubernetes pkg/proxy/nftables/proxier.go, syncProxyRules). The default is 30 s, in which
        # no new pod is reached.
        "nftables": {"syncPeriod": "5s"},
        # 0 leaves the machine's settings alone.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def network_configuration(layout: Layout) -> dict[str, Any]:
    """Return the CNI configuration: one bridge; the machine has a route to the pods."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(layout.pods)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [{**bridge, "ipam": addresses}, ports],
    }


def is_ready(state: State, api: Api) -> bool:
    """Tell whether the node says that it is ready."""
    return api.has_condition(f"/api/v1/nodes/{controlplane.node_name(state)}", "Ready")


def wait_until_ready(state: State, api: Api) -> None:
    """Wait until the node says that it is ready.

    Raises:
        ClusterError: it did not in time.
    """
    waiting.until(
        lambda: is_ready(state, api),
        what="the node to be ready",
        timeout_seconds=NODE_TIMEOUT_SECONDS,
        log=state.logs / "kubelet.log",
    )


def policies_are_enforced(state: State) -> bool:
    """Tell whether kube-router has set up its filter, through which all packets to pods go."""
    try:
        inside = namespace.enter(state)
    except ClusterError:
        return False
    return processes.succeeds([*inside, "iptables", "--list-rules", "KUBE-ROUTER-FORWARD"])


def wait_for_policies(state: State) -> None:
    """Wait until NetworkPolicies are enforced.

    Raises:
        ClusterError: they were not in time.
    """
    waiting.until(
        lambda: policies_are_enforced(state),
        what="NetworkPolicies to be enforced",
        timeout_seconds=POLICY_TIMEOUT_SECONDS,
        log=state.logs / f"{POLICY_AGENT}.log",
    )


def _directory(state: State) -> Path:
    return state.directory / "node"


def _write(file: Path, document: dict[str, Any]) -> None:
    file.write_text(json.dumps(document, indent=2))
