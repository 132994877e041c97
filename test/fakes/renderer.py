"""A renderer without Go: it puts parameters in the place of `{{ .A.b }}`, and knows no more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import define, field

from reconcilers.actionset.parameters.document import POD_RECORDS
from reconcilers.actionset.templates.errors import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconcilers.actionset.templates.renderer import ConditionKind

ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")
PATH = re.compile(r"(\.\w+)+")


@define
class FakeRenderer:
    """Stands for `reconcilers.actionset.templates.renderer.Renderer`."""

    #: Which conditions are met, by their text; the others are not.
    met: dict[str, bool] = field(factory=dict)
    #: In place of the next answers, in their order.
    failures: list[Exception] = field(factory=list)

    def render(self, parameters: Mapping[str, Any], tree: Any, *, place: str) -> Any:
        """Return a tree with its strings rendered.

        Raises:
            TemplateError: A path leads nowhere, a template is no path, or the parameters are those
                that are stored and not those of templates.
        """
        self._fail()
        if POD_RECORDS in parameters:
            message = f'{place}: there is no parameter "{POD_RECORDS}"'
            raise TemplateError(message)
        return self._of(parameters, tree, place)

    def evaluate_wait(
        self, kind: ConditionKind, condition: str, obj: Mapping[str, Any], *, place: str
    ) -> bool:
        """Return what the test says of a condition."""
        self._fail()
        return self.met.get(condition, False)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def _of(self, parameters: Mapping[str, Any], tree: Any, place: str) -> Any:
        if isinstance(tree, str):
            return ACTION.sub(lambda match: self._value(parameters, match[1], place), tree)
        if isinstance(tree, list | tuple):
            return [self._of(parameters, one, place) for one in tree]
        if isinstance(tree, dict):
            return {
                self._of(parameters, key, place): self._of(parameters, value, place)
                for key, value in tree.items()
            }
        return tree

    @staticmethod
    def _value(parameters: Mapping[str, Any], path: str, place: str) -> str:
        if not PATH.fullmatch(path):
            message = f"{place}: the fake renders {{{{ .A.b }}}} and not {path!r}"
            raise TemplateError(message)
        value: Any = parameters
        for name in path.split(".")[1:]:
            if not isinstance(value, dict) or name not in value:
                message = f'{place}: Failed to render template: "{name}" not found'
                raise TemplateError(message)
            value = value[name]
        return str(value)
