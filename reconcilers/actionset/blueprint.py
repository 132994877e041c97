"""Reads an action of a Blueprint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object


REASON_INVALID: Final = "InvalidBlueprint"
NO_ACTION: Final = "Blueprint {blueprint} has no action {action}; it has: {known}"
NO_PHASES: Final = "Blueprint {blueprint}, action {action}: phases is empty; add one"
NO_PHASE_NAME: Final = "Blueprint {blueprint}, action {action}: {field}.name is empty; name it"
NO_FUNCTION: Final = (
    "Blueprint {blueprint}, action {action}, phase {phase}: func is empty; name a function"
)
SAME_NAME: Final = (
    "Blueprint {blueprint}, action {action}: two phases are named {phase}; rename one"
)
NOTHING: Final = "none"

#: The field of an action, and the name of a deferPhase without one, which Kanister takes: an action
#: has one at most (pkg/controller/controller.go).
DEFER_PHASE: Final = "deferPhase"


@frozen
class Phase:
    """A phase, or the deferPhase, of an action.

    Args:
        name: Its name, unique in the action.
        func: The name of the function.
        args: The arguments as they are written, with templates.
        objects: References to Secrets and ConfigMaps by alias, with templates.
    """

    name: str
    func: str
    args: Mapping[str, Any]
    objects: Mapping[str, Mapping[str, Any]]


@frozen
class BlueprintAction:
    """An action of a Blueprint.

    Args:
        phases: Its phases in their order, at least one.
        defer: The deferPhase; None if there is none.
        artifacts: The output artifacts by name, with templates.
    """

    phases: tuple[Phase, ...]
    defer: Phase | None
    artifacts: Mapping[str, Mapping[str, Any]]

    @property
    def all_phases(self) -> tuple[Phase, ...]:
        """The phases, then the deferPhase if there is one."""
        return self.phases if self.defer is None else (*self.phases, self.defer)


def find_action(blueprint: Object, action: str) -> Mapping[str, Any]:
    """Return an action of a Blueprint as it is written.

    Args:
        blueprint: The Blueprint.
        action: The name of the action.

    Raises:
        InvalidInput: There is no such action. The message lists those that there are.
    """
    actions = blueprint.get("actions") or {}
    if action not in actions:
        raise InvalidInput(
            REASON_INVALID,
            NO_ACTION.format(
                blueprint=blueprint["metadata"]["name"],
                action=action,
                known=", ".join(sorted(actions)) or NOTHING,
            ),
        )
    found: Mapping[str, Any] = actions[action] or {}
    return found


def parse_action(written: Mapping[str, Any], *, blueprint: str, action: str) -> BlueprintAction:
    """Return an action of a Blueprint.

    Args:
        written: The action as it is written.
        blueprint: The name of the Blueprint, for messages.
        action: The name of the action, for messages.

    Raises:
        InvalidInput: It cannot run as it is. The message names the field and the fix.
    """
    named = {"blueprint": blueprint, "action": action}
    specs = written.get("phases") or []
    if not specs:
        raise InvalidInput(REASON_INVALID, NO_PHASES.format(**named))
    phases = tuple(
        _phase(spec or {}, f"phases[{index}]", named) for index, spec in enumerate(specs)
    )
    deferred = written.get(DEFER_PHASE)
    if deferred:
        deferred = {**deferred, "name": deferred.get("name") or DEFER_PHASE}
    parsed = BlueprintAction(
        phases=phases,
        defer=_phase(deferred, DEFER_PHASE, named) if deferred else None,
        artifacts=written.get("outputArtifacts") or {},
    )
    seen: set[str] = set()
    for phase in parsed.all_phases:
        if phase.name in seen:
            raise InvalidInput(REASON_INVALID, SAME_NAME.format(phase=phase.name, **named))
        seen.add(phase.name)
    return parsed


def _phase(spec: Mapping[str, Any], field: str, named: Mapping[str, str]) -> Phase:
    if not spec.get("name"):
        raise InvalidInput(REASON_INVALID, NO_PHASE_NAME.format(field=field, **named))
    if not spec.get("func"):
        raise InvalidInput(REASON_INVALID, NO_FUNCTION.format(phase=spec["name"], **named))
    return Phase(
        name=spec["name"],
        func=spec["func"],
        args=spec.get("args") or {},
        objects=spec.get("objects") or {},
    )
