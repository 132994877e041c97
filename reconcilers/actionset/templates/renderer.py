"""What renders templates, and evaluates the conditions of Wait and WaitV2."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class ConditionKind(StrEnum):
    """What a condition is written in."""

    #: Of Wait: `{ $.path }` is replaced by its value, the whole is a template of Go with sprig.
    JSONPATH = "jsonpath"
    #: Of WaitV2: a template of kubectl, whose root is the object.
    GOTEMPLATE = "gotemplate"


class Renderer(Protocol):
    """Renders templates. Safe to share between threads."""

    def render(self, parameters: Mapping[str, Any], tree: Any, *, place: str) -> Any:  # noqa: ANN401 - any JSON
        """Return a tree with its strings rendered: those in lists, in mappings, and keys.

        Numbers, booleans and nulls stay as they are.

        Args:
            parameters: What templates can name: the JSON that `reconcilers.actionset.templates`
                describes.
            tree: JSON.
            place: What it is, in the words of a message: `arguments of phase dump`.

        Raises:
            TemplateError: A template cannot be rendered. The message begins with the place.
            RendererUnavailable: Nothing can be rendered now.
        """

    def evaluate_wait(
        self, kind: ConditionKind, condition: str, obj: Mapping[str, Any], *, place: str
    ) -> bool:
        """Return whether an object meets a condition.

        Args:
            kind: What the condition is written in.
            condition: As the Blueprint has it.
            obj: The object.
            place: What it is, in the words of a message: `condition allOf[0] of phase wait`.

        Raises:
            TemplateError: It cannot be evaluated; `permanent` is False if it may be later.
            RendererUnavailable: Nothing can be evaluated now.
        """
