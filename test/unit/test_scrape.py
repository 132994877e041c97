"""A scrape configuration is made of a monitor as the Prometheus Operator makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from e2e import monitored
from e2e.scrape import NotUnderstood, scrape_configs

if TYPE_CHECKING:
    from controller.resource import Object

PHASE = "__meta_kubernetes_pod_phase"


def monitor(kind: str, spec: Any) -> Object:
    return {"kind": kind, "metadata": {"namespace": "kanister", "name": "mine"}, "spec": spec}


def service_monitor(endpoint: Any = None, **spec: Any) -> Object:
    port = {"port": "metrics", **(endpoint or {})}
    selector = {"matchLabels": {"app.kubernetes.io/name": "mine.x"}}
    return monitor("ServiceMonitor", {"selector": selector, "endpoints": [port], **spec})


def pod_monitor(**selector: Any) -> Object:
    ports = [{"port": "metrics"}]
    return monitor("PodMonitor", {"selector": selector, "podMetricsEndpoints": ports})


def relabelings(found: Object, action: str) -> list[tuple[Any, Any]]:
    """Return the labels and the expression of each relabeling with an action."""
    return [
        (tuple(one["source_labels"]), one["regex"])
        for one in found["relabel_configs"]
        if one.get("action") == action
    ]


def labels(found: Object) -> dict[str, Any]:
    """Return what the labels of a target are made of."""
    return {
        one["target_label"]: one.get("replacement") or tuple(one["source_labels"])
        for one in found["relabel_configs"]
        if "target_label" in one
    }


def test_a_service_monitor_keeps_the_ports_of_its_services() -> None:
    (found,) = scrape_configs(service_monitor())

    assert found["job_name"] == "serviceMonitor/kanister/mine/0"
    assert found["kubernetes_sd_configs"] == [
        {"role": "endpoints", "namespaces": {"names": ["kanister"]}}
    ]
    name = "app_kubernetes_io_name"
    assert relabelings(found, "keep") == [
        (
            (
                f"__meta_kubernetes_service_label_{name}",
                f"__meta_kubernetes_service_labelpresent_{name}",
            ),
            "(mine.x);true",
        ),
        (("__meta_kubernetes_endpoint_port_name",), "metrics"),
    ]
    assert relabelings(found, "drop") == [((PHASE,), "(Failed|Succeeded)")]
    assert labels(found) == {
        "namespace": ("__meta_kubernetes_namespace",),
        "service": ("__meta_kubernetes_service_name",),
        "job": ("__meta_kubernetes_service_name",),
        "pod": (
            "__meta_kubernetes_endpoint_address_target_kind",
            "__meta_kubernetes_endpoint_address_target_name",
        ),
        "container": ("__meta_kubernetes_pod_container_name",),
        "endpoint": "metrics",
    }


def test_a_pod_monitor_keeps_the_ports_of_its_pods() -> None:
    key = "cr.kanister.io/repository-server"
    (found,) = scrape_configs(pod_monitor(matchExpressions=[{"key": key, "operator": "Exists"}]))

    assert found["job_name"] == "podMonitor/kanister/mine/0"
    assert found["kubernetes_sd_configs"][0]["role"] == "pod"
    assert relabelings(found, "keep") == [
        (("__meta_kubernetes_pod_labelpresent_cr_kanister_io_repository_server",), "true"),
        (("__meta_kubernetes_pod_container_port_name",), "metrics"),
    ]
    assert labels(found)["job"] == "kanister/mine"
    assert labels(found)["pod"] == ("__meta_kubernetes_pod_name",)


@pytest.mark.parametrize(
    ("selector", "namespaces"),
    [
        pytest.param({"any": True}, None, id="any: no limit"),
        pytest.param({"matchNames": ["a", "b"]}, {"names": ["a", "b"]}, id="named: those"),
    ],
)
def test_the_namespaces_are_those_that_the_monitor_selects(selector: Any, namespaces: Any) -> None:
    (found,) = scrape_configs(service_monitor(namespaceSelector=selector))

    assert found["kubernetes_sd_configs"][0].get("namespaces") == namespaces


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        pytest.param(
            {},
            {"scheme": "http", "metrics_path": "/metrics", "honor_labels": False},
            id="what nobody says",
        ),
        pytest.param({"honorLabels": True}, {"honor_labels": True}, id="the labels of the target"),
        pytest.param({"path": "/federate"}, {"metrics_path": "/federate"}, id="the path"),
        pytest.param(
            {"scheme": "https", "tlsConfig": {"serverName": "a", "insecureSkipVerify": True}},
            {"scheme": "https", "tls_config": {"server_name": "a", "insecure_skip_verify": True}},
            id="TLS",
        ),
    ],
)
def test_a_field_of_an_endpoint_is_in_the_configuration(endpoint: Any, expected: Object) -> None:
    (found,) = scrape_configs(service_monitor(endpoint))

    assert found.items() >= expected.items()


def test_relabelings_of_a_monitor_come_last() -> None:
    own = {"sourceLabels": ["pod"], "targetLabel": "instance", "regex": "(.*)"}

    (found,) = scrape_configs(service_monitor({"relabelings": [own]}))

    assert found["relabel_configs"][-1] == {
        "source_labels": ["pod"],
        "target_label": "instance",
        "regex": "(.*)",
    }


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        pytest.param(service_monitor(sampleLimit=1), "sampleLimit", id="of the specification"),
        pytest.param(service_monitor({"interval": "1s"}), "interval", id="of an endpoint"),
        pytest.param(service_monitor({"tlsConfig": {"ca": {}}}), "ca", id="of TLS"),
        pytest.param(
            service_monitor({"relabelings": [{"modulus": 2}]}), "modulus", id="of a relabeling"
        ),
        pytest.param(
            pod_monitor(matchExpressions=[{"key": "a", "operator": "In", "values": []}]),
            "operator In",
            id="of a selector",
        ),
    ],
)
def test_a_field_that_would_be_left_out_is_refused(wrong: Object, named: str) -> None:
    with pytest.raises(NotUnderstood, match=named):
        scrape_configs(wrong)


def test_the_monitors_of_the_manifests_are_understood() -> None:
    names = [one["job_name"] for each in monitored.monitors("a") for one in scrape_configs(each)]

    assert "serviceMonitor/a/repository-server-controller/0" in names
    assert len(set(names)) == len(names)
