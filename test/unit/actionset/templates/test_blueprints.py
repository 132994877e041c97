"""Every template of public Blueprints renders with the parameters of its kind of target."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from fakes import templateparameters
from fakes.templateparameters import KEY_PAIR, SECRET_WITH_OPTIONS, Setting
from reconcilers.actionset.templates.errors import TemplateError
from reconcilers.actionset.templates.renderer import ConditionKind
from testlib.templates import BLUEPRINTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconcilers.actionset.templates.renderer import Renderer

FOLDER = os.environ.get(BLUEPRINTS)
FILES = sorted(Path(FOLDER).rglob("*.yaml")) if FOLDER else []
NO_FOLDER = f"{BLUEPRINTS} names no folder with Blueprints; hack/test does where there is one"

#: Functions whose conditions are not rendered, but evaluated on an object.
WAITS = {"Wait": ConditionKind.JSONPATH, "WaitV2": ConditionKind.GOTEMPLATE}
WORKLOAD_STATUS = {
    "spec": {"replicas": 1},
    "status": {
        "phase": "Running",
        "readyReplicas": 1,
        "replicas": 1,
        "conditions": [{"type": "ContainersReady", "status": "True"}],
    },
}


def file_name(path: Path) -> str:
    """Return how a file is called in the output of a test."""
    return str(path.relative_to(str(FOLDER)))


def actions(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the actions of the Blueprints of a file."""
    for document in yaml.safe_load_all(path.read_text()):
        if document and document.get("kind") == "Blueprint":
            yield from document["actions"].items()


def phases(action: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the phases of an action."""
    yield from action.get("phases") or ()
    if "deferPhase" in action:
        yield action["deferPhase"]


def rendered_parts(action: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield what of an action is rendered, with what it is."""
    yield "output artifacts", action.get("outputArtifacts") or {}
    for phase in phases(action):
        arguments = dict(phase.get("args") or {})
        if phase["func"] in WAITS:
            del arguments["conditions"]
        yield f"objects of phase {phase['name']}", phase.get("objects") or {}
        yield f"arguments of phase {phase['name']}", arguments


def conditions(action: dict[str, Any]) -> Iterator[tuple[ConditionKind, str]]:
    """Yield the conditions of an action."""
    for phase in phases(action):
        if phase["func"] in WAITS:
            for one in sum(phase["args"]["conditions"].values(), []):
                yield WAITS[phase["func"]], one["condition"]


@pytest.mark.skipif(not FILES, reason=NO_FOLDER)
@pytest.mark.parametrize("setting", [KEY_PAIR, SECRET_WITH_OPTIONS], ids=["plain", "options"])
@pytest.mark.parametrize("path", FILES, ids=file_name)
def test_every_template_renders(renderer: Renderer, path: Path, setting: Setting) -> None:
    count = 0
    for name, action in actions(path):
        parameters = templateparameters.made_for(action, setting)
        for part, tree in rendered_parts(action):
            place = f"{part} of action {name}"
            rendered = renderer.render(parameters, tree, place=place)
            left = [one for one in templateparameters.strings(rendered) if "{{" in one]
            assert not left, place
            count += 1
    assert count, "no Blueprint in it"


@pytest.mark.skipif(not FILES, reason=NO_FOLDER)
def test_every_condition_can_be_evaluated(renderer: Renderer) -> None:
    found = [one for path in FILES for _, action in actions(path) for one in conditions(action)]

    assert {kind for kind, _ in found} == set(ConditionKind)
    for kind, condition in found:
        try:
            renderer.evaluate_wait(kind, condition, WORKLOAD_STATUS, place="condition")
        except TemplateError as error:
            assert not error.permanent, error.message
