"""Every template of public Blueprints renders, with parameters gathered from a target that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from attrs import evolve

from controller.clock import Deadline
from fakes import application, publicblueprints
from fakes.apireader import FakeReader
from fakes.clock import FakeClock
from fakes.publicblueprints import HOME, VARIABLE, Case
from reconcilers.actionset.parameters import document
from reconcilers.actionset.parameters.reader import ParameterReader
from reconcilers.actionset.templates.renderer import ConditionKind, Renderer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CASES: Final = publicblueprints.cases()
NO_FOLDER: Final = f"{VARIABLE} names no folder with Blueprints"

#: Functions whose conditions are not rendered, but evaluated on an object.
WAITS: Final = {"Wait": ConditionKind.JSONPATH, "WaitV2": ConditionKind.GOTEMPLATE}
CONDITIONS: Final = "conditions"
#: An object that meets all of them.
MET: Final = {"status": publicblueprints.MET}

#: What makes the templates take the other branch.
OPTIONS: Final = {"kanisterImage": "registry/tools", "pitr": "2026-01-02T03:04:05Z"}
CREDENTIAL: Final = {
    "Type": "secret",
    "Secret": application.secret("s3", {"aws_access_key_id": "1", "aws_secret_access_key": "2"}),
}


@pytest.mark.skipif(not CASES, reason=NO_FOLDER)
@pytest.mark.parametrize("other", [False, True], ids=["plain", "options"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_template_renders(renderer: Renderer, case: Case, *, other: bool) -> None:
    api, clock = FakeReader(), FakeClock()
    deadline = Deadline.after(clock, 10)
    action = evolve(publicblueprints.action_of(case, api), options=OPTIONS if other else {})
    reader = ParameterReader(api, clock)
    frozen = reader.freeze(action, HOME, deadline)

    def parameters(phases: Mapping[str, Any]) -> dict[str, Any]:
        complete = reader.complete(frozen, action, HOME, deadline, phases=phases)
        # Some know only one kind of credential.
        either = ".KeyPair" not in case.templates or ".Credential.Secret" in case.templates
        if other and "Profile" in complete and either:
            complete["Profile"]["Credential"] = CREDENTIAL
        done = {name: case.outputs(name) for name in phases}
        return document.with_outputs(complete, done)

    def rendered(tree: Any, given: Mapping[str, Any]) -> Any:
        result = renderer.render(given, tree, place=case.name)
        assert not [text for text in strings(result) if "{{" in text]
        return result

    references = {
        phase["name"]: publicblueprints.stored(
            rendered(phase.get("objects") or {}, parameters({})), case, api
        )
        for phase in case.phases
    }
    for count, phase in enumerate(case.phases, start=1):
        given = parameters(dict(list(references.items())[:count]))
        arguments = {name: one for name, one in phase["args"].items() if name != CONDITIONS}
        rendered(arguments, given)
    rendered(case.action.get("outputArtifacts") or {}, parameters(references))


@pytest.mark.skipif(not CASES, reason=NO_FOLDER)
def test_every_condition_is_met_by_an_object(renderer: Renderer) -> None:
    found = [one for case in CASES for one in conditions(case)]

    assert {kind for kind, _ in found} == set(ConditionKind)
    assert all(renderer.evaluate_wait(*one, MET, place="condition") for one in found)


def conditions(case: Case) -> Iterator[tuple[ConditionKind, str]]:
    """Yield the conditions of an action."""
    for phase in case.phases:
        if phase["func"] in WAITS:
            for some in phase["args"][CONDITIONS].values():
                yield from ((WAITS[phase["func"]], one["condition"]) for one in some)


def strings(tree: Any) -> Iterator[str]:
    """Yield all strings of a tree, but for keys."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        yield from strings(list(tree.values()))
    elif isinstance(tree, list):
        for one in tree:
            yield from strings(one)
