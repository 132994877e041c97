"""Acting on what other pods have written: a server that takes over catches up with the last one.

Kopia reads the index of a repository when it opens it, and again after a quarter of an hour. A
backup that ends in a draining pod, after its successor has started, cannot be restored through the
successor until that has read the index again (docs/decisions/rollout.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, evolve, frozen

from reconcilers.kopia import failures
from reconcilers.repositoryserver import servercommands, serverexec
from reconcilers.repositoryserver.rollout import plan
from reconcilers.repositoryserver.serverexec import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.clock import Clock
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.serverexec import ServerCommands

#: Bounds of the seconds between two refreshes, which are otherwise a tenth of the time to drain.
#: Many servers may drain at a time, after an upgrade for instance, and a refresh is a command in a
#: pod and a listing of the storage.
PAUSE_MIN_SECONDS: Final = 5.0
PAUSE_MAX_SECONDS: Final = 30.0

_log = structlog.get_logger()


@frozen
class _Refresh:
    """A look of a server at its repository, under way.

    Args:
        pod: Uid of the server's pod.
        since: When it began, in monotonic seconds.
        written: Whether another pod may have written to the repository since it began.
    """

    pod: str
    since: float
    written: bool


@define
class _State:
    """What is remembered of one resource.

    Args:
        refreshed_at: When the server last looked at its repository anew, in monotonic seconds, or
            when it was first seen that it has to; None while no other pod may have written since.
        under_way: The look that is under way; None if none is.
    """

    refreshed_at: float | None = None
    under_way: _Refresh | None = None


class Refresher:
    """Has a server read its repository's index again while, and after, another pod writes to it.

    Args:
        commands: Runs Kopia in the server's container.
        states: Holds when each server has last done so.
        clock: The time.
    """

    def __init__(self, *, commands: ServerCommands, states: States, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock
        self._state = states.per_object(lambda _: _State())

    def ensure_caught_up(
        self,
        current: ReconcileContext,
        pod: Mapping[str, Any],
        others: Iterable[Mapping[str, Any]],
    ) -> None:
        """Refresh the server in a pod if it may lack what other pods have written.

        This repeats for as long as there are such pods, and once more when the last one has gone:
        a refresh counts as the last one only if nobody can have written since it began. A failure
        keeps nobody from connecting: it is logged, and tried again. The next leader does not know
        of pods that went before.

        Args:
            current: The reconcile.
            pod: The Ready pod that clients reach.
            others: The other pods of the server.

        Raises:
            ClientError: This process does not lead any more, or ends.
        """
        state, now = self._state.of(current), self._clock.monotonic()
        written = any(plan.may_write(pod, self._clock.now()) for pod in others)
        if state.refreshed_at is None:
            if not written:
                return
            state.refreshed_at = now
        pause = min(max(current.server.drain_seconds / 10, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)
        uid = pod["metadata"]["uid"]
        if state.under_way is not None and state.under_way.pod != uid:
            # What it finds says nothing of the pod that serves now.
            state.under_way = None
        if state.under_way is None:
            left = state.refreshed_at + pause - now
            if left > 0:
                current.look_again(left)
                return
            state.under_way = _Refresh(uid, now, written)
        elif written:
            state.under_way = evolve(state.under_way, written=True)
        refreshed = self._refresh(current, pod, state.under_way.since)
        if refreshed is None:
            return
        complete = refreshed and not state.under_way.written
        state.under_way, state.refreshed_at = None, None if complete else now
        if not complete:
            current.look_again(pause)

    def _refresh(
        self, current: ReconcileContext, pod: Mapping[str, Any], since: float
    ) -> bool | None:
        """Return whether the server has read the index again; None while that is under way."""
        try:
            result = self._commands.ensure(
                current, pod, serverexec.REFRESH, servercommands.REFRESH, since=since
            )
        except CommandError as error:
            cause = str(error)
        else:
            if result is None:
                return None
            if result.exit_code == 0:
                return True
            cause = failures.last_line(result.stderr.decode(errors="replace"))
        _log.warning("a server may not know the latest backups yet", cause=cause)
        return False
