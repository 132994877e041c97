"""What Prometheus reads because of a ServiceMonitor or a PodMonitor: pure functions.

Where the Prometheus Operator runs, it makes a scrape configuration from them. This makes the same
of the fields that manifests/monitoring uses, and refuses any other (prometheus-operator
pkg/prometheus/promcfg.go, generateServiceMonitorConfig and generatePodMonitorConfig).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object

_SPEC: Final = frozenset({"selector", "namespaceSelector", "endpoints", "podMetricsEndpoints"})
_ENDPOINT: Final = frozenset({"port", "path", "scheme", "honorLabels", "relabelings", "tlsConfig"})
_TLS: Final = {"insecureSkipVerify": "insecure_skip_verify", "serverName": "server_name"}
_RELABELING: Final = {
    "sourceLabels": "source_labels",
    "targetLabel": "target_label",
    "regex": "regex",
    "replacement": "replacement",
    "action": "action",
}


class NotUnderstood(ValueError):
    """A monitor has a field of which this makes nothing."""


def scrape_configs(monitor: Object) -> list[Object]:
    """Return the parts of `scrape_configs` that a monitor stands for.

    Args:
        monitor: A ServiceMonitor or a PodMonitor, with its namespace.

    Raises:
        NotUnderstood: It has a field that is none of those above.
    """
    spec = monitor["spec"]
    _only(spec, _SPEC, "spec")
    make = {"ServiceMonitor": _of_services, "PodMonitor": _of_pods}[monitor["kind"]]
    listed = {"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints"}[monitor["kind"]]
    return [
        _common(monitor, number, endpoint) | make(monitor, endpoint)
        for number, endpoint in enumerate(spec[listed])
    ]


def _common(monitor: Object, number: int, endpoint: Object) -> Object:
    _only(endpoint, _ENDPOINT, "endpoint")
    metadata = monitor["metadata"]
    kind = monitor["kind"][0].lower() + monitor["kind"][1:]
    config = {
        "job_name": f"{kind}/{metadata['namespace']}/{metadata['name']}/{number}",
        "honor_labels": endpoint.get("honorLabels", False),
        "metrics_path": endpoint.get("path", "/metrics"),
        "scheme": endpoint.get("scheme", "http"),
    }
    tls = endpoint.get("tlsConfig", {})
    _only(tls, _TLS.keys(), "tlsConfig")
    return config | ({"tls_config": {_TLS[key]: tls[key] for key in tls}} if tls else {})


def _of_services(monitor: Object, endpoint: Object) -> Object:
    pod = "__meta_kubernetes_endpoint_address_target"
    return _discovered(
        monitor,
        endpoint,
        "endpoints",
        [
            *_selected(monitor["spec"]["selector"], "__meta_kubernetes_service"),
            _keep(endpoint["port"], "__meta_kubernetes_endpoint_port_name"),
            _label("pod", f"{pod}_kind", f"{pod}_name", regex="Pod;(.*)"),
            _label("service", "__meta_kubernetes_service_name"),
            _label("job", "__meta_kubernetes_service_name"),
        ],
    )


def _of_pods(monitor: Object, endpoint: Object) -> Object:
    metadata = monitor["metadata"]
    return _discovered(
        monitor,
        endpoint,
        "pod",
        [
            *_selected(monitor["spec"]["selector"], "__meta_kubernetes_pod"),
            _keep(endpoint["port"], "__meta_kubernetes_pod_container_port_name"),
            _label("pod", "__meta_kubernetes_pod_name"),
            {"target_label": "job", "replacement": f"{metadata['namespace']}/{metadata['name']}"},
        ],
    )


def _discovered(monitor: Object, endpoint: Object, role: str, relabelings: list[Object]) -> Object:
    ended = {
        "action": "drop",
        "source_labels": ["__meta_kubernetes_pod_phase"],
        "regex": "(Failed|Succeeded)",
    }
    return {
        "kubernetes_sd_configs": [{"role": role, **_namespaces(monitor)}],
        "relabel_configs": [
            ended,
            *relabelings,
            _label("namespace", "__meta_kubernetes_namespace"),
            _label("container", "__meta_kubernetes_pod_container_name"),
            {"target_label": "endpoint", "replacement": endpoint["port"]},
            *map(_own_relabeling, endpoint.get("relabelings", ())),
        ],
    }


def _namespaces(monitor: Object) -> Object:
    selector = monitor["spec"].get("namespaceSelector", {})
    if selector.get("any"):
        return {}
    return {"namespaces": {"names": selector.get("matchNames", [monitor["metadata"]["namespace"]])}}


def _selected(selector: Object, of: str) -> Iterator[Object]:
    _only(selector, {"matchLabels", "matchExpressions"}, "selector")
    for name, value in selector.get("matchLabels", {}).items():
        label = _sanitized(name)
        yield _keep(f"({value});true", f"{of}_label_{label}", f"{of}_labelpresent_{label}")
    for expression in selector.get("matchExpressions", ()):
        if expression["operator"] != "Exists":
            raise NotUnderstood(f"operator {expression['operator']} of a selector")
        yield _keep("true", f"{of}_labelpresent_{_sanitized(expression['key'])}")


def _own_relabeling(relabeling: Object) -> Object:
    _only(relabeling, _RELABELING.keys(), "relabeling")
    return {_RELABELING[key]: value for key, value in relabeling.items()}


def _keep(regex: str, *source_labels: str) -> Object:
    return {"action": "keep", "source_labels": list(source_labels), "regex": regex}


def _label(target: str, *source_labels: str, regex: str = "(.*)") -> Object:
    return {"target_label": target, "source_labels": list(source_labels), "regex": regex}


def _sanitized(name: str) -> str:
    """Return a label's name as Prometheus has it among those that it has discovered."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _only(found: Any, understood: Any, what: str) -> None:
    unknown = set(found) - set(understood)
    if unknown:
        raise NotUnderstood(f"{', '.join(sorted(unknown))} of a monitor's {what}")
