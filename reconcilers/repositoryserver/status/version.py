"""Which version of Kopia runs in the pod that clients reach: read from the program itself.

The image's name need not say it, and a tag may be moved. The search for users brings the version of
a new server with its own result (see `users.purge`), so that thousands of servers that start take
no further command, reconcile and status for it. After a change of the pod nobody searches, and the
version is read by a command of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define

from controller.workqueue.queue import LOW_PRIORITY
from reconcilers.repositoryserver import servercommands, serverexec
from reconcilers.repositoryserver.serverexec import CommandError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.clock import Clock
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States
    from reconcilers.repositoryserver.serverexec import ServerCommands

#: Seconds from the time when clients are first seen to reach a pod until its version is read.
#: Servers that come up at the same time go first.
READ_AFTER_SECONDS: Final = 30.0
#: Seconds until a version that could not be read is read again.
READ_AGAIN_SECONDS: Final = 600.0

_log = structlog.get_logger()


@define
class _State:
    """What is remembered of one resource.

    Args:
        pod: Uid of the pod that clients reach; empty before there was one.
        read_at: When to read its version, in monotonic seconds.
        version: What was read; empty before. The status may not have it yet.
    """

    pod: str = ""
    read_at: float = 0.0
    version: str = ""


class KopiaVersions:
    """Finds the version of Kopia in the pod of each server, once for each pod.

    Args:
        commands: Runs Kopia in the server's container.
        states: Holds the version of each pod until the status has it.
        clock: The time.
    """

    def __init__(self, *, commands: ServerCommands, states: States, clock: Clock) -> None:
        self._commands = commands
        self._clock = clock
        self._state = states.per_object(lambda _: _State())

    def ensure_read(
        self,
        current: ReconcileContext,
        pod: Mapping[str, Any],
        printed: bytes | None,
        *,
        expected: bool,
    ) -> str:
        """Read the version of the Kopia in a pod if that is due, and return it.

        A failure changes nothing else: it is logged, and tried again.

        Args:
            current: The reconcile.
            pod: The pod that clients reach, which is Ready.
            printed: What that pod has just printed of its version; None if it was not asked.
            expected: Whether it is about to be asked, so that nothing is to be done for it here.

        Returns:
            The version; empty if the status has it already, or it is not known.

        Raises:
            ClientError: This process does not lead any more, or ends.
        """
        state, now = self._state.of(current), self._clock.monotonic()
        uid = pod["metadata"]["uid"]
        if state.pod != uid:
            state = _State(uid, now + READ_AFTER_SECONDS)
            self._state.set(current, state)
        if printed is not None:
            self._take(current, state, 0, printed)
        elif not (expected or state.version or _is_known(current, pod)):
            self._read_if_due(current, pod, state, state.read_at - now)
        return state.version

    def _read_if_due(
        self, current: ReconcileContext, pod: Mapping[str, Any], state: _State, left: float
    ) -> None:
        """Run the command, or take its result, if no seconds are left until then."""
        if left > 0:
            current.look_again(left, priority=LOW_PRIORITY)
            return
        try:
            result = self._commands.ensure(
                current, pod, serverexec.KOPIA_VERSION, servercommands.VERSION
            )
        except CommandError as error:
            self._put_off(current, state, error)
            return
        if result is not None:
            self._take(current, state, result.exit_code, result.stdout)

    def _take(
        self, current: ReconcileContext, state: _State, exit_code: int, printed: bytes
    ) -> None:
        try:
            state.version = servercommands.kopia_version(exit_code, printed)
        except ValueError as error:
            self._put_off(current, state, error)

    def _put_off(self, current: ReconcileContext, state: _State, error: Exception) -> None:
        _log.warning("the version of Kopia is not known", cause=str(error))
        state.read_at = self._clock.monotonic() + READ_AGAIN_SECONDS
        current.look_again(READ_AGAIN_SECONDS, priority=LOW_PRIORITY)


def _is_known(current: ReconcileContext, pod: Mapping[str, Any]) -> bool:
    """Return whether the status has the version of a pod."""
    info = (current.obj.get("status") or {}).get("serverInfo") or {}
    return bool(info.get("kopiaVersion")) and info.get("podName") == pod["metadata"]["name"]
