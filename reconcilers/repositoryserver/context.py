"""What one reconcile carries with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field

from reconcilers.secrets.reader import ReadScope

if TYPE_CHECKING:
    from controller.clock import Deadline
    from controller.reconcile import Request
    from reconcilers.repositoryserver import api


@define
class ReconcileContext:
    """One reconcile of one resource.

    Args:
        obj: The resource as the API server has it.
        request: Its namespace and name.
        server: The same, parsed.
        deadline: Until when work may go on.
        reads: Holds the Secrets that it reads.
        requeue_after: Seconds after which to look again, the shortest that was asked for.
        requeue_priority: Priority of that reconcile; None for the one that this reconcile has.
    """

    obj: dict[str, Any]
    request: Request
    server: api.RepositoryServer
    deadline: Deadline
    reads: ReadScope = field(init=False)
    requeue_after: float | None = field(default=None)
    requeue_priority: int | None = None

    @reads.default
    def _own_reads(self) -> ReadScope:
        return ReadScope(self.deadline)

    def look_again(self, seconds: float, *, priority: int | None = None) -> None:
        """Ask for another reconcile.

        Args:
            seconds: After how many at the latest, if nothing of a higher priority waits then.
            priority: Its priority in the queue; None for the one that this reconcile has.
        """
        if self.requeue_after is None or seconds < self.requeue_after:
            self.requeue_after = seconds
            self.requeue_priority = priority
