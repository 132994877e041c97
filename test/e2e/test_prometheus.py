"""A real Prometheus reads a real run: metrics are there, and alerts fire for whom they should."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import pytest

from e2e.actionsets import outputs_of
from e2e.cluster import CLIENTS, NAMESPACE
from e2e.installation import REPLICAS
from e2e.monitored import expressions
from e2e.prometheus import Prometheus
from e2e.server import Server
from e2e.waiting import wait_for
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.actionsetcontroller import InstalledEngine
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.witness import Witness

#: Metrics that only something wrong has, which is made in no test here.
NOT_HERE: Final = frozenset({"repository_server_unmaintained"})

#: Of the controllers. Each is the job of the series that are read through it.
METRICS_SERVICES: Final = ("repository-server-controller-metrics", "actionset-controller-metrics")

#: What of the alerts there is for as long as the clients of one server cannot connect.
WRONG_HERE: Final = "RepositoryServerNotAvailable"


@pytest.fixture(scope="module")
def works(
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Give a server that clients can connect to."""
    made = Server(cluster, node, witness, "monitored")
    # The pod of Prometheus is none of those that may connect.
    here = {"matchLabels": {"kubernetes.io/metadata.name": CLIENTS}}
    made.resource["spec"]["server"]["metrics"] = {"from": [{"namespaceSelector": here}]}
    node.make_volume(made.name, measured=True)
    made.make_repository()
    made.create()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def fails(
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Give a server whose password is nowhere."""
    made = Server(cluster, node, witness, "monitored-in-vain")
    made.withheld = {"password"}
    made.create()
    yield made
    made.remove()


@pytest.fixture(scope="module")
def backed_up(cluster: Cluster, engine: InstalledEngine) -> None:
    """Run a backup by the controller of ActionSets."""
    task = {
        "func": "KubeTask",
        "name": "backup",
        "args": {"namespace": CLIENTS, "image": cluster.server_image, "command": ["true"]},
    }
    engine.make_blueprint("monitored", {"backup": {"phases": [task]}})
    target = {"kind": "Namespace", "name": CLIENTS, "namespace": CLIENTS}
    action = {"name": "backup", "blueprint": "monitored", "object": target}
    assert outputs_of(engine.run("monitored", action))


@pytest.fixture(scope="module")
def prometheus(
    cluster: Cluster,
    works: Server,
    fails: Server,  # noqa: ARG001 - of which it tells
    backed_up: None,  # noqa: ARG001 - as of this
) -> Iterator[Prometheus]:
    """Give a Prometheus, which reads what is there when it starts."""
    works.wait_ready()
    made = Prometheus(cluster)
    for service in METRICS_SERVICES:
        wait_for(
            f"both replicas behind {service}",
            functools.partial(made.ready, service),
            lambda count: count == REPLICAS,
        )
    made.start()
    yield made
    made.remove()


def value(prometheus: Prometheus, expression: str) -> float | None:
    """Return the value of an expression that has one series; None if it has none."""
    (found,) = prometheus.answers([expression])
    assert len(found) <= 1, found
    return float(found[0]["value"][1]) if found else None


@pytest.mark.parametrize("job", METRICS_SERVICES)
def test_both_replicas_are_read_of(prometheus: Prometheus, job: str) -> None:
    wait_for(
        "both replicas to be read",
        lambda: value(prometheus, f'count(up{{job="{job}"}} == 1)'),
        lambda count: count == 2,
    )


def test_kopias_own_metrics_are_read_of_the_server_that_has_them(
    prometheus: Prometheus, works: Server
) -> None:
    of_server = f'{{namespace="{NAMESPACE}", name="{works.name}"}}'

    wait_for("Kopia to be read", lambda: value(prometheus, f"up{of_server}"), lambda up: up == 1)

    assert value(prometheus, f"sum(kopia_blob_errors_total{of_server})") is not None
    assert not prometheus.reaches(works.pod()["status"]["podIP"], api.PORT)


def test_every_metric_that_is_asked_for_is_there(prometheus: Prometheus) -> None:
    asked = {metric for one in expressions() for metric in one.metrics} - NOT_HERE

    wait_for("all metrics", lambda: asked - prometheus.metrics(), lambda missing: not missing)


def test_every_panel_of_the_dashboard_shows_something(prometheus: Prometheus) -> None:
    panels = [one for one in expressions() if not one.is_alert]
    texts = [one.text.replace("$namespace", ".*") for one in panels]

    def empty() -> list[str]:
        answers = prometheus.answers(texts)
        return [one.where for one, answer in zip(panels, answers, strict=True) if not answer]

    wait_for("all panels", empty, lambda found: not found)


def test_prometheus_reads_every_expression_of_an_alert(prometheus: Prometheus) -> None:
    alerts = [one for one in expressions() if one.is_alert]

    answers = prometheus.answers([one.text for one in alerts])

    assert len(answers) == len(alerts)


def test_clients_that_cannot_connect_are_an_alert_and_others_are_none(
    prometheus: Prometheus, works: Server, fails: Server
) -> None:
    def firing() -> dict[str, Object]:
        found = prometheus.alerts()
        return {
            one["labels"]["name"]: one for one in found if one["labels"]["alertname"] == WRONG_HERE
        }

    (alert,) = wait_for("one alert", firing, lambda found: set(found) == {fails.name}).values()

    assert alert["labels"] == {
        "alertname": WRONG_HERE,
        "namespace": NAMESPACE,
        "name": fails.name,
        "severity": "warning",
    }
    assert alert["annotations"]["summary"] == (
        f"Clients cannot connect to RepositoryServer {NAMESPACE}/{fails.name}."
    )
    assert works.name not in firing()


@pytest.mark.parametrize(
    "name", ["RepositoryServerControllerDown", "ActionSetControllerDown", "ActionSetBackupTooOld"]
)
def test_what_is_well_is_no_alert(prometheus: Prometheus, name: str) -> None:
    """As long as Prometheus has read nothing, it is one: nobody leads."""
    wait_for(
        "the alert to be over",
        prometheus.alerts,
        lambda found: name not in {one["labels"]["alertname"] for one in found},
    )


def test_every_target_is_read(prometheus: Prometheus) -> None:
    """The kubelet among them, with the account's token."""
    wait_for("all targets", prometheus.troubles, lambda found: not found)

    assert value(prometheus, 'count(up{job="kubelet"})')


def test_the_claim_of_a_file_store_is_named(prometheus: Prometheus, works: Server) -> None:
    claim = (
        f'{{namespace="{NAMESPACE}", name="{works.name}", persistentvolumeclaim="{works.name}"}}'
    )

    wait_for(
        "both replicas to name it",
        lambda: value(prometheus, f"count(repository_server_file_store_info{claim})"),
        lambda count: count == REPLICAS,
    )


def test_the_kubelet_says_how_full_a_file_store_is(prometheus: Prometheus, works: Server) -> None:
    (alert,) = (one for one in expressions() if one.where == "RepositoryServerFileStoreAlmostFull")
    without_limit, _, limit = alert.text.rpartition("<")
    assert float(limit) < 1

    def shares() -> list[Object]:
        (found,) = prometheus.answers([without_limit])
        return [one for one in found if one["metric"]["name"] == works.name]

    (share,) = wait_for("the share of the volume that is free", shares)

    labels = {"namespace": NAMESPACE, "name": works.name, "persistentvolumeclaim": works.name}
    assert share["metric"] == labels
    assert 0 < float(share["value"][1]) <= 1
