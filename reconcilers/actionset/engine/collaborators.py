"""What the engine asks of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from controller.clock import Deadline
    from controller.resource import Object
    from reconcilers.actionset.api import Action


class Cache(Protocol):
    """Objects of one kind, with own writes; `controller.cache.shared.SharedInformer`."""

    def get(self, namespace: str, name: str) -> Object | None:
        """Return an object, None if there is none. Never change it."""
        ...

    def by_index(self, index: str, value: str) -> list[Object]:
        """Return the objects with a value in an index. Never change them."""
        ...


class Recorder(Protocol):
    """Records events; `controller.events.EventRecorder`."""

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        """Record one event; never blocks."""
        ...


class Parameters(Protocol):
    """What templates can name; `parameters`."""

    def gather(
        self, action_set: Object, action: Action, *, now: datetime, deadline: Deadline
    ) -> bytes:
        """Return what is gathered once, when an action begins, as it is to be kept.

        Raises:
            InvalidInput: The target is not there, or something does not fit.
            ClientError: As a client raises it.
        """
        ...

    def frozen(self, kept: bytes) -> Mapping[str, Any]:
        """Return what `gather` has returned, as the mapping that templates see."""
        ...

    def with_outputs(
        self,
        parameters: Mapping[str, Any],
        phases: Mapping[str, Mapping[str, Any] | None],
        deferred: Mapping[str, Any] | None,
    ) -> Mapping[str, Any]:
        """Return parameters with the outputs of the phases that are complete.

        Args:
            parameters: Those of before.
            phases: Outputs by the name of the phase; None for none at all.
            deferred: Outputs of the deferPhase; None for none at all.
        """
        ...

    def live(
        self,
        action_set: Object,
        action: Action,
        parameters: Mapping[str, Any],
        *,
        objects: Mapping[str, Mapping[str, Mapping[str, Any]]],
        phase: str,
        deferred: bool,
        deadline: Deadline,
    ) -> Mapping[str, Any]:
        """Return parameters with what is read when a phase starts, and never kept.

        That is Secrets, ConfigMaps, the Profile and the RepositoryServer of the action, and the
        objects of the phases.

        Args:
            action_set: The ActionSet.
            action: The action of its spec.
            parameters: Those that `with_outputs` has returned.
            objects: The rendered references of the phases that have begun, by the name of the
                phase and their aliases.
            phase: The phase that starts, or has just ended.
            deferred: Whether it is the deferPhase.
            deadline: Of the reconcile.

        Raises:
            InvalidInput: Something is not there, or may not be read for this ActionSet.
            ClientError: As a client raises it.
        """
        ...
