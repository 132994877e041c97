"""The events that a test's subject tells, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from fakes import objects

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Event:
    """An event as a test states it."""

    type: str
    reason: str
    note: str
    action: str = "Reconcile"
    #: The name of the object that it is about.
    name: str = objects.NAME


@define
class FakeRecorder:
    """As `controller.events.EventRecorder`: it keeps the events."""

    events: list[Event] = field(factory=list)

    def event(
        self, obj: Mapping[str, Any], type_: str, reason: str, note: str, action: str
    ) -> None:
        self.events.append(Event(type_, reason, note, action, obj["metadata"]["name"]))

    def lines(self) -> list[str]:
        """Return the events, each as `TYPE REASON: note`."""
        return [f"{event.type} {event.reason}: {event.note}" for event in self.events]

    def warnings(self) -> list[str]:
        """Return the warnings among them."""
        return [line for line in self.lines() if line.startswith("Warning")]
