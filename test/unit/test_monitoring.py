"""Monitor, alerts and dashboard ask for what the processes export, by the labels that they set."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.cache import reflector
from e2e.monitored import METRIC, MONITORING, Expression, expressions, panels, rules
from fakes import children
from fakes.apiserver import FakeApiServer
from fakes.clock import FakeClock
from fakes.renderer import FakeRenderer
from reconcilers import main
from reconcilers.actionset import main as actionset_main
from reconcilers.actionset import options as actionset_options
from reconcilers.actionset import setup as actionset_setup
from reconcilers.options import parse_options
from reconcilers.repositoryserver import setup
from reconcilers.repositoryserver.children import pod

Object = dict[str, Any]

MANIFESTS = Path(__file__).parents[2] / "manifests"
FLAGS = ["--metrics-bind-address=0", "--health-probe-bind-address=0", "--leader-elect"]

# How the text format names the series of a family, by its type.
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}

VALUES = re.compile(r'(controller|name)="([^"]+)"')

#: Where the alerts are described.
PAGES = ("docs/operations.md", "docs/actionsets.md")

#: What stands for where a user keeps a copy of docs/.
RUNBOOKS = "https://runbooks.example/"

#: Metrics of the kubelet, which measures volumes (kubernetes pkg/kubelet/metrics/metrics.go).
OF_THE_KUBELET = frozenset(
    {"kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"}
)


def load(name: str, folder: Path = MONITORING) -> Object:
    loaded: Object = yaml.safe_load((folder / name).read_text())
    return loaded


def alert(name: str) -> Object:
    (found,) = [rule for rule in rules() if rule["alert"] == name]
    return found


EXPRESSIONS = [pytest.param(one, id=one.where) for one in expressions()]


@pytest.fixture(scope="module")
def exported() -> set[str]:
    """Give the name of every series that the processes can export."""
    with FakeApiServer() as server:
        options = parse_options(FLAGS, {})
        servers = main.build(options, ["backup"], server.api_client(), clock=FakeClock())
        of_action_sets = actionset_options.parse_options(FLAGS, {})
        action_sets = actionset_main.build(
            of_action_sets,
            "backup",
            server.api_client(),
            renderer=FakeRenderer(),
            clock=FakeClock(),
        )
    return {
        f"{family.name}{suffix}"
        for operator in (servers, action_sets)
        for family in operator.registry.collect()
        for suffix in SUFFIXES.get(family.type, ())
    }


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_that_is_asked_for_is_exported(
    exported: set[str], expression: Expression
) -> None:
    assert expression.metrics
    assert expression.metrics <= exported | OF_THE_KUBELET


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_controller_and_lease_are_asked_for_by_their_names(expression: Expression) -> None:
    known = {
        ("controller", setup.NAME),
        ("name", setup.NAME),
        ("name", parse_options([], {}).leader_election_id),
        ("controller", actionset_setup.NAME),
        ("name", actionset_options.parse_options([], {}).leader_election_id),
    }

    assert set(VALUES.findall(expression.text)) <= known


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in rules()])
def test_an_alert_says_what_is_wrong_and_what_to_do(rule: Object) -> None:
    assert rule["for"]
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in rules()])
def test_the_runbook_of_an_alert_is_its_heading_in_the_documentation(rule: Object) -> None:
    url = rule["annotations"]["runbook_url"]
    assert url.startswith(RUNBOOKS)
    page, anchor = url.removeprefix(RUNBOOKS).split("#")

    headings = re.findall(r"^### (\w+)$", (MANIFESTS.parent / page).read_text(), re.MULTILINE)

    assert page in PAGES
    assert [heading for heading in headings if heading.lower() == anchor] == [rule["alert"]]


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in rules()])
def test_the_row_of_an_alert_in_the_documentation_names_a_metric_that_it_asks_for(
    rule: Object,
) -> None:
    lines = "".join((MANIFESTS.parent / page).read_text() for page in PAGES).splitlines()

    (row,) = [line for line in lines if f"| `{rule['alert']}` |" in line]

    assert set(re.findall(r"`(\w+)` ", row)) & set(METRIC.findall(rule["expr"]))


@pytest.mark.parametrize("folder", ["controller", "actionset-controller"])
def test_a_monitor_finds_the_service_and_its_port(folder: str) -> None:
    service = load("service.yaml", MANIFESTS / folder)
    (monitor,) = [
        one["spec"]
        for one in yaml.safe_load_all((MONITORING / "service-monitor.yaml").read_text())
        if one["metadata"]["labels"] == service["metadata"]["labels"]
    ]

    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == [
        port["name"] for port in service["spec"]["ports"]
    ]


def test_a_monitor_finds_the_pods_of_a_server_and_the_port_of_its_metrics() -> None:
    with_metrics = children.server({"spec": {"server": {"metrics": {}}}})
    made = pod.template(with_metrics, children.inputs(), children.DIGEST)
    monitor = load("pod-monitor.yaml")["spec"]

    selector, labels = monitor["selector"], made["metadata"]["labels"]
    assert selector["matchLabels"].items() <= labels.items()
    assert {one["key"] for one in selector["matchExpressions"]} <= set(labels)
    (container,) = made["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


@pytest.mark.parametrize("panel", [pytest.param(panel, id=panel["title"]) for panel in panels()])
def test_a_panel_shows_the_chosen_namespace_alone(panel: Object) -> None:
    for target in panel["targets"]:
        assert 'namespace=~"$namespace"' in target["expr"]


def test_an_error_that_lasts_fires_and_one_that_passes_does_not() -> None:
    rule = alert("RepositoryServerReconcileErrors")

    looks_back = 60 * int(re.findall(r"_errors_total{[^}]*}\[(\d+)m\]", rule["expr"])[0])

    # Two tries at least: a rate has to see the counter grow.
    assert 2 * setup.MAX_RETRY_SECONDS <= looks_back < 60 * int(rule["for"].removesuffix("m"))


def test_a_resource_without_a_change_is_not_cut_off() -> None:
    (limit,) = re.findall(r"> (\d+)$", alert("RepositoryServerControllerCutOff")["expr"])

    assert int(limit) > reflector.READ_TIMEOUT


def test_a_dashboard_says_which_job_it_means() -> None:
    service = load("service.yaml", MANIFESTS / "controller")["metadata"]["name"]
    jobs = {job for one in expressions() for job in re.findall(r'job="([^"]+)"', one.text)}

    assert jobs == {service}


def test_no_panel_lies_over_another() -> None:
    cells = [
        (x, y)
        for panel in panels()
        for grid in [panel["gridPos"]]
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_it_is_no_part_of_the_default() -> None:
    """Its kinds are not there where the Prometheus Operator is not."""
    assert load("kustomization.yaml")["kind"] == "Component"
    assert "monitoring" not in load("kustomization.yaml", MANIFESTS)["resources"]
