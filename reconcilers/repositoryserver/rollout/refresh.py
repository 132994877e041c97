"""Acting on what another pod has written: a server that takes over catches up with the former one.

Kopia reads the index of a repository when it opens it, and again after a quarter of an hour. A
backup that ends in a pod that drains, after its successor has begun, cannot be restored through the
successor until that has looked again (docs/decisions/rollout.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from reconcilers.kopia import failures
from reconcilers.repositoryserver import servercommands
from reconcilers.repositoryserver.rollout import plan
from reconcilers.repositoryserver.serverexec import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.clock import Clock
    from reconcilers.repositoryserver.context import Pass
    from reconcilers.repositoryserver.serverexec import CommandRunner

# What a former pod has written may be unknown to the one that serves for a tenth of the time to
# drain, within these bounds. Many servers may drain at a time, for instance after an upgrade, and a
# refresh is a command in a pod and a listing of the storage.
PAUSE_MIN_SECONDS = 5.0
PAUSE_MAX_SECONDS = 30.0

_log = structlog.get_logger()


class Refresher:
    """Lets a server look at its repository anew while, and after, another pod writes to it."""

    def __init__(self, *, commands: CommandRunner, clock: Clock) -> None:
        """Take the dependencies.

        Args:
            commands: Runs Kopia in the server's container.
            clock: The time.
        """
        self._commands = commands
        self._clock = clock

    def ensure_caught_up(
        self, current: Pass, serving: Mapping[str, Any], others: Iterable[Mapping[str, Any]]
    ) -> None:
        """Refresh the server in a pod if it may lack what former pods have written.

        That is so again and again while there are such pods, and once more when the last one has
        gone. That it cannot be done keeps nobody from connecting: it goes to the log and is tried
        again. Who leads next does not know of pods that have gone before.

        Args:
            current: The pass.
            serving: The Ready pod that clients reach.
            others: The other pods of the server.

        Raises:
            DeadlineExceeded: The time of the pass is over.
        """
        memory, now = current.memory, self._clock.monotonic()
        wall = self._clock.now()
        written = any(plan.may_write(pod, wall) for pod in others)
        if memory.refreshed_at is None:
            if not written:
                return
            memory.refreshed_at = now
        pause = min(max(current.server.drain_seconds / 10, PAUSE_MIN_SECONDS), PAUSE_MAX_SECONDS)
        left = memory.refreshed_at + pause - now
        if left > 0:
            current.look_again(left)
            return
        memory.refreshed_at = now
        refreshed = self._refresh(current, serving)
        if refreshed and not written:
            memory.refreshed_at = None
        else:
            current.look_again(pause)

    def _refresh(self, current: Pass, pod: Mapping[str, Any]) -> bool:
        try:
            result = self._commands.run(current, pod, servercommands.REFRESH)
        except CommandError as error:
            cause = str(error)
        else:
            if result.exit_code == 0:
                return True
            cause = failures.last_line(result.stderr.decode(errors="replace"))
        _log.warning("a server may not know the latest backups yet", cause=cause)
        return False
