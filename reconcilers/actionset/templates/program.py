"""The renderer that asks the program of `renderer/`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import define

from reconcilers.actionset.templates.child import Limits, RendererProcess
from reconcilers.actionset.templates.errors import NoAnswer, TemplateError
from reconcilers.actionset.templates.pool import RendererPool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from controller.clock import Clock
    from reconcilers.actionset.templates.renderer import ConditionKind

#: `place` is what the caller renders, `path` where in it the template is.
AT: Final = "{place}, {path}: {reason}"
AT_WHOLE: Final = "{place}: {reason}"

#: Programs at once. A template takes milliseconds, so that two keep up with all workers. Two that
#: take all the memory that they may have stay within the controller's limit, ten do not.
AT_ONCE: Final = 2

#: How often a renderer that has ended for no known reason is replaced and asked again.
TRIES: Final = 2


@define(eq=False)
class ProgramRenderer:
    """Renders with the program of `renderer/`.

    Args:
        pool: The running programs.
    """

    _pool: RendererPool

    @classmethod
    def of(cls, program: Path, clock: Clock, *, limits: Limits | None = None) -> Self:
        """Return one with a pool of its own.

        Args:
            program: Path of the program.
            clock: The time.
            limits: Of each process. Default: `Limits()`.
        """
        within = limits or Limits()
        return cls(
            RendererPool(AT_ONCE, lambda: RendererProcess.start(program, within, clock), clock)
        )

    def render(self, parameters: Mapping[str, Any], tree: Any, *, place: str) -> Any:  # noqa: ANN401 - any JSON
        """Return a tree with its strings rendered."""
        return self._ask({"render": {"parameters": parameters, "tree": tree}}, place)

    def evaluate_wait(
        self, kind: ConditionKind, condition: str, obj: Mapping[str, Any], *, place: str
    ) -> bool:
        """Return whether an object meets a condition."""
        asked = {"kind": kind, "text": condition, "object": obj}
        result: bool = self._ask({"condition": asked}, place)
        return result

    def close(self) -> None:
        """End the running programs."""
        self._pool.close()

    def _ask(self, request: Mapping[str, Any], place: str) -> Any:  # noqa: ANN401 - any JSON
        answer = self._answer(request, place)
        failure = answer.get("failure")
        if failure is None:
            return answer["result"]
        path, reason = failure["path"], failure["message"]
        raise TemplateError(_placed(place, path or (), reason), permanent=failure["permanent"])

    def _answer(
        self, request: Mapping[str, Any], place: str, tries: int = TRIES
    ) -> Mapping[str, Any]:
        try:
            with self._pool.renderer() as renderer:
                return renderer.ask(request)
        except NoAnswer as missing:
            # What it did is lost and of no effect: another one may be asked the same.
            if not missing.limit and tries > 1:
                return self._answer(request, place, tries - 1)
            raise TemplateError(_placed(place, (), str(missing))) from missing


def _placed(place: str, path: Sequence[str | int], reason: str) -> str:
    if not path:
        return AT_WHOLE.format(place=place, reason=reason)
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f".{step}"
    return AT.format(place=place, path=words.removeprefix("."), reason=reason)
