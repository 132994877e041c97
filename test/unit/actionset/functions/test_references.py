"""References to objects in arguments."""

from typing import Any

import pytest

from controller.resource import Resource
from fakes.clock import FakeClock
from fakes.phaseruns import phase_run
from reconcilers.actionset.functions import references
from reconcilers.actionset.functions.references import Reference
from reconcilers.errors import InvalidInput

POD = {"apiVersion": "v1", "resource": "pods", "name": "db-0", "namespace": "app"}
PODS = Resource("", "v1", "pods", "")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "")
NAMESPACES = Resource("", "v1", "namespaces", "", namespaced=False)


def read(tree: Any, namespace: str = "") -> Reference:
    return references.read(
        phase_run(FakeClock()), tree, argument="argument objectReference", namespace=namespace
    )


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        pytest.param(POD, Reference(PODS, "db-0", "app"), id="of the core group"),
        pytest.param(POD | {"group": None}, Reference(PODS, "db-0", "app"), id="a null is nothing"),
        pytest.param(
            POD | {"group": "apps", "resource": "deployments"},
            Reference(DEPLOYMENTS, "db-0", "app"),
            id="Kanister has the group beside the version",
        ),
        pytest.param(
            POD | {"apiVersion": "apps/v1", "resource": "deployments"},
            Reference(DEPLOYMENTS, "db-0", "app"),
            id="everybody else has it before",
        ),
        pytest.param(
            {"apiVersion": "v1", "resource": "namespaces", "name": "app"},
            Reference(NAMESPACES, "app", ""),
            id="the namespace in which the phase acts",
        ),
        pytest.param(
            {"apiVersion": "v1", "resource": "namespaces", "name": "app", "namespace": "app"},
            Reference(NAMESPACES, "app", ""),
            id="a namespace is in none",
        ),
    ],
)
def test_an_object_is_found(tree: dict[str, Any], expected: Reference) -> None:
    assert read(tree) == expected


def test_a_namespace_beside_the_reference_is_for_those_that_name_none() -> None:
    bare = {key: value for key, value in POD.items() if key != "namespace"}

    assert read(bare, "kanister").namespace == "kanister"
    assert read(POD, "kanister").namespace == "app"


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        pytest.param(
            "db-0",
            "argument objectReference must be a map with apiVersion, resource, name, group and"
            " namespace",
            id="a text",
        ),
        *(
            pytest.param(
                {key: value for key, value in POD.items() if key != field},
                f"argument objectReference.{field} is missing or empty; set it",
                id=f"without {field}",
            )
            for field in ("apiVersion", "resource", "name")
        ),
        pytest.param(
            POD | {"namespace": ""},
            "argument objectReference.namespace is missing or empty: a phase acts only in the"
            " namespaces app and kanister; set it to one of them",
            id="cluster-scoped, or somebody forgot it",
        ),
        pytest.param(
            POD | {"namespace": "kube-system"},
            "argument objectReference.namespace is kube-system: a phase acts only in the namespace"
            " of the action's object, app, and in that of the ActionSet, kanister; use one of them",
            id="somebody else's",
        ),
        pytest.param(
            {"apiVersion": "v1", "resource": "namespaces", "name": "kube-system"},
            "argument objectReference.name is kube-system: a phase acts only in the namespace of"
            " the action's object, app, and in that of the ActionSet, kanister; use one of them",
            id="somebody else's namespace",
        ),
        pytest.param(
            POD | {"resource": "pods/db-0/exec"},
            "argument objectReference.resource is not the plural of a resource in lower case, such"
            " as pods; correct it",
            id="a resource that is a path",
        ),
        pytest.param(
            POD | {"resource": ".."},
            "argument objectReference.resource is not the plural of a resource in lower case, such"
            " as pods; correct it",
            id="a resource that leads up",
        ),
        pytest.param(
            POD | {"apiVersion": "v1/namespaces/x"},
            "argument objectReference.apiVersion is not a version such as v1, with the group beside"
            " it; correct it",
            id="a version that is a path",
        ),
        pytest.param(
            POD | {"group": "../api"},
            "argument objectReference.group is not an API group; correct it",
            id="a group that is a path",
        ),
        pytest.param(
            POD | {"name": ".."},
            "argument objectReference.name is no name that an object can have; check what its"
            " template renders",
            id="a name that is a path",
        ),
        pytest.param(
            POD | {"name": {"hunter2": 1}},
            "argument objectReference.name is not a text; correct it",
            id="no value is repeated",
        ),
    ],
)
def test_what_leads_elsewhere_is_refused(tree: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tree)

    assert refused.value.message == message


def test_an_output_has_all_fields_of_kanisters() -> None:
    assert Reference(DEPLOYMENTS, "db", "app").output() == {
        "apiVersion": "v1",
        "group": "apps",
        "resource": "deployments",
        "kind": "",
        "name": "db",
        "namespace": "app",
    }
