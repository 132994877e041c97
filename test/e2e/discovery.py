"""What the discovery of Prometheus finds in a cluster: pure functions.

Debian's Prometheus is built without that for Kubernetes. What it would find is given to it as
static targets, with the labels that its discovery sets, so that it chooses among them by itself
(prometheus discovery/kubernetes/endpoints.go and pod.go).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from controller.resource import Object

_META: Final = "__meta_kubernetes_"
DISCOVERY: Final = "kubernetes_sd_configs"


@frozen
class Seen:
    """What there is in the cluster.

    Args:
        services: The Services.
        endpoints: The Endpoints, each with the name of its Service.
        pods: The pods.
    """

    services: Sequence[Object]
    endpoints: Sequence[Object]
    pods: Sequence[Object]


@frozen
class _Target:
    address: str
    labels: dict[str, str]


def static(config: Object, seen: Seen) -> Object:
    """Return a scrape configuration with the targets that its discovery would find.

    Args:
        config: One of `scrape.scrape_configs`.
        seen: What there is in the cluster.
    """
    (discovery,) = config[DISCOVERY]
    namespaces = discovery.get("namespaces", {}).get("names")
    targets = [
        target
        for target in _ROLES[discovery["role"]](seen)
        if namespaces is None or target.labels[f"{_META}namespace"] in namespaces
    ]
    rest = {key: value for key, value in config.items() if key != DISCOVERY}
    found = [{"targets": [one.address], "labels": one.labels} for one in targets]
    return {**rest, "static_configs": found}


def _of_endpoints(seen: Seen) -> Iterator[_Target]:
    services = {_key(service): service for service in seen.services}
    pods = {_key(pod): pod for pod in seen.pods}
    for endpoints in seen.endpoints:
        namespace, name = _key(endpoints)
        service = services.get((namespace, name))
        for subset in endpoints.get("subsets") or ():
            for address in subset.get("addresses") or ():
                target = address.get("targetRef") or {}
                pod = pods.get((namespace, target.get("name", "")))
                for port in subset.get("ports") or ():
                    labels = {
                        f"{_META}namespace": namespace,
                        f"{_META}endpoint_port_name": port.get("name", ""),
                        f"{_META}endpoint_address_target_kind": target.get("kind", ""),
                        f"{_META}endpoint_address_target_name": target.get("name", ""),
                        **(_own_labels(service, "service") if service is not None else {}),
                        **(_of_pod(pod) if pod is not None else {}),
                        **_container_with(pod, port["port"]),
                    }
                    yield _Target(f"{address['ip']}:{port['port']}", labels)


def _of_pods(seen: Seen) -> Iterator[_Target]:
    for pod in seen.pods:
        address = (pod.get("status") or {}).get("podIP")
        # Without an address it cannot be read.
        for container in pod["spec"]["containers"] if address else ():
            for port in container.get("ports") or ():
                labels = {
                    f"{_META}namespace": pod["metadata"]["namespace"],
                    f"{_META}pod_container_name": container["name"],
                    f"{_META}pod_container_port_name": port.get("name", ""),
                    **_of_pod(pod),
                }
                yield _Target(f"{address}:{port['containerPort']}", labels)


_ROLES: Final[dict[str, Callable[[Seen], Iterator[_Target]]]] = {
    "endpoints": _of_endpoints,
    "pod": _of_pods,
}


def _of_pod(pod: Object) -> dict[str, str]:
    phase = (pod.get("status") or {}).get("phase", "")
    return {**_own_labels(pod, "pod"), f"{_META}pod_phase": phase}


def _own_labels(obj: Object, kind: str) -> dict[str, str]:
    found = {f"{_META}{kind}_name": obj["metadata"]["name"]}
    for name, value in (obj["metadata"].get("labels") or {}).items():
        label = re.sub(r"[^a-zA-Z0-9_]", "_", name)
        found[f"{_META}{kind}_label_{label}"] = value
        found[f"{_META}{kind}_labelpresent_{label}"] = "true"
    return found


def _container_with(pod: Object | None, port: int) -> dict[str, str]:
    """Return the label for the container that has a port."""
    containers = [] if pod is None else pod["spec"]["containers"]
    names = [
        one["name"]
        for one in containers
        if port in {each["containerPort"] for each in one.get("ports") or ()}
    ]
    return {f"{_META}pod_container_name": names[0]} if names else {}


def _key(obj: Object) -> tuple[str, str]:
    metadata = obj["metadata"]
    return metadata["namespace"], metadata["name"]
