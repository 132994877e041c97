"""Deletes finished ActionSets whose time is over."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import structlog

from controller.errors import Conflict, NotFound
from controller.reconcile import Result
from controller.workqueue.queue import LOW_PRIORITY
from reconcilers.actionset.api import ACTION_SETS
from reconcilers.actionset.retention import (
    DELETED,
    INDEX_DELETED,
    INDEX_PUT_OUT,
    PUT_OUT,
    is_needed,
    seconds_left,
)

if TYPE_CHECKING:
    from controller.clock import Clock, Deadline
    from controller.resource import Object
    from controller.rest.client import Client
    from reconcilers.actionset.engine.collaborators import Cache

#: Seconds between two looks whether an ActionSet is still needed. They cost no request.
RECHECK_SECONDS: Final = 3600.0

_log = structlog.get_logger()


class Expiry:
    """Deletes ActionSets by their annotation.

    Args:
        client: Deletes them.
        action_sets: All of them, the finished ones trimmed.
        clock: The time.
    """

    def __init__(self, *, client: Client, action_sets: Cache, clock: Clock) -> None:
        self._client = client
        self._action_sets = action_sets
        self._clock = clock

    def ensure(self, obj: Object, deadline: Deadline) -> Result:
        """Delete a finished ActionSet, if its time is over and nobody needs it.

        Args:
            obj: The ActionSet, as the cache has it.
            deadline: Of the reconcile.

        Raises:
            ClientError: As a client raises it.
        """
        left = seconds_left(obj, now=self._clock.now())
        if left is None or obj["metadata"].get("deletionTimestamp"):
            return Result()
        if left > 0:
            return Result(requeue_after=left, priority=LOW_PRIORITY)
        if self._is_needed(obj):
            return Result(requeue_after=RECHECK_SECONDS, priority=LOW_PRIORITY)
        metadata = obj["metadata"]
        _log.info("deleting a finished ActionSet: its time is over")
        # A Conflict is one of its name that is younger.
        with contextlib.suppress(NotFound, Conflict):
            self._client.delete(
                ACTION_SETS,
                metadata["namespace"],
                metadata["name"],
                uid=metadata["uid"],
                deadline=deadline,
            )
        return Result()

    def _is_needed(self, obj: Object) -> bool:
        deleting = {
            one: self._action_sets.by_index(INDEX_DELETED, one) for one in obj.get(PUT_OUT, ())
        }
        backups = [
            backup
            for one in obj.get(DELETED, ())
            for backup in self._action_sets.by_index(INDEX_PUT_OUT, one)
        ]
        return is_needed(obj, deleting=deleting, backups=backups)
