"""The targets that a Prometheus is given are those that it would find in Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from e2e import discovery

if TYPE_CHECKING:
    from controller.resource import Object


def metadata(name: str, namespace: str = "kanister", **labels: str) -> Object:
    return {"namespace": namespace, "name": name, "labels": labels}


def pod(name: str, address: str, *ports: tuple[str, int], phase: str = "Running") -> Object:
    listed = [{"name": port, "containerPort": number} for port, number in ports]
    return {
        "metadata": metadata(name, app="mine"),
        "spec": {"containers": [{"name": "sidecar"}, {"name": "main", "ports": listed}]},
        "status": {"phase": phase, **({"podIP": address} if address else {})},
    }


def endpoints(name: str, address: str, target: str) -> Object:
    reference = {"kind": "Pod", "name": target}
    subset = {
        "addresses": [{"ip": address, "targetRef": reference}],
        "ports": [{"name": "metrics", "port": 8080}, {"name": "probes", "port": 8081}],
    }
    return {"metadata": metadata(name), "subsets": [subset]}


SEEN = discovery.Seen(
    services=[{"metadata": metadata("mine-metrics", **{"app.kubernetes.io/name": "mine"})}],
    endpoints=[
        endpoints("mine-metrics", "10.0.0.1", "one"),
        {"metadata": metadata("nowhere")},
        {**endpoints("elsewhere", "10.0.0.9", "nine"), "metadata": metadata("elsewhere", "b")},
    ],
    pods=[
        pod("one", "10.0.0.1", ("metrics", 8080), ("probes", 8081)),
        pod("waits", "", ("metrics", 8080), phase="Pending"),
    ],
)
META = "__meta_kubernetes_"


def found(role: str, namespaces: Any = None) -> dict[str, Object]:
    """Return the labels of the targets of a role by their addresses."""
    limit = {} if namespaces is None else {"namespaces": {"names": namespaces}}
    config = {"job_name": "a", discovery.DISCOVERY: [{"role": role, **limit}]}
    made = discovery.static(config, SEEN)
    assert made.keys() == {"job_name", "static_configs"}
    return {one["targets"][0]: one["labels"] for one in made["static_configs"]}


def test_each_port_of_each_address_is_a_target() -> None:
    assert set(found("endpoints")) == {
        *("10.0.0.1:8080", "10.0.0.1:8081"),
        *("10.0.0.9:8080", "10.0.0.9:8081"),
    }
    assert set(found("pod")) == {"10.0.0.1:8080", "10.0.0.1:8081"}, "one has no address"


@pytest.mark.parametrize("role", ["endpoints", "pod"])
def test_other_namespaces_are_left_out(role: str) -> None:
    assert set(found(role, ["kanister"])) == {"10.0.0.1:8080", "10.0.0.1:8081"}
    assert found(role, ["c"]) == {}


def test_an_address_has_the_labels_of_its_service_and_its_pod() -> None:
    assert found("endpoints")["10.0.0.1:8080"] == {
        f"{META}namespace": "kanister",
        f"{META}service_name": "mine-metrics",
        f"{META}service_label_app_kubernetes_io_name": "mine",
        f"{META}service_labelpresent_app_kubernetes_io_name": "true",
        f"{META}endpoint_port_name": "metrics",
        f"{META}endpoint_address_target_kind": "Pod",
        f"{META}endpoint_address_target_name": "one",
        f"{META}pod_name": "one",
        f"{META}pod_label_app": "mine",
        f"{META}pod_labelpresent_app": "true",
        f"{META}pod_phase": "Running",
        f"{META}pod_container_name": "main",
    }


def test_a_port_of_a_pod_has_the_labels_of_the_pod() -> None:
    assert found("pod")["10.0.0.1:8081"] == {
        f"{META}namespace": "kanister",
        f"{META}pod_name": "one",
        f"{META}pod_label_app": "mine",
        f"{META}pod_labelpresent_app": "true",
        f"{META}pod_phase": "Running",
        f"{META}pod_container_name": "main",
        f"{META}pod_container_port_name": "probes",
    }
