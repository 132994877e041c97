"""The Blueprints of docs/functions.md, rendered as Kanister does, as far as they need it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml
from attrs import frozen

from e2e.documented import code_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE: Final = "docs/functions.md"
KUBE_TASK: Final = "KubeTask"
SCALE: Final = "ScaleWorkload"

_BEFORE: Final = "# before"
_TEMPLATE: Final = re.compile(r"\{\{ (.+?) \}\}")
_INDEX: Final = re.compile(r"index (\S+) (\d+)")


@frozen
class Phase:
    """A phase of an action.

    Attributes:
        name: Its name.
        function: What runs it.
        arguments: Not rendered.
        objects: Secrets that it names, not rendered.
    """

    name: str
    function: str
    arguments: Mapping[str, Any]
    objects: Mapping[str, Any]


@frozen
class Blueprint:
    """A Blueprint of the page.

    Attributes:
        name: Its name.
        actions: As they stand there.
    """

    name: str
    actions: Mapping[str, Any]

    def phases(self, action: str) -> Iterator[Phase]:
        """Return the phases of an action, in their order."""
        for phase in self.actions[action]["phases"]:
            yield Phase(phase["name"], phase["func"], phase["args"], phase.get("objects", {}))


def blueprints(*, before: bool = False) -> list[Blueprint]:
    """Return the Blueprints of the page.

    Args:
        before: Those that there were before, in place of the new ones.
    """
    found = []
    for block in code_blocks(PAGE, "yaml"):
        if block.startswith(_BEFORE) is not before:
            continue
        document = yaml.safe_load(block)
        if document.get("kind") == "Blueprint":
            found.append(Blueprint(document["metadata"]["name"], document["actions"]))
    return found


def render(node: Any, scope: Mapping[str, Any]) -> Any:
    """Return a value with its templates filled in.

    Args:
        node: Any value of a Blueprint.
        scope: What templates refer to.

    Raises:
        KeyError: A template names something that is not in scope, which Kanister refuses as well.
    """
    if isinstance(node, dict):
        return {key: render(value, scope) for key, value in node.items()}
    if isinstance(node, list):
        return [render(value, scope) for value in node]
    if isinstance(node, str):
        return _TEMPLATE.sub(lambda found: str(_value(found.group(1), scope)), node)
    return node


def _value(expression: str, scope: Mapping[str, Any]) -> Any:
    path, _, function = expression.partition(" | ")
    assert function in ("", "toString"), expression
    if indexed := _INDEX.fullmatch(path):
        return _at(indexed.group(1), scope)[int(indexed.group(2))]
    if path.startswith("toJson "):
        return json.dumps(_at(path.removeprefix("toJson "), scope))
    return _at(path, scope)


def _at(path: str, scope: Mapping[str, Any]) -> Any:
    node: Any = scope
    for name in path.removeprefix(".").split("."):
        node = node[name]
    return node
