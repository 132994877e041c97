"""What an action is to do: what was frozen when it began, parsed, and read once by each process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import field, frozen

from controller.errors import NotFound
from reconcilers import resources
from reconcilers.actionset.blueprint import BlueprintAction, Phase, parse_action
from reconcilers.actionset.frozen import parse_secret, secret_name
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


class Plans:
    """Reads the frozen Secrets, and keeps what they hold while the ActionSet runs.

    Args:
        client: Reads Secrets by name.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        # By request, for one uid. One request is reconciled by one worker at a time.
        self._known: dict[Request, tuple[str, tuple[Plan, ...]]] = {}

    def of(self, request: Request, obj: Object, deadline: Deadline) -> tuple[Plan, ...]:
        """Return the plans of an ActionSet that has begun, one an action of its status.

        Args:
            request: The ActionSet.
            obj: The same.
            deadline: Of the reconcile.

        Raises:
            InvalidInput: A Secret is gone, or is not of this ActionSet.
            ClientError: As the client raises it.
        """
        uid = obj["metadata"]["uid"]
        known = self._known.get(request)
        if known is None or known[0] != uid:
            actions = range(len(obj["status"]["actions"]))
            frozen = [self._read(obj, index, deadline) for index in actions]
            known = (uid, plans_of(obj, frozen))
            self._known[request] = known
        return known[1]

    def keep(self, request: Request, obj: Object, frozen: Sequence[FrozenAction]) -> None:
        """Keep what an ActionSet works with that has just been claimed.

        Args:
            request: The ActionSet.
            obj: The same.
            frozen: What its Secrets hold.
        """
        self._known[request] = (obj["metadata"]["uid"], plans_of(obj, frozen))

    def drop(self, request: Request) -> None:
        """Forget an ActionSet that has ended or is gone."""
        self._known.pop(request, None)

    def _read(self, obj: Object, index: int, deadline: Deadline) -> FrozenAction:
        metadata = obj["metadata"]
        name = secret_name(metadata["uid"], index)
        try:
            secret = self._client.get(
                resources.SECRETS, metadata["namespace"], name, deadline=deadline
            )
        except NotFound:
            raise InvalidInput(REASON_LOST, LOST.format(name=name)) from None
        return parse_secret(secret, obj)


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
