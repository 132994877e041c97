"""Who may read the metrics of the controllers, and how: TLS, and the peers of a NetworkPolicy."""

from __future__ import annotations

import os
import re
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from integration import charts
from reconcilers import options
from reconcilers.actionset import options as actionset_options

if TYPE_CHECKING:
    from pathlib import Path

    from controller.resource import Object

SECRET = "repository-server-controller-metrics-tls"
COMPONENTS = ("actionset-controller", "monitoring", "metrics-tls")


def of_manifests(directory: Path) -> list[Object]:
    base = os.path.relpath(charts.MANIFESTS, directory.resolve())
    content = {
        "namespace": charts.NAMESPACE,
        "resources": [base],
        "components": [f"{base}/{name}" for name in COMPONENTS],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(content))
    return charts.kustomize(directory)


def of_chart(_: Path) -> list[Object]:
    return charts.template({**charts.EVERYTHING, "metrics": {"tlsSecretName": SECRET}})


@pytest.fixture(params=[of_manifests, of_chart], ids=["manifests", "chart"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> list[Object]:
    found: list[Object] = request.param(tmp_path)
    return found


def named(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


CONTROLLERS = pytest.mark.parametrize(
    ("name", "parse"),
    [
        pytest.param("repository-server-controller", options.parse_options, id="of servers"),
        pytest.param("actionset-controller", actionset_options.parse_options, id="of ActionSets"),
    ],
)


@CONTROLLERS
def test_the_program_is_told_where_its_certificate_is_mounted(
    objects: list[Object], name: str, parse: Any
) -> None:
    pod = named(objects, "Deployment", name)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {one["name"]: one["value"] for one in container["env"] if "value" in one}

    told = parse([], variables).metrics_cert_path

    mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    (volume,) = (one for one in pod["volumes"] if one["name"] == mounted[told])
    assert volume["secret"] == {"secretName": SECRET}


@CONTROLLERS
def test_prometheus_asks_the_service_by_its_name_and_trusts_the_authority(
    objects: list[Object], name: str, parse: Any
) -> None:
    del parse
    service = named(objects, "Service", f"{name}-metrics")["metadata"]
    (endpoint,) = named(objects, "ServiceMonitor", name)["spec"]["endpoints"]

    assert endpoint["scheme"] == "https"
    assert endpoint["tlsConfig"]["ca"] == {"secret": {"name": SECRET, "key": "ca.crt"}}
    assert endpoint["tlsConfig"]["serverName"] in (
        service["name"],
        f"{service['name']}.{service['namespace']}.svc",
    )


def test_without_a_secret_there_is_none_of_it() -> None:
    assert "metrics-tls" not in yaml.safe_dump_all(charts.template(charts.EVERYTHING))


def policies(objects: list[Object]) -> dict[str, Any]:
    """Return who may reach the controllers, by the names of the policies."""
    return {
        one["metadata"]["name"]: one["spec"]["ingress"][0]["from"]
        for one in objects
        if one["kind"] == "NetworkPolicy"
    }


MONITORING = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
BOTH = {"repository-server-controller": MONITORING, "actionset-controller": MONITORING}


def test_the_lines_of_the_documentation_admit_one_namespace(tmp_path: Path) -> None:
    page = (charts.MANIFESTS.parent / "docs" / "metrics.md").read_text()
    section = page.partition("## Who may read them")[2]
    block = re.search(r"(?:^    .*\n)+", section, re.MULTILINE)
    assert block is not None
    base = os.path.relpath(charts.MANIFESTS, tmp_path.resolve())
    content = {
        "namespace": charts.NAMESPACE,
        "resources": [base],
        "components": [f"{base}/actionset-controller"],
        **yaml.safe_load(textwrap.dedent(block[0])),
    }
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(content))

    assert policies(charts.kustomize(tmp_path)) == BOTH


def test_a_value_of_the_chart_admits_one_namespace() -> None:
    values = {**charts.EVERYTHING, "networkPolicy": {"create": True, "metricsFrom": MONITORING}}

    assert policies(charts.template(values)) == BOTH
