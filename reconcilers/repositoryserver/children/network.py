"""How clients reach a server: its Service, and the NetworkPolicy that keeps others out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from reconcilers.repositoryserver.api import PORT
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconcilers.repositoryserver.api import RepositoryServer


def service(server: RepositoryServer, selected: str) -> dict[str, Any]:
    """Return the Service.

    Args:
        server: The resource.
        selected: Hash of the Pod that it routes to; `NO_HASH` where there is none.
    """
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": names.metadata(server, names.stable_name(server)),
        "spec": {
            "type": "ClusterIP",
            "selector": {**names.selector(server), names.LABEL_HASH: selected},
            "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": PORT}],
        },
    }


def network_policy(server: RepositoryServer) -> dict[str, Any]:
    """Return the NetworkPolicy: each port, from the server's namespace and its own peers only."""
    ingress = [_rule(PORT, server.peers)]
    if server.metrics is not None:
        ingress.append(_rule(server.metrics.port, server.metrics.peers))
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(server, names.stable_name(server)),
        "spec": {
            "podSelector": {"matchLabels": names.selector(server)},
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def without_peers(server: RepositoryServer) -> dict[str, Any]:
    """Return the NetworkPolicy that leaves all ports to the pods of the namespace."""
    metrics = None if server.metrics is None else evolve(server.metrics, peers=())
    return network_policy(evolve(server, peers=(), metrics=metrics))


def _rule(port: int, peers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "from": [{"podSelector": {}}, *peers],
        "ports": [{"port": port, "protocol": "TCP"}],
    }
