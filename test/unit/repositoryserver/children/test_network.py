"""The Service and the NetworkPolicy."""

from typing import Any

import pytest

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


PROMETHEUS = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
CLIENTS = {"namespaceSelector": {"matchLabels": {"team": "a"}}}
OWN: Any = {"podSelector": {}}


def rules(policy: dict[str, Any]) -> dict[int, list[Any]]:
    """Return the peers of each port."""
    return {
        port["port"]: rule["from"] for rule in policy["spec"]["ingress"] for port in rule["ports"]
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(
            {"networkPolicy": {"from": [CLIENTS]}},
            {51515: [OWN, CLIENTS]},
            id="by default there are none, on no port",
        ),
        pytest.param(
            {"metrics": {}}, {51515: [OWN], 51516: [OWN]}, id="the namespace may read them"
        ),
        pytest.param(
            {
                "networkPolicy": {"from": [CLIENTS]},
                "metrics": {"port": 9090, "from": [PROMETHEUS]},
            },
            {51515: [OWN, CLIENTS], 9090: [OWN, PROMETHEUS]},
            id="who may connect may not read them, and the other way round",
        ),
    ],
)
def test_kopias_metrics_have_peers_of_their_own(spec: Any, expected: Any) -> None:
    of = server({"spec": {"server": spec}})

    assert rules(network.network_policy(of)) == expected
    assert rules(network.without_peers(of)) == {port: [OWN] for port in expected}
