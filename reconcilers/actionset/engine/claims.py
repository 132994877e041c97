"""Begins an ActionSet: checks all of it, freezes what it works with, then claims it.

The frozen Secrets come before the claim: whoever goes on with a claimed ActionSet finds them.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.errors import AlreadyExists, Conflict, Forbidden, NotFound
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, ANNOTATION_REPEATABLE, BLUEPRINTS, State
from reconcilers.actionset.blueprint import find_action, parse_action
from reconcilers.actionset.engine.writer import Desired
from reconcilers.actionset.frozen import FrozenAction, make_secret, parse_secret, secret_name
from reconcilers.actionset.memo import Memos
from reconcilers.actionset.parameters import document
from reconcilers.actionset.parse import parse
from reconcilers.actionset.settings import read_settings
from reconcilers.actionset.status.document import begun, initial
from reconcilers.datafunctions.registry import FunctionUnknown
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock, Deadline
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.api import Action
    from reconcilers.actionset.blueprint import BlueprintAction
    from reconcilers.actionset.engine.collaborators import Parameters
    from reconcilers.actionset.engine.writer import Writer
    from reconcilers.actionset.function import Function
    from reconcilers.actionset.templates.renderer import Renderer
    from reconcilers.datafunctions.registry import Registry

REASON_INVALID: Final = "InvalidActionSet"
REASON_NO_BLUEPRINT: Final = "BlueprintNotFound"
NO_BLUEPRINT: Final = (
    "Blueprint {name} is not in namespace {namespace}; a Blueprint must be where the ActionSet is"
)
OUTDATED: Final = "ActionSet {name} has changed since it was read"
UNKNOWN_PHASES: Final = (
    "the annotations timeout and repeatable name phases that no action has: {phases}; correct their"
    " names"
)
BAD_FUNCTION: Final = "action {action}, phase {phase}: {reason}"
PLACE: Final = "objects of action {action}, phase {phase}"


@frozen
class Claimed:
    """What came of a claim.

    Args:
        obj: The ActionSet as it is now: running, and with our finalizer.
        actions: The actions of its spec.
        frozen: What is kept of them.
        warnings: What the user should know.
    """

    obj: Object
    actions: tuple[Action, ...]
    frozen: tuple[FrozenAction, ...]
    warnings: tuple[str, ...]


@frozen
class _Checked:
    """An action that could be begun."""

    action: Action
    written: Mapping[str, Any]
    planned: BlueprintAction
    repeatable: str


class Claimer:
    """Begins ActionSets.

    Args:
        client: Makes the frozen Secrets, and reads Blueprints.
        functions: All functions.
        parameters: Gathers what templates can name.
        renderer: Renders references.
        writer: Writes the claim.
        clock: The time.
    """

    def __init__(
        self,
        *,
        client: Client,
        functions: Registry[Function[Any]],
        parameters: Parameters,
        renderer: Renderer,
        writer: Writer,
        clock: Clock,
    ) -> None:
        self._client = client
        self._functions = functions
        self._parameters = parameters
        self._renderer = renderer
        self._writer = writer
        self._clock = clock

    def claim(self, obj: Object, deadline: Deadline) -> Claimed:
        """Begin an ActionSet of which nothing runs yet.

        Args:
            obj: The ActionSet.
            deadline: Of the reconcile.

        Raises:
            InvalidInput: It cannot run as it is.
            Conflict: Somebody else has changed it meanwhile, or claimed it.
            ClientError: As a client raises it. Nothing has begun.
        """
        now = self._clock.now()
        settings = read_settings(obj["metadata"].get("annotations") or {})
        if settings.problems:
            raise InvalidInput(REASON_INVALID, "; ".join(settings.problems))
        checked: list[_Checked] = []
        warnings: list[str] = []
        for action in parse(obj):
            one = self._check(obj, action, deadline)
            warnings += self._check_functions(one)
            checked.append(one)
        phases = {phase.name for one in checked for phase in one.planned.all_phases}
        if unknown := sorted(settings.named_phases - phases):
            warnings.append(UNKNOWN_PHASES.format(phases=", ".join(unknown)))
        specs = obj["spec"]["actions"]
        frozen = [self._freeze(obj, specs, one, deadline) for one in checked]
        secrets = [make_secret(obj, index, one) for index, one in enumerate(frozen)]
        for secret in secrets:
            self._create(obj, secret, deadline)
        planned = [(spec, one.planned) for spec, one in zip(specs, checked, strict=True)]
        status = begun(initial(planned, now=now), now=now)
        desired = Desired(status=status, memos=Memos(), claimed=True)
        written = self._writer.write(obj, desired, deadline)
        actions = tuple(one.action for one in checked)
        return Claimed(written, actions, tuple(frozen), tuple(dict.fromkeys(warnings)))

    def discard(self, obj: Object, deadline: Deadline) -> None:
        """Delete the frozen Secrets of an ActionSet that has not begun, and never will.

        An earlier try may have got as far as making them. Those of others are left alone. Without
        the right to look for them they go with the ActionSet, which owns them.

        Args:
            obj: The ActionSet.
            deadline: Of the reconcile.

        Raises:
            Conflict: Somebody has changed it meanwhile, or claimed it.
            ClientError: As a client raises it.
        """
        metadata = obj["metadata"]
        place = (resources.SECRETS, metadata["namespace"])
        for index in range(len((obj.get("spec") or {}).get("actions") or ())):
            name = secret_name(metadata["uid"], index)
            try:
                found = self._client.get(*place, name, deadline=deadline)
                parse_secret(found, obj)
            except (NotFound, InvalidInput, Forbidden):
                continue
            self._ensure_current(obj, deadline)
            with suppress(NotFound, Forbidden):
                uid = found["metadata"]["uid"]
                self._client.delete(*place, name, uid=uid, deadline=deadline)

    def _check(self, obj: Object, action: Action, deadline: Deadline) -> _Checked:
        blueprint = self._blueprint(obj["metadata"]["namespace"], action.blueprint, deadline)
        written = find_action(blueprint, action.name)
        return _Checked(
            action=action,
            written=written,
            planned=parse_action(written, blueprint=action.blueprint, action=action.name),
            repeatable=(blueprint["metadata"].get("annotations") or {}).get(
                ANNOTATION_REPEATABLE, ""
            ),
        )

    def _blueprint(self, namespace: str, name: str, deadline: Deadline) -> Object:
        # From no cache: it is read once, and somebody may have applied it with the ActionSet.
        try:
            return self._client.get(BLUEPRINTS, namespace, name, deadline=deadline)
        except NotFound:
            message = NO_BLUEPRINT.format(name=name, namespace=namespace)
            raise InvalidInput(REASON_NO_BLUEPRINT, message) from None

    def _check_functions(self, checked: _Checked) -> list[str]:
        warnings = []
        for phase in checked.planned.all_phases:
            try:
                found = self._functions.find(phase.func, checked.action.preferred_version)
            except FunctionUnknown as error:
                named = checked.action.name
                message = BAD_FUNCTION.format(action=named, phase=phase.name, reason=error)
                raise InvalidInput(REASON_INVALID, message) from None
            if found.warning:
                warnings.append(found.warning)
        return warnings

    def _freeze(
        self,
        obj: Object,
        specs: list[Mapping[str, Any]],
        checked: _Checked,
        deadline: Deadline,
    ) -> FrozenAction:
        action = checked.action
        parameters = self._parameters.freeze(action, obj["metadata"]["namespace"], deadline)
        objects = self._objects(obj, checked, parameters, deadline)
        return FrozenAction(
            spec=specs[action.index],
            planned=checked.written,
            objects=objects,
            repeatable=checked.repeatable,
            parameters=document.encode(parameters, action=action.name),
        )

    def _objects(
        self,
        obj: Object,
        checked: _Checked,
        parameters: Mapping[str, Any],
        deadline: Deadline,
    ) -> dict[str, Any]:
        """Return the references of each phase that has some, rendered, by the phase's name."""
        action = checked.action
        phases = [one for one in checked.planned.all_phases if one.objects]
        if not phases:
            return {}
        # What is stored is less than templates can name in one place, and more in another.
        complete = self._parameters.complete(
            parameters, action, obj["metadata"]["namespace"], deadline, phases={}
        )
        return {
            phase.name: self._renderer.render(
                complete,
                dict(phase.objects),
                place=PLACE.format(action=action.name, phase=phase.name),
            )
            for phase in phases
        }

    def _create(self, obj: Object, secret: Object, deadline: Deadline) -> None:
        """Make a frozen Secret, anew where a process before this one got no further than that."""
        metadata = secret["metadata"]
        place = (resources.SECRETS, metadata["namespace"])
        try:
            self._client.create(*place, secret, deadline=deadline)
        except AlreadyExists:
            found = self._client.get(*place, metadata["name"], deadline=deadline)
            # Raises where it is somebody else's.
            parse_secret(found, obj)
            # A cache that lags behind another process may not show that it has begun.
            self._ensure_current(obj, deadline)
            # Nothing has begun with it: its time and its target may be outdated.
            uid = found["metadata"]["uid"]
            self._client.delete(*place, metadata["name"], uid=uid, deadline=deadline)
            self._client.create(*place, secret, deadline=deadline)

    def _ensure_current(self, obj: Object, deadline: Deadline) -> None:
        metadata = obj["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        found = self._client.get(ACTION_SETS, namespace, name, deadline=deadline)["metadata"]
        if (found["uid"], found["resourceVersion"]) != (
            metadata["uid"],
            metadata["resourceVersion"],
        ):
            raise Conflict(HTTPStatus.CONFLICT, "Conflict", OUTDATED.format(name=name))


def is_claimable(obj: Object) -> bool:
    """Return whether nothing of an ActionSet has begun."""
    state = (obj.get("status") or {}).get("state")
    return not state or state == State.PENDING
