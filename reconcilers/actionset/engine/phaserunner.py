"""Asks the function of one phase how far it is, and renders what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import evolve, field, frozen

from reconcilers.actionset import unrendered
from reconcilers.actionset.api import State
from reconcilers.actionset.function import PhaseRun
from reconcilers.actionset.parameters.document import with_outputs
from reconcilers.datafunctions.arguments import decode
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.registry import FunctionUnknown
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.reconcile import Deadline, Request
    from controller.resource import Object
    from reconcilers.actionset.api import ObjectReference
    from reconcilers.actionset.engine.collaborators import Parameters
    from reconcilers.actionset.engine.plans import Plan
    from reconcilers.actionset.function import Function, Step
    from reconcilers.actionset.memo import Entry, Position
    from reconcilers.actionset.settings import Settings
    from reconcilers.actionset.templates.renderer import Renderer
    from reconcilers.datafunctions.registry import Registry

A = TypeVar("A")

REASON_ARGUMENTS: Final = "InvalidArguments"
ARGUMENTS: Final = "arguments of phase {phase}"
ARTIFACT: Final = "output artifact {name}"
REASON_FUNCTION: Final = "FunctionUnknown"


@frozen
class Situation:
    """An ActionSet in one reconcile.

    Args:
        request: Its key.
        obj: The ActionSet as it was read, or as the last write has returned it.
        plans: What its actions are to do.
        settings: What its annotations say, of each action, since Blueprints add to them.
        deadline: Of the reconcile.
    """

    request: Request
    obj: Object
    plans: tuple[Plan, ...] = field(repr=False)
    settings: tuple[Settings, ...]
    deadline: Deadline

    @property
    def deleted(self) -> bool:
        """Whether somebody has deleted it."""
        return bool(self.obj["metadata"].get("deletionTimestamp"))


class PhaseRunner:
    """Calls functions.

    Args:
        functions: All functions.
        parameters: Completes what templates can name.
        renderer: Renders arguments and artifacts.
    """

    def __init__(
        self,
        functions: Registry[Function[Any]],
        parameters: Parameters,
        renderer: Renderer,
    ) -> None:
        self._functions = functions
        self._parameters = parameters
        self._renderer = renderer

    def advance(
        self, situation: Situation, position: Position, entry: Entry, *, may_repeat: bool = True
    ) -> Step:
        """Start a phase, or look how far it is.

        Args:
            situation: The ActionSet.
            position: Of the phase.
            entry: What is kept of it.
            may_repeat: Whether it may run again if the annotations say that it is repeatable.
                Default: True.

        Raises:
            InvalidInput: The phase cannot be run as it is.
            ClientError: As a client raises it.
        """
        function = self._function(situation, position)
        run = self.run_of(situation, position, entry)
        run = evolve(run, repeatable=run.repeatable and may_repeat)
        return function.advance(run, lambda: self._arguments(situation, position, function))

    def cancel(self, situation: Situation, position: Position, entry: Entry) -> Step:
        """End a phase early.

        Raises:
            InvalidInput: Its function is not there.
            ClientError: As a client raises it.
        """
        function = self._function(situation, position)
        return function.cancel(self.run_of(situation, position, entry))

    def so_far(
        self, situation: Situation, position: Position, entry: Entry
    ) -> Mapping[str, Any] | None:
        """Return the outputs so far, of a phase that is given up; None for none.

        Raises:
            InvalidInput: Its function is not there.
        """
        function = self._function(situation, position)
        return function.so_far(self.run_of(situation, position, entry))

    def artifacts(self, situation: Situation, action: int, status: Object) -> Mapping[str, Any]:
        """Return the output artifacts of an action whose phases are complete, rendered.

        Each value of `keyValue`, and `kopiaSnapshot`, is a template; names are none (Kanister
        pkg/param/render.go, RenderArtifacts).

        Args:
            situation: The ActionSet.
            action: The index of the action.
            status: Its status with the outputs of all phases.

        Raises:
            InvalidInput: A template cannot be rendered.
            ClientError: As a client raises it.
        """
        plan = situation.plans[action]
        if not plan.planned.artifacts:
            return {}
        phase = plan.planned.all_phases[-1]
        parameters = self._live(
            situation, plan, status, phase=phase.name, deferred=plan.planned.defer is not None
        )
        return {
            name: self._renderer.render(
                parameters, dict(artifact), place=ARTIFACT.format(name=name)
            )
            for name, artifact in plan.planned.artifacts.items()
        }

    def run_of(self, situation: Situation, position: Position, entry: Entry) -> PhaseRun:
        """Return a phase as functions see it."""
        plan = situation.plans[position.action]
        settings = situation.settings[position.action]
        phase = plan.phase_at(position)
        return PhaseRun(
            request=situation.request,
            action_set=situation.obj,
            action=plan.action,
            phase=phase.name,
            deferred=position.deferred,
            parameters=_with_outputs(plan.parameters, plan, situation.obj["status"]),
            memo=entry.memo,
            started_at=entry.started_at,
            repeatable=settings.is_repeatable(phase.name),
            keep_failed_pod=settings.keep_failed_pod,
            deadline=situation.deadline,
            timeout=settings.timeout_of(phase.name),
        )

    def _function(self, situation: Situation, position: Position) -> Function[Any]:
        plan = situation.plans[position.action]
        name = plan.phase_at(position).func
        try:
            return self._functions.find(name, plan.action.preferred_version).function
        except FunctionUnknown as error:
            # The engine was replaced by one that lacks it, while the ActionSet ran.
            raise InvalidInput(REASON_FUNCTION, str(error)) from None

    def _arguments(self, situation: Situation, position: Position, function: Function[A]) -> A:
        plan = situation.plans[position.action]
        phase = plan.phase_at(position)
        parameters = self._live(
            situation,
            plan,
            situation.obj["status"],
            phase=phase.name,
            deferred=position.deferred,
        )
        templates = unrendered.without(phase.args, function.unrendered)
        place = ARGUMENTS.format(phase=phase.name)
        rendered = self._renderer.render(parameters, templates, place=place)
        given = unrendered.restored(rendered, phase.args, function.unrendered)
        kind: Any = function.arguments
        try:
            decoded: A = decode(kind, given, function=function.name, phase=True).arguments
        except Refused as error:
            raise InvalidInput(REASON_ARGUMENTS, str(error)) from None
        return decoded

    def _live(
        self, situation: Situation, plan: Plan, status: Object, *, phase: str, deferred: bool
    ) -> Mapping[str, Any]:
        begun: dict[str, Mapping[str, ObjectReference]] = {}
        for one in plan.planned.phases:
            begun[one.name] = plan.objects.get(one.name, {})
            if one.name == phase:
                break
        completed = self._parameters.complete(
            plan.parameters,
            plan.action,
            situation.obj["metadata"]["namespace"],
            situation.deadline,
            phases=begun,
            deferred=plan.objects.get(phase) if deferred else None,
        )
        return _with_outputs(completed, plan, status)


def _with_outputs(parameters: Mapping[str, Any], plan: Plan, status: Object) -> Mapping[str, Any]:
    found = status["actions"][plan.action.index]
    outputs = {
        phase["name"]: phase.get("output")
        for phase in found.get("phases") or ()
        if phase["state"] == State.COMPLETE
    }
    deferred = found.get("deferPhase") or {}
    is_complete = deferred.get("state") == State.COMPLETE
    return with_outputs(parameters, outputs, deferred.get("output") if is_complete else None)
