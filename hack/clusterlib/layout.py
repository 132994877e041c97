"""The addresses and ports of a cluster, computed from its slot so that no two clusters share any.

Pure: no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

# Set aside for tests of network devices (RFC 2544): no office network or VPN uses it.
_RANGE = IPv4Network("198.18.0.0/15")
_CLUSTER_PREFIX = 18
NODE_SLOTS = 2 ** (_CLUSTER_PREFIX - _RANGE.prefixlen)

_FIRST_PORT = 26400
_PORTS_EACH = 10
CONTROL_PLANE_SLOTS = 100


@dataclass(frozen=True)
class Layout:
    """Where one cluster listens.

    Attributes:
        host: the host's end of the link to the node; None without a node.
        node: the address of the apiserver, and of the node if there is one.
        link_prefix: prefix length of the link.
        pods: addresses for pods.
        services: addresses for Services.
        api_port: of kube-apiserver.
        etcd_port: for clients of etcd.
        etcd_peer_port: etcd insists on one.
    """

    host: IPv4Address | None
    node: IPv4Address
    link_prefix: int
    pods: IPv4Network
    services: IPv4Network
    api_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def server(self) -> str:
        """The URL of kube-apiserver."""
        return f"https://{self.node}:{self.api_port}"

    @property
    def kubernetes_service(self) -> IPv4Address:
        """The cluster IP of the Service `kubernetes`: always the first of the range."""
        return self.services[1]

    @property
    def dns_service(self) -> IPv4Address:
        """The cluster IP of the cluster's DNS."""
        return self.services[10]


def with_node(slot: int) -> Layout:
    """Return the layout of a cluster that has a node, in a network namespace of its own."""
    clusters = list(_RANGE.subnets(new_prefix=_CLUSTER_PREFIX))
    quarters = list(clusters[slot].subnets(prefixlen_diff=2))
    link = next(quarters[0].subnets(new_prefix=24))
    return Layout(
        host=link[1],
        node=link[2],
        link_prefix=link.prefixlen,
        services=quarters[1],
        pods=quarters[2],
        api_port=6443,
        etcd_port=2379,
        etcd_peer_port=2380,
    )


def control_plane_only(slot: int) -> Layout:
    """Return the layout of a control plane that shares the machine's loopback with others."""
    first = _FIRST_PORT + slot * _PORTS_EACH
    return Layout(
        host=None,
        node=IPv4Address("127.0.0.1"),
        link_prefix=8,
        # Nothing routes here; kube-apiserver and fake nodes only hand the addresses out.
        services=IPv4Network("10.0.0.0/16"),
        pods=IPv4Network("10.1.0.0/16"),
        api_port=first,
        etcd_port=first + 1,
        etcd_peer_port=first + 2,
    )


def ports(layout: Layout) -> Iterable[int]:
    """Return the ports that the control plane binds."""
    return (layout.api_port, layout.etcd_port, layout.etcd_peer_port)


def free_slot(slots: int, taken: Container[int]) -> int | None:
    """Return the lowest slot that no cluster has, or None if all are taken."""
    return next((slot for slot in range(slots) if slot not in taken), None)
