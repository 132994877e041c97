"""The sink of a reflector."""

from typing import Protocol

from controller.resource import Object


class Sink(Protocol):
    """Where a reflector writes to (client-go `ReflectorStore`).

    It is called on the reflector's thread, in the order of the events.
    """

    def add(self, obj: Object) -> None:
        """Store an object that was created, or that existed when the watch began."""

    def update(self, obj: Object) -> None:
        """Store an object that was changed."""

    def delete(self, obj: Object) -> None:
        """Remove an object. It comes in its last state."""

    def replace(self, objects: list[Object], resource_version: str) -> None:
        """Replace all objects by those of a list at a resource version."""

    def bookmark(self, resource_version: str) -> None:
        """Record that the sink is complete up to a resource version."""
