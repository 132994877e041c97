"""The Service and the NetworkPolicy."""

from fakes import objects
from fakes.children import (
    DIGEST,
    inputs,
    server,
)
from reconcilers.repositoryserver.children import network
from reconcilers.repositoryserver.children.pod import template


def test_the_service_routes_to_the_pod_with_the_digest() -> None:
    assert network.service(server(), DIGEST)["spec"] == {
        "type": "ClusterIP",
        "selector": {
            "cr.kanister.io/repository-server": objects.NAME,
            "cr.kanister.io/digest": DIGEST,
        },
        "ports": [{"name": "https", "port": 51515, "protocol": "TCP", "targetPort": 51515}],
    }
    pod = template(server(), inputs(), DIGEST)
    selector = network.service(server(), DIGEST)["spec"]["selector"]
    assert selector.items() <= pod["metadata"]["labels"].items()


def test_only_the_namespace_and_the_named_peers_may_connect() -> None:
    peer = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
    of = server({"spec": {"server": {"networkPolicy": {"from": [peer]}}}})

    assert network.network_policy(of)["spec"] == {
        "podSelector": {"matchLabels": {"cr.kanister.io/repository-server": objects.NAME}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"podSelector": {}}, peer],
                "ports": [{"port": 51515, "protocol": "TCP"}],
            }
        ],
    }
