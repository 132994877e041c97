"""What an action is to do: what was frozen when it began, parsed, and read once by each process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, field, frozen

from controller.errors import AlreadyExists, ApiError, NotFound
from reconcilers import resources
from reconcilers.actionset.blueprint import BlueprintAction, Phase, parse_action
from reconcilers.actionset.frozen import kept_name, make_kept, parse_secret, secret_name
from reconcilers.actionset.parameters.document import decode
from reconcilers.actionset.parse import parse, reference
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Deadline
    from controller.reconcile import Request
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.api import Action, ObjectReference
    from reconcilers.actionset.frozen import FrozenAction
    from reconcilers.actionset.memo import Position

REASON_LOST: Final = "ParametersLost"
LOST: Final = (
    "Secret {name}, which holds what the action began with, is gone; it cannot go on, create the"
    " ActionSet again"
)


_log = structlog.get_logger()


@frozen
class Plan:
    """One action of an ActionSet that runs.

    Args:
        action: The action of its spec.
        planned: The action of the Blueprint.
        objects: References of each phase, by its name and their aliases, rendered.
        repeatable: The annotation of the Blueprint that names repeatable phases.
        parameters: What templates can name, as it was when the action began.
    """

    action: Action
    planned: BlueprintAction
    objects: Mapping[str, Mapping[str, ObjectReference]]
    repeatable: str
    parameters: Mapping[str, Any] = field(repr=False)

    def phase_at(self, position: Position) -> Phase:
        """Return the phase of a position."""
        if position.deferred:
            if self.planned.defer is None:
                raise KeyError(position)
            return self.planned.defer
        return self.planned.phases[position.phase]


@define
class _Known:
    """What this process knows of an ActionSet.

    Args:
        uid: Its uid.
        plans: What its actions are to do.
        frozen: The same as its Secrets hold it.
        is_kept: Whether it is in Secrets without an owner as well.
    """

    uid: str
    plans: tuple[Plan, ...]
    frozen: tuple[FrozenAction, ...]
    is_kept: bool = False

    @property
    def is_to_be_kept(self) -> bool:
        """Whether a deferPhase needs it after a deletion, and it is not kept for that yet."""
        return not self.is_kept and any(plan.planned.defer is not None for plan in self.plans)


class Plans:
    """Reads the frozen Secrets, and keeps what they hold while the ActionSet runs.

    Args:
        client: Reads and writes Secrets by name.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        # One request is reconciled by one worker at a time.
        self._known: dict[Request, _Known] = {}

    def of(self, request: Request, obj: Object, deadline: Deadline) -> tuple[Plan, ...]:
        """Return the plans of an ActionSet that has begun, one an action of its status.

        Args:
            request: The ActionSet.
            obj: The same.
            deadline: Of the reconcile.

        Once it is deleted, what its deferPhases need is kept in Secrets that it does not own.

        Raises:
            InvalidInput: A Secret is gone, or is not of this ActionSet.
            ClientError: As the client raises it.
        """
        known = self._known.get(request)
        if known is None or known.uid != obj["metadata"]["uid"]:
            actions = range(len(obj["status"]["actions"]))
            self.keep(request, obj, [self._read(obj, index, deadline) for index in actions])
            known = self._known[request]
        if obj["metadata"].get("deletionTimestamp") and known.is_to_be_kept:
            self._keep_without_owner(obj, known, deadline)
        return known.plans

    def keep(self, request: Request, obj: Object, frozen: Sequence[FrozenAction]) -> None:
        """Keep what an ActionSet works with that has just been claimed.

        Args:
            request: The ActionSet.
            obj: The same.
            frozen: What its Secrets hold.
        """
        self._known[request] = _Known(obj["metadata"]["uid"], plans_of(obj, frozen), tuple(frozen))

    def drop(self, request: Request) -> None:
        """Forget an ActionSet that has ended or is gone."""
        self._known.pop(request, None)

    def _read(self, obj: Object, index: int, deadline: Deadline) -> FrozenAction:
        metadata = obj["metadata"]
        uid, place = metadata["uid"], (resources.SECRETS, metadata["namespace"])
        names = [secret_name(uid, index)]
        if metadata.get("deletionTimestamp"):
            names.append(kept_name(uid, index))
        for name in names:
            with contextlib.suppress(NotFound):
                return parse_secret(self._client.get(*place, name, deadline=deadline), obj)
        raise InvalidInput(REASON_LOST, LOST.format(name=names[0]))

    def _keep_without_owner(self, obj: Object, known: _Known, deadline: Deadline) -> None:
        """Make the Secrets without an owner. If they are refused the deferPhase runs all the same.

        What is of the name was made before a kill, or is somebody else's: it is made anew.
        """
        metadata = obj["metadata"]
        place = (resources.SECRETS, metadata["namespace"])
        try:
            for index, content in enumerate(known.frozen):
                secret = make_kept(obj, index, content)
                name = secret["metadata"]["name"]
                try:
                    self._client.create(*place, secret, deadline=deadline)
                except AlreadyExists:
                    self._client.delete(*place, name, deadline=deadline)
                    self._client.create(*place, secret, deadline=deadline)
        except ApiError as error:
            _log.warning("not kept for a deferPhase after a restart", status=error.status)
            return
        known.is_kept = True


def plans_of(obj: Object, frozen: Sequence[FrozenAction]) -> tuple[Plan, ...]:
    """Return the plans of actions as they are kept.

    Args:
        obj: The ActionSet.
        frozen: What is kept of each action.

    Raises:
        InvalidInput: As of `parse` and `parse_action`.
    """
    spec = {"actions": [one.spec for one in frozen]}
    actions = parse({"metadata": obj["metadata"], "spec": spec})
    return tuple(_plan(action, one) for action, one in zip(actions, frozen, strict=True))


def _plan(action: Action, kept: FrozenAction) -> Plan:
    return Plan(
        action=action,
        planned=parse_action(kept.planned, blueprint=action.blueprint, action=action.name),
        objects={
            phase: {alias: reference(one) for alias, one in references.items()}
            for phase, references in kept.objects.items()
        },
        repeatable=kept.repeatable,
        parameters=decode(kept.parameters),
    )
