"""The pods of a workload, and what templates see of it."""

from __future__ import annotations

from typing import Any

import pytest

from fakes import application
from reconcilers.actionset.parameters import workloads
from reconcilers.actionset.parameters.targets import Known

Object = dict[str, Any]
BETWEEN = workloads.BETWEEN[Known.DEPLOYMENT]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param({"matchLabels": {"app": "db"}}, "app=db", id="labels"),
        pytest.param(
            {
                "matchLabels": {"app": "db"},
                "matchExpressions": [
                    {"key": "tier", "operator": "In", "values": ["a", "b"]},
                    {"key": "tier", "operator": "NotIn", "values": ["c"]},
                    {"key": "app", "operator": "Exists"},
                    {"key": "old", "operator": "DoesNotExist"},
                ],
            },
            "app=db,tier in (a,b),tier notin (c),app,!old",
            id="all kinds of expressions",
        ),
        pytest.param({"app": "db", "x": "y"}, "app=db,x=y", id="that of a DeploymentConfig"),
        pytest.param(None, "", id="none at all"),
    ],
)
def test_the_selector_of_a_workload(selector: Object | None, expected: str) -> None:
    assert workloads.label_selector({"spec": {"selector": selector}}) == expected


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        pytest.param([], None, id="one that has never been rolled out has none"),
        pytest.param(
            [application.revision("Deployment", "1"), application.revision("Deployment", "2")],
            "db-2",
            id="the one with the number of the workload",
        ),
        pytest.param(
            [
                application.revision(
                    "Deployment", "2", {"metadata": {"ownerReferences": None, "name": "other"}}
                ),
                application.revision("Deployment", "2"),
            ],
            "db-2",
            id="that of another workload with equal labels does not count",
        ),
    ],
)
def test_the_current_revision(candidates: list[Object], expected: str | None) -> None:
    found = workloads.current(application.workload("Deployment"), candidates, BETWEEN)

    assert (found and found["metadata"]["name"]) == expected


def test_the_current_revision_of_a_deployment_config() -> None:
    kind = "DeploymentConfig"
    candidates = [application.revision(kind, "1"), application.revision(kind, "2")]

    found = workloads.current(
        application.workload(kind), candidates, workloads.BETWEEN[Known.DEPLOYMENT_CONFIG]
    )

    assert found is not None
    assert found["metadata"]["name"] == "db-2"


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        pytest.param({}, True, id="one that runs"),
        pytest.param({"status": {"phase": "Pending"}}, False, id="not one that has not begun"),
        pytest.param({"status": {"phase": "Succeeded"}}, False, id="not one that has ended"),
        pytest.param({"status": None}, False, id="not one that nobody has seen"),
        pytest.param(
            {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
            False,
            id="not one that is being deleted",
        ),
        pytest.param(
            {"metadata": {"ownerReferences": None}},
            False,
            id="not one that nothing owns, though it has the labels",
        ),
    ],
)
def test_which_pods_count(change: Object, *, counts: bool) -> None:
    pod = application.pod(change=change)

    assert workloads.running(application.workload(), [pod]) == ([pod] if counts else [])


def test_pods_come_in_the_order_of_their_names() -> None:
    pods = [application.pod(name) for name in ("db-1", "db-0")]

    found = workloads.running(application.workload(), pods)

    assert [pod["metadata"]["name"] for pod in found] == ["db-0", "db-1"]


def volume(name: str, **source: Any) -> Object:
    return {"name": name, **source}


def test_what_templates_see_of_a_workload() -> None:
    parameter = workloads.parameter(
        application.workload(), [application.pod("db-0"), application.pod("db-1")]
    )

    assert parameter == {
        "Name": "db",
        "Namespace": "shop",
        "Pods": ["db-0", "db-1"],
        "Containers": [["exporter", "postgres"], ["exporter", "postgres"]],
        "PersistentVolumeClaims": {
            "db-0": {"data-db-0": "/var/lib/data"},
            "db-1": {"data-db-1": "/var/lib/data"},
        },
    }


def test_a_workload_without_pods_has_empty_lists() -> None:
    parameter = workloads.parameter(application.workload(), [])

    assert parameter == {
        "Name": "db",
        "Namespace": "shop",
        "Pods": [],
        "Containers": [],
        "PersistentVolumeClaims": {},
    }


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        pytest.param(
            [volume("data", persistentVolumeClaim={"claimName": "archive"})],
            {"db-0": {"archive": "/var/lib/data"}},
            id="a claim that the template of a StatefulSet names directly has that name",
        ),
        pytest.param(
            [volume("data", emptyDir={})], {}, id="a pod without a claim is not among them"
        ),
        pytest.param(
            [volume("data", ephemeral={})],
            {},
            id="an ephemeral claim goes with its pod: nothing can be restored to it",
        ),
        pytest.param(
            [volume("other", persistentVolumeClaim={"claimName": "archive"})],
            {},
            id="a claim that no container mounts has no path",
        ),
    ],
)
def test_the_claims_are_those_that_the_pod_names(volumes: list[Object], expected: Object) -> None:
    pod = application.pod(change={"spec": {"volumes": volumes}})

    parameter = workloads.parameter(application.workload(), [pod])

    assert parameter["PersistentVolumeClaims"] == expected
