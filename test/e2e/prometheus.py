"""A Prometheus in the cluster, which reads what the monitors of manifests/monitoring select."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import yaml
from attrs import frozen

from controller.resource import Resource
from e2e import discovery
from e2e.cluster import CLIENTS, NAMESPACE, NODES, Cluster
from e2e.discovery import Seen
from e2e.kubectl import TIMEOUT_SECONDS
from e2e.monitored import groups, monitors
from e2e.release import program
from e2e.scrape import scrape_configs
from e2e.waiting import wait_for
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.resource import Object

ENDPOINTS: Final = Resource("", "v1", "endpoints", "Endpoints")

POD: Final = "prometheus"
#: Of what has no namespace.
CLUSTER_WIDE: Final = f"{NAMESPACE}-prometheus"
KUBELET: Final = "kubelet"

_RBAC: Final = "rbac.authorization.k8s.io"
_TOKEN: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CONFIG: Final = "/etc/prometheus"
_WORK: Final = "/work"
# The program comes when the pod runs: it is in no image.
_START: Final = f"""
until [ -x {_WORK}/prometheus ]; do sleep 0.1; done
exec {_WORK}/prometheus --config.file={_CONFIG}/prometheus.yaml \
  --storage.tsdb.path={_WORK}/data --web.listen-address=localhost:9090
"""
_RECEIVE: Final = (
    f"cat > {_WORK}/received && chmod +x {_WORK}/received && mv {_WORK}/received {_WORK}/prometheus"
)
_CONNECT: Final = """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
"""
# Prints one answer a path. What is wrong with an expression is in the body of a 400.
_ASK: Final = """
import json, sys, urllib.error, urllib.request
def answer(path):
    try:
        with urllib.request.urlopen("http://localhost:9090" + path) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)
