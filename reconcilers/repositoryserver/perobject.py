"""What the process remembers of each resource between two reconciles.

A module that remembers something has a `PerObject` of its own, so that a steady resource costs no
request. Nothing in it may be secret, and nothing may be relied on: another process starts without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.reconcile import Request
    from reconcilers.repositoryserver.context import ReconcileContext

T = TypeVar("T")


class PerObject(Generic[T]):
    """State by request, for one uid each: a resource does not inherit that of its namesake.

    One request is reconciled by one worker at a time, so the state needs no lock.

    Args:
        first: Returns the state of a resource that the process sees for the first time.
    """

    def __init__(self, first: Callable[[ReconcileContext], T]) -> None:
        self._first = first
        self._states: dict[Request, tuple[str, T]] = {}

    def of(self, current: ReconcileContext) -> T:
        """Return the state of the resource of a reconcile."""
        found = self._states.get(current.request)
        if found is None or found[0] != current.server.uid:
            found = self._states[current.request] = (current.server.uid, self._first(current))
        return found[1]

    def set(self, current: ReconcileContext, state: T) -> None:
        """Replace the state of the resource of a reconcile."""
        self._states[current.request] = (current.server.uid, state)

    def drop(self, request: Request) -> None:
        """Drop the state of a resource that is gone."""
        self._states.pop(request, None)


class States:
    """The state of all modules, dropped together when a resource is gone."""

    def __init__(self) -> None:
        self._all: list[PerObject[Any]] = []

    def per_object(self, first: Callable[[ReconcileContext], T]) -> PerObject[T]:
        """Return new state for a module.

        Args:
            first: As of `PerObject`.
        """
        made = PerObject(first)
        self._all.append(made)
        return made

    def drop(self, request: Request) -> None:
        """Drop what all modules remember of a resource that is gone."""
        for one in self._all:
            one.drop(request)
