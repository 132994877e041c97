"""How often the stages of a server that comes up are reported.

It passes four within seconds. Each write of the status costs the API server as much as a child
does, and whoever waits wants to know that it has begun, and that it has come up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.repositoryserver.status import conditions as status

if TYPE_CHECKING:
    from controller.clock import Clock
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

#: Seconds until the first stage of a server that comes up is reported.
STAGE_PAUSE_SECONDS: Final = 2.0
#: Seconds between two stages that are reported.
NEXT_STAGE_PAUSE_SECONDS: Final = 5.0


class Stages:
    """Remembers when the status of each resource was last brought up to date.

    Args:
        states: Holds the time of each.
        clock: The time.
    """

    def __init__(self, *, states: States, clock: Clock) -> None:
        self._clock = clock
        # In monotonic seconds; at first, when the resource was first seen.
        self._reported_at = states.per_object(lambda _: clock.monotonic())

    def seconds_left(self, current: ReconcileContext, outcome: status.Outcome) -> float:
        """Return the seconds for which an outcome may go unreported; 0 or less if it may not.

        Args:
            current: The reconcile.
            outcome: What was found.
        """
        before = current.obj.get("status") or {}
        reported_at = self._reported_at.of(current)
        if not status.is_stage(before, outcome, current.server.generation):
            return 0.0
        pause = NEXT_STAGE_PAUSE_SECONDS if before.get("progress") else STAGE_PAUSE_SECONDS
        return reported_at + pause - self._clock.monotonic()

    def reported(self, current: ReconcileContext) -> None:
        """Record that the status has been brought up to date."""
        self._reported_at.set(current, self._clock.monotonic())
