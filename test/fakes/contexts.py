"""Contexts of reconciles, for tests of what is called within one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.clock import Deadline
from controller.reconcile import Request
from fakes import objects
from reconcilers.repositoryserver import api
from reconcilers.repositoryserver.context import ReconcileContext

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.resource import Object

#: How long one may take.
SECONDS = 60.0


def begin(clock: Clock, change: Object | None = None) -> ReconcileContext:
    """Begin a reconcile.

    Args:
        clock: The time.
        change: A merge patch of the resource.
    """
    obj = objects.repository_server(change)
    return ReconcileContext(
        obj=obj,
        request=Request(obj["metadata"]["namespace"], obj["metadata"]["name"]),
        server=api.parse(obj),
        deadline=Deadline.after(clock, SECONDS),
    )
