"""How clients reach a server: its Service, and the NetworkPolicy that keeps others out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconcilers.repositoryserver.api import PORT
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
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
    """Return the NetworkPolicy: the server's port, from its namespace and the named peers only."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(server, names.stable_name(server)),
        "spec": {
            "podSelector": {"matchLabels": names.selector(server)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"podSelector": {}}, *server.peers],
                    "ports": [{"port": PORT, "protocol": "TCP"}],
                }
            ],
        },
    }
