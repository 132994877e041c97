"""The pods of the workload as they were when the action began, or as its template makes them."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.placed import container, mount, pod
from reconcilers.actionset.parameters import podrecord
from reconcilers.actionset.placement import seen
from reconcilers.actionset.placement.workload import Mount
from reconcilers.errors import InvalidInput

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "db"}},
    "spec": {
        "tolerations": [{"operator": "Exists"}],
        "containers": [container("db", mount("data", "/data"), mount("shared", "/shared"))],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "shared", "persistentVolumeClaim": {"claimName": "shared"}},
        ],
    },
}


def parameters(kind: str = "StatefulSet", *pods: dict[str, Any]) -> dict[str, Any]:
    claims = [{"metadata": {"name": "data"}, "spec": {}}] if kind == "StatefulSet" else []
    return {
        kind: {
            "Name": "db",
            "Namespace": "shop",
            "Pods": [one["metadata"]["name"] for one in pods],
        },
        "Object": {
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"template": TEMPLATE, "volumeClaimTemplates": claims},
        },
        "workloadPods": [podrecord.record(one) for one in pods],
    }


def test_the_pods_are_those_that_ran_when_the_action_began() -> None:
    assert seen.names(parameters("Deployment", pod(name="db-a"), pod(name="db-b"))) == (
        "db-a",
        "db-b",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param(
            parameters(),
            "StatefulSet shop/db had no running pod when the action began",
            id="none ran",
        ),
        pytest.param(
            {"Namespace": {"Name": "shop"}},
            "the object of the action is no StatefulSet",
            id="the object is no workload",
        ),
    ],
)
def test_without_a_pod_they_must_be_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        seen.names(given)


def test_a_pod_that_ran_is_as_it_was() -> None:
    found = seen.pod(parameters("StatefulSet", pod()), "db-0", argument="pod")

    assert found.node == "node-1"
    assert found.container("db").mounts == (Mount("/var/lib/data", "data", claim="data-db-0"),)


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        pytest.param(
            "StatefulSet",
            "db-1",
            [
                Mount("/data", "data", claim="data-db-1"),
                Mount("/shared", "shared", claim="shared"),
            ],
            id="a StatefulSet's: a claim template takes the place of a volume of its name",
        ),
        pytest.param(
            "Deployment",
            "db-7d9c-x2x4z",
            [
                Mount("/data", "data", kind="emptyDir"),
                Mount("/shared", "shared", claim="shared"),
            ],
            id="a Deployment's: all have the same",
        ),
    ],
)
def test_of_a_workload_at_0_a_pod_is_what_the_template_makes(
    kind: str, name: str, expected: list[Mount]
) -> None:
    found = seen.pod(parameters(kind), name, argument="pod")

    assert list(found.container("db").mounts) == expected
    assert found.tolerations == ({"operator": "Exists"},)
    assert found.namespace == "shop"


@pytest.mark.parametrize(
    ("given", "name", "message"),
    [
        pytest.param(
            parameters("StatefulSet", pod()),
            "web-0",
            "argument pod: pod web-0 is none of StatefulSet shop/db; it has: db-0",
            id="a pod of something else",
        ),
        pytest.param(
            parameters(), "db-x", "it has: none that runs", id="no pod that a StatefulSet makes"
        ),
        pytest.param(
            parameters("Deployment"),
            "web-7d9c-x2x4z",
            "is none of Deployment shop/db",
            id="no pod that the Deployment makes",
        ),
        pytest.param(
            {"Namespace": {"Name": "shop"}},
            "db-0",
            "nothing says which claims pod db-0 has",
            id="the object is no workload",
        ),
    ],
)
def test_a_pod_that_nobody_has_seen(given: dict[str, Any], name: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        seen.pod(given, name, argument="pod")