print(json.dumps([answer(path) for path in json.loads(sys.argv[1])]))
"""


@frozen
class Prometheus:
    """The pod, in the namespace of the clients.

    Attributes:
        cluster: Where it is.
    """

    cluster: Cluster

    def start(self) -> None:
        """Start it, to read what there is now, and give it the right to read the kubelets."""
        self.remove()
        files = configuration(self._seen(), self._kubelets())
        self.cluster.kubectl.apply([*_rights(), _config_map(files)])
        self.cluster.kubectl.create([self._pod()])
        self.cluster.kubectl.wait(CLIENTS, f"pod/{POD}", "jsonpath={.status.phase}=Running")
        with open(program("prometheus"), "rb") as file:  # noqa: PTH123 - for a process
            subprocess.run(  # noqa: S603 - a program that the test run names
                self.cluster.kubectl.command(
                    *("exec", "--stdin", f"--namespace={CLIENTS}", POD),
                    *("--", "/bin/sh", "-euc", _RECEIVE),
                ),
                stdin=file,
                timeout=TIMEOUT_SECONDS,
                check=True,
            )
        wait_for("Prometheus to answer", self._is_ready)

    def ready(self, service: str) -> int:
        """Return how many pods of a Service of the controllers are ready.

        Args:
            service: Its name.
        """
        found = self.cluster.get(ENDPOINTS, service) or {}
        return sum(len(one.get("addresses") or ()) for one in found.get("subsets") or ())

    def remove(self) -> None:
        """Remove what is cluster-wide; the rest goes with the namespace."""
        for kind in ("clusterrole", "clusterrolebinding"):
            self.cluster.kubectl.run("delete", "--ignore-not-found", kind, CLUSTER_WIDE)

    def answers(self, expressions: Iterable[str]) -> list[list[Object]]:
        """Return the series that each expression has now.

        Raises:
            AssertionError: Prometheus refuses one.
        """
        queries = [f"/api/v1/query?{urlencode({'query': text})}" for text in expressions]
        return [data["result"] for data in self._ask(queries)]

    def metrics(self) -> set[str]:
        """Return the names of all metrics that it has read."""
        (names,) = self._ask(["/api/v1/label/__name__/values"])
        return set(names)

    def troubles(self) -> dict[str, str]:
        """Return why it cannot read a target, by the target's URL."""
        (data,) = self._ask(["/api/v1/targets?state=active"])
        return {
            one["scrapeUrl"]: one["lastError"] or "not read yet"
            for one in data["activeTargets"]
            if one["health"] != "up"
        }

    def alerts(self) -> list[Object]:
        """Return the alerts that fire."""
        (data,) = self._ask(["/api/v1/alerts"])
        return [alert for alert in data["alerts"] if alert["state"] == "firing"]

    def reaches(self, address: str, port: int) -> bool:
        """Return whether a connection is made from its pod."""
        ran = self.cluster.kubectl.attempt(
            *("exec", f"--namespace={CLIENTS}", POD),
            *("--", "python3", "-c", _CONNECT, address, str(port)),
        )
        return ran.code == 0

    def _ask(self, paths: list[str]) -> list[Any]:
        printed = self.cluster.kubectl.run(
            *("exec", f"--namespace={CLIENTS}", POD),
            *("--", "python3", "-c", _ASK, json.dumps(paths)),
        )
        answers = json.loads(printed)
        wrong = [one for one in zip(paths, answers, strict=True) if one[1]["status"] != "success"]
        assert wrong == []
        return [answer["data"] for answer in answers]

    def _is_ready(self) -> bool:
        ran = self.cluster.kubectl.attempt(
            *("exec", f"--namespace={CLIENTS}", POD),
            *("--", "python3", "-c", _ASK, '["/api/v1/label/__name__/values"]'),
        )
        return ran.code == 0

    def _seen(self) -> Seen:
        def listed(resource: Resource) -> list[Object]:
            items: list[Object] = self.cluster.client.list(resource, NAMESPACE)["items"]
            return items

        return Seen(listed(resources.SERVICES), listed(ENDPOINTS), listed(resources.PODS))

    def _kubelets(self) -> list[str]:
        """Return the addresses of the kubelets."""
        return [
            f"{address['address']}:{node['status']['daemonEndpoints']['kubeletEndpoint']['Port']}"
            for node in self.cluster.client.list(NODES, "")["items"]
            for address in node["status"]["addresses"]
            if address["type"] == "InternalIP"
        ]

    def _pod(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": POD, "namespace": CLIENTS},
            "spec": {
                "serviceAccountName": POD,
                "terminationGracePeriodSeconds": 0,
                "containers": [
                    {
                        "name": POD,
                        # Has the C library that the program needs.
                        "image": self.cluster.controller_image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["/bin/sh", "-c", _START],
                        "volumeMounts": [
                            {"name": "config", "mountPath": _CONFIG},
                            {"name": "work", "mountPath": _WORK},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "config", "configMap": {"name": POD}},
                    {"name": "work", "emptyDir": {}},
                ],
            },
        }


def configuration(seen: Seen, kubelets: list[str]) -> dict[str, str]:
    """Return the files of its configuration by name: it reads and judges every second.

    Args:
        seen: What the monitors select from.
        kubelets: The addresses of the kubelets.
    """
    scraped = [
        discovery.static(config, seen)
        for monitor in monitors(NAMESPACE)
        for config in scrape_configs(monitor)
    ]
    content = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [f"{_CONFIG}/rules.yaml"],
        "scrape_configs": [*scraped, _of_kubelets(kubelets)],
    }
    at_once = [
        {**group, "rules": [{**rule, "for": "0s"} for rule in group["rules"]]} for group in groups()
    ]
    return {
        "prometheus.yaml": yaml.safe_dump(content),
        "rules.yaml": yaml.safe_dump({"groups": at_once}),
    }


def _rights() -> list[Object]:
    """Return the right to read the kubelets."""
    metadata = {"name": CLUSTER_WIDE}
    rule = {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": POD, "namespace": CLIENTS},
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": metadata,
            "rules": [rule],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": CLUSTER_WIDE},
            "subjects": [{"kind": "ServiceAccount", "name": POD, "namespace": CLIENTS}],
        },
    ]


def _config_map(files: dict[str, str]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": POD, "namespace": CLIENTS},
        "data": files,
    }


def _of_kubelets(addresses: list[str]) -> Object:
    """Return how kube-prometheus reads the kubelets: with the labels that they give themselves."""
    return {
        "job_name": KUBELET,
        "scheme": "https",
        "honor_labels": True,
        "authorization": {"credentials_file": _TOKEN},
        "tls_config": {"insecure_skip_verify": True},
        "static_configs": [{"targets": addresses}],
    }
