"""What a module remembers of a resource, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fakes import contexts
from fakes.clock import FakeClock
from reconcilers.repositoryserver.perobject import States

if TYPE_CHECKING:
    from reconcilers.repositoryserver.context import ReconcileContext


def reconcile(name: str = "files", uid: str = "1") -> ReconcileContext:
    return contexts.begin(FakeClock(), {"metadata": {"name": name, "uid": uid}})


@pytest.mark.parametrize(
    ("second", "seen"),
    [
        pytest.param(reconcile(), ["left"], id="the next reconcile sees what one has left"),
        pytest.param(reconcile(uid="2"), [], id="a namesake does not inherit"),
        pytest.param(reconcile("other"), [], id="another resource has a state of its own"),
    ],
)
def test_what_is_seen(second: ReconcileContext, seen: list[str]) -> None:
    states = States().per_object(lambda _: list[str]())
    states.of(reconcile()).append("left")

    assert states.of(second) == seen


def test_nothing_is_left_of_a_resource_that_is_gone() -> None:
    states = States()
    modules = [states.per_object(lambda _: list[str]()) for _ in range(2)]
    for module in modules:
        module.of(reconcile()).append("left")
    states.drop(reconcile().request)

    assert [module.of(reconcile()) for module in modules] == [[], []]


def test_a_state_can_be_replaced() -> None:
    states = States().per_object(lambda _: 0)
    states.set(reconcile(), 1)

    assert states.of(reconcile()) == 1


def test_the_first_state_is_made_from_the_resource() -> None:
    states = States().per_object(lambda current: current.server.name)

    assert states.of(reconcile("other")) == "other"
