"""What runs in the cluster from its start: its DNS."""

from __future__ import annotations

import os
from string import Template
from typing import TYPE_CHECKING

from clusterlib import controlplane, dns, images, paths, waiting
from clusterlib.processes import run, without_proxies

if TYPE_CHECKING:
    from clusterlib.components import Components
    from clusterlib.layout import Layout
    from clusterlib.state import State

DNS_MANIFEST = paths.HACK / "clusterlib" / "coredns.yaml"
DNS_TIMEOUT_SECONDS = 120.0


def apply_dns(state: State, layout: Layout, components: Components) -> None:
    """Create CoreDNS and its Service in the cluster."""
    manifest = Template(DNS_MANIFEST.read_text()).substitute(
        image=images.reference(images.COREDNS, components),
        address=layout.dns_service,
        domain=controlplane.CLUSTER_DOMAIN,
    )
    kubectl = [str(components.program("kubectl")), f"--kubeconfig={state.kubeconfig}"]
    run(
        [*kubectl, "apply", "--filename=-"],
        what="creating the cluster's DNS",
        text=manifest,
        environment=without_proxies(os.environ),
    )


def dns_is_ready(layout: Layout) -> bool:
    """Tell whether the cluster's DNS answers with the address of the Service `kubernetes`."""
    name = f"kubernetes.default.svc.{controlplane.CLUSTER_DOMAIN}"
    return dns.lookup(str(layout.dns_service), name) == str(layout.kubernetes_service)


def wait_for_dns(state: State, layout: Layout) -> None:
    """Wait until the cluster's DNS answers.

    Raises:
        ClusterError: it did not in time.
    """
    waiting.until(
        lambda: dns_is_ready(layout),
        what="the cluster's DNS; `kubectl -n kube-system describe pods` tells more",
        timeout_seconds=DNS_TIMEOUT_SECONDS,
        log=state.logs / "kubelet.log",
    )
