"""Where a phase may act."""

import pytest
from attrs import evolve

from fakes.clock import FakeClock
from fakes.phaseruns import APPLICATION, OWN, phase_run
from reconcilers.actionset.functions import places
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


def test_an_object_that_names_no_namespace_is_in_that_of_the_action_set() -> None:
    run = phase_run(FakeClock())
    run = evolve(run, action=evolve(run.action, object=evolve(run.action.object, namespace="")))

    assert places.of_object(run) == OWN


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
