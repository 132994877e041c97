"""What of a Blueprint's action is taken, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.actionsets import blueprint, phase
from reconcilers.actionset.blueprint import BlueprintAction, Phase, find_action, parse_action
from reconcilers.errors import InvalidInput


def parsed(written: dict[str, Any]) -> BlueprintAction:
    return parse_action(written, blueprint="db", action="backup")


def test_an_action_is_read_with_its_defer_phase_and_artifacts() -> None:
    objects = {"login": {"kind": "Secret", "name": "s"}}
    found = parsed(
        {
            "phases": [{**phase("dump", "KubeTask", image="i"), "objects": objects}],
            "deferPhase": {"name": "last", "func": "Wait"},
            "outputArtifacts": {"dump": {"kopiaSnapshot": "t"}},
        }
    )

    dump, last = Phase("dump", "KubeTask", {"image": "i"}, objects), Phase("last", "Wait", {}, {})
    assert found == BlueprintAction((dump,), last, {"dump": {"kopiaSnapshot": "t"}})
    assert found.all_phases == (dump, last)


def test_an_action_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput) as refused:
        find_action(blueprint(restore={}, backup={}), "delete")

    assert refused.value.message == "Blueprint db has no action delete; it has: backup, restore"


HEAD = "Blueprint db, action backup"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param(
            {}, f"{HEAD}: phases is empty; add one", id="no phase: upstream divides by zero"
        ),
        pytest.param(
            {"phases": [None]},
            f"{HEAD}: phases[0].name is empty; name it",
            id="a phase that is null",
        ),
        pytest.param(
            {"phases": [{"name": "a"}]},
            f"{HEAD}, phase a: func is empty; name a function",
            id="no function",
        ),
        pytest.param(
            {"phases": [phase("a"), phase("a")]},
            f"{HEAD}: two phases are named a; rename one",
            id="one name twice: outputs would mix",
        ),
        pytest.param(
            {"phases": [phase("a")], "deferPhase": phase("a")},
            f"{HEAD}: two phases are named a; rename one",
            id="the deferPhase has the name of a phase",
        ),
        pytest.param(
            {"phases": [phase("a")], "deferPhase": {"func": "x"}},
            f"{HEAD}: deferPhase.name is empty; name it",
            id="a deferPhase without a name",
        ),
    ],
)
def test_what_cannot_run_is_refused_by_field_and_fix(written: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parsed(written)

    assert refused.value.message == message
