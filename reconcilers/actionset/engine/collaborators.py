"""What the engine asks of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Deadline
    from controller.resource import Object
    from reconcilers.actionset.api import Action, ObjectReference


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
    """Gathers what templates can name; `parameters.reader.ParameterReader`."""

    def freeze(self, action: Action, namespace: str, deadline: Deadline) -> dict[str, Any]:
        """Return the part of the parameters that stays as it is when the action begins."""
        ...

    def complete(
        self,
        frozen_: Mapping[str, Any],
        action: Action,
        namespace: str,
        deadline: Deadline,
        *,
        phases: Mapping[str, Mapping[str, ObjectReference]],
        deferred: Mapping[str, ObjectReference] | None = None,
    ) -> dict[str, Any]:
        """Return all that templates can name, as it is now, without outputs. It holds Secrets."""
        ...
