"""What a reflector fills."""

from typing import Protocol

from controller.resource import Object


class Sink(Protocol):
    """What a reflector writes to. Called on the reflector's thread, in the order of the events."""

    def add(self, obj: Object) -> None:
        """Take an object that was created, or that is there when a watch begins."""

    def update(self, obj: Object) -> None:
        """Take an object that was changed."""

    def delete(self, obj: Object) -> None:
        """Take the last state of an object that was deleted."""

    def replace(self, objects: list[Object], resource_version: str) -> None:
        """Take all objects there are at a version; those not among them are gone."""

    def bookmark(self, resource_version: str) -> None:
        """Record that everything up to a version has been taken."""
