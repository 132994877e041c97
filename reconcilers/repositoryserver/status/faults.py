"""How long the faults of each resource have lasted, for `patience`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.conditions import conditions_of, get_condition
from reconcilers.repositoryserver.status import conditions as status
from reconcilers.repositoryserver.status import patience

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Clock
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.verdict import Problem, Waiting


class Faults:
    """Remembers how long the faults of each resource have lasted.

    Args:
        states: Holds when each was first seen.
        clock: The time.
    """

    def __init__(self, *, states: States, clock: Clock) -> None:
        self._clock = clock
        # In monotonic seconds, by step and reason.
        self._since = states.per_object(_none)

    def judge(
        self, current: ReconcileContext, found: Sequence[Problem | Waiting | None]
    ) -> tuple[Problem | Waiting, ...]:
        """Return what was found, with a wait in place of each fault that may yet pass by itself.

        Args:
            current: The reconcile, which is followed by one when the first of them is a fault.
            found: What the steps have found, in their order; None for nothing.
        """
        ready = get_condition(conditions_of(current.obj), status.READY)
        judged = patience.judge(
            [one for one in found if one is not None],
            self._since.of(current),
            reported="" if ready is None else ready["reason"],
            now=self._clock.monotonic(),
        )
        self._since.set(current, judged.since)
        if judged.seconds is not None:
            current.look_again(judged.seconds)
        return judged.verdicts


def _none(_: ReconcileContext) -> Mapping[tuple[str, str], float]:
    return {}
