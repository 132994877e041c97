"""Passes, for tests of what is called within one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.clock import Deadline
from controller.reconcile import Request
from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.context import Memory, ReconcileContext

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.resource import Object

#: How long one may take.
SECONDS = 60.0


def begin(clock: Clock, change: Object | None = None) -> ReconcileContext:
    """Begin a pass of a resource that this process sees for the first time.

    Args:
        clock: The time.
        change: A merge patch of the resource.
    """
    obj = objects.repository_server(change)
    return ReconcileContext(
        obj=obj,
        request=Request(objects.NAMESPACE, objects.NAME),
        server=api.parse(obj),
        memory=Memory(),
        deadline=Deadline.after(clock, SECONDS),
    )
