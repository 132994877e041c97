"""Where a phase may act."""

import pytest
from attrs import evolve

from fakes.clock import FakeClock
from fakes.phaseruns import APPLICATION, OWN, phase_run
from reconcilers.actionset import places
from reconcilers.actionset.api import ObjectReference
from reconcilers.errors import InvalidInput


@pytest.mark.parametrize("namespace", [APPLICATION, OWN])
def test_it_acts_in_the_namespace_of_its_object_and_in_its_own(namespace: str) -> None:
    places.check_namespace(phase_run(FakeClock()), namespace, argument="argument namespace")


@pytest.mark.parametrize(
    ("namespace", "message"),
    [
        pytest.param(
            "other",
            "argument namespace is other: a phase acts only in the namespace of the action's"
            " object, app, and in that of the ActionSet, kanister; use one of them",
            id="another one is named",
        ),
        pytest.param(
            "hunter2/../kanister",
            "argument namespace is no name of a namespace; use that of the action's object, app, or"
            " that of the ActionSet, kanister",
            id="what is none is not repeated",
        ),
        pytest.param(
            "",
            "argument namespace is no name of a namespace; use that of the action's object, app, or"
            " that of the ActionSet, kanister",
            id="nor is it all of them",
        ),
    ],
)
def test_elsewhere_it_does_nothing(namespace: str, message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        places.check_namespace(phase_run(FakeClock()), namespace, argument="argument namespace")

    assert refused.value.message == message


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param(ObjectReference("db", APPLICATION, "statefulset"), APPLICATION, id="its own"),
        pytest.param(ObjectReference("db", "", "statefulset"), OWN, id="none: the ActionSet's"),
        pytest.param(
            ObjectReference(APPLICATION, APPLICATION, "Namespace"), APPLICATION, id="a namespace"
        ),
        pytest.param(
            ObjectReference(APPLICATION, "", "namespace"), APPLICATION, id="a namespace, by name"
        ),
    ],
)
def test_a_phase_acts_in_two_namespaces(target: ObjectReference, expected: str) -> None:
    run = phase_run(FakeClock())
    run = evolve(run, action=evolve(run.action, object=target))

    assert places.of_object(run) == expected
    assert places.namespaces_of(run) == tuple(dict.fromkeys((OWN, expected)))
    places.check_namespace(run, expected, argument="argument namespace")


@pytest.mark.parametrize("name", ["db-0", "a.b.c", "system:node", "A_b"])
def test_a_name_is_what_an_object_can_have(name: str) -> None:
    places.check_name(name, argument="argument name")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="the whole collection"),
        pytest.param(".", id="the collection, once the path is cleaned"),
        pytest.param("..", id="what is above it"),
        pytest.param("a/log", id="a subresource"),
        pytest.param("a%2flog", id="the same, written otherwise"),
        pytest.param("a b", id="white space"),
        pytest.param("x" * 254, id="a long one"),
    ],
)
def test_no_name_leads_to_something_else(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        places.check_name(name, argument="argument name")

    assert refused.value.message == (
        "argument name is no name that an object can have; check what its template renders"
    )


def test_where_an_actionset_may_have_acted() -> None:
    targets = [
        {"kind": "StatefulSet", "namespace": "shop", "name": "db"},
        {"kind": "Namespace", "name": "team"},
        {"kind": "pvc", "name": "data"},
        {"kind": "StatefulSet", "namespace": "../../apis", "name": "db"},
    ]
    status = {"actions": [*({"object": one} for one in targets), {}]}
    found = {"metadata": {"namespace": "kanister"}, "status": status}

    assert places.namespaces_of_all(found) == {"kanister", "shop", "team"}
    assert places.namespaces_of_all({"metadata": {"namespace": "kanister"}}) == {"kanister"}
