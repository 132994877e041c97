"""The attempts at one snapshot: each is marked by a tag, so that what a failed one left is found.

Of what it could not read as a whole Kopia leaves a pinned snapshot, marked incomplete, with
`--fail-fast` as well; and the server completes what a client told it before it was killed.
"""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Final

from attrs import define, field

from controller.clock import Deadline
from reconcilers.kopia.client import child, commands, failures, output
from reconcilers.kopia.client.errors import ClientFailed, Kind

if TYPE_CHECKING:
    from controller.stop import Stop
    from reconcilers.kopia.client.model import Snapshot
    from reconcilers.kopia.client.runner import Runner

LEFT: Final = (
    "; what it left could not be looked for ({cause}): delete the snapshots that `kopia snapshot "
    "list --incomplete --json --tags {tag}:{attempt}` shows, if there are any"
)

#: After these Kopia may have been killed at any point.
_KILLED: Final = frozenset({Kind.CANCELLED, Kind.STALLED, Kind.SERVER_GONE, Kind.OUT_OF_MEMORY})

#: Seconds after which a killed attempt is looked for a second time. The server notes that a client
#: has gone, and only then completes what it was told (Kopia internal/server/grpc_session.go).
_SECOND_LOOK: Final = 1.0

# Of what is gone meanwhile `snapshot list` logs this, and goes on (snapshot/manager.go).
_NOT_LOADED: Final = "unable to parse snapshot manifest"
_IS_GONE: Final = ": snapshot not found"


@define
class Attempts:
    """The failed attempts at a snapshot, and the one that is being made.

    Args:
        runner: Runs commands.
    """

    runner: Runner
    _names: list[str] = field(factory=list, init=False)

    def begin(self) -> str:
        """Remove what earlier attempts have left, and return the name of the next one.

        Raises:
            ClientFailed: They could not be looked for, or not be removed.
        """
        for name in list(self._names):
            self._remove(name, self.runner.stop)
            self._names.remove(name)
        name = uuid.uuid4().hex
        self._names.append(name)
        return name

    def failed(self, error: ClientFailed) -> ClientFailed:
        """Remove what all attempts have left, and return the error, with what may still be left.

        It takes no more than the limit for it, also if the stop is set.

        Args:
            error: Of the last attempt.
        """
        left = ""
        deadline = Deadline.after(self.runner.clock, self.runner.limits.clean_up_seconds)
        for name in self._names:
            try:
                found = self._remove(name, None, deadline)
                if not found and error.kind in _KILLED:
                    self.runner.clock.wait_event(threading.Event(), _SECOND_LOOK)
                    self._remove(name, None, deadline)
            except ClientFailed as cause:
                kind = cause.kind.name.lower().replace("_", " ")
                left += LEFT.format(cause=kind, tag=commands.ATTEMPT_TAG, attempt=name)
        if not left:
            return error
        return ClientFailed(error.kind, error.message + left, error.output)

    def _remove(self, name: str, stop: Stop | None, deadline: Deadline | None = None) -> bool:
        """Delete the snapshots of an attempt, and return whether there were any."""
        tags = {commands.ATTEMPT_TAG: name}
        found = listed(self.runner, commands.list_snapshots(tags=tags), stop, deadline)
        if not found:
            return False
        ended = self.runner.run(
            commands.delete(one.id for one in found), stop=stop, patience=_patience(deadline)
        )
        setting = self.runner.setting(failures.DELETE, "what an attempt has left")
        if ended.code != 0:
            error = self.runner.explained(ended, setting)
            if error.kind is not Kind.NO_SUCH_SNAPSHOT:
                raise error
        return True


def listed(
    runner: Runner, arguments: list[str], stop: Stop | None, deadline: Deadline | None = None
) -> list[Snapshot]:
    """Return the snapshots that a command lists, all of them or none.

    Args:
        runner: Runs it.
        arguments: Of `commands.list_snapshots`.
        stop: Kills it; None if nothing does.
        deadline: By when it must have ended. Default: the limits count.

    Raises:
        ClientFailed: It has failed, or could not load one that is there.
    """
    ended = runner.run(arguments, stop=stop, patience=_patience(deadline))
    lost = [line for line in ended.lines if _NOT_LOADED in line and not line.endswith(_IS_GONE)]
    if ended.code != 0 or lost:
        raise runner.explained(ended, runner.setting(failures.READ, "the list of snapshots"))
    return output.snapshots(ended.output)


def _patience(deadline: Deadline | None) -> child.Patience | None:
    if deadline is None:
        return None
    return child.Patience(deadline.remaining(), deadline.remaining())
