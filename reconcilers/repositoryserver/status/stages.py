"""How often the stages of a server that comes up are reported.

It passes four within seconds. Each write of the status costs the API server as much as a child
does, and whoever waits wants to know that it has begun, and that it has come up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import evolve, frozen

from reconcilers.repositoryserver.status import conditions as status

if TYPE_CHECKING:
    from controller.clock import Clock
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

#: Seconds until the first stage of a server that comes up is reported, and for which a later one
#: has to last: the last one before Ready takes a moment.
STAGE_PAUSE_SECONDS: Final = 2.0
#: Seconds between two stages that are reported.
NEXT_STAGE_PAUSE_SECONDS: Final = 5.0


@frozen
class _Known:
    """What is known of one resource. Times are monotonic seconds.

    Args:
        reported_at: When its status was brought up to date last; at first, when it was first seen.
        stage: The stage that was seen last.
        since: Since when.
    """

    reported_at: float
    stage: str = ""
    since: float = 0.0


class Stages:
    """Remembers when the status of each resource was last brought up to date, and its stage.

    Args:
        states: Holds what is known of each.
        clock: The time.
    """

    def __init__(self, *, states: States, clock: Clock) -> None:
        self._clock = clock
        self._known = states.per_object(lambda _: _Known(clock.monotonic()))

    def seconds_left(self, current: ReconcileContext, outcome: status.Outcome) -> float:
        """Return the seconds for which an outcome may go unreported; 0 or less if it may not.

        Args:
            current: The reconcile.
            outcome: What was found.
        """
        before = current.obj.get("status") or {}
        known, now = self._known.of(current), self._clock.monotonic()
        if not status.is_stage(before, outcome, current.server.generation):
            return 0.0
        if known.stage != (stage := status.reason_of(outcome)):
            known = evolve(known, stage=stage, since=now)
            self._known.set(current, known)
        if not before.get("progress"):
            return known.reported_at + STAGE_PAUSE_SECONDS - now
        next_at = known.reported_at + NEXT_STAGE_PAUSE_SECONDS
        return max(next_at, known.since + STAGE_PAUSE_SECONDS) - now

    def reported(self, current: ReconcileContext) -> None:
        """Record that the status has been brought up to date."""
        known = self._known.of(current)
        self._known.set(current, evolve(known, reported_at=self._clock.monotonic()))
