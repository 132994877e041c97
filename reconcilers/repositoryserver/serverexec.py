"""Running Kopia in a server's container, with the failures that must not end a pass.

A node that is away, or a storage that hangs, keeps one command from being run. The rest of the pass
is to be done and told all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from controller.clock import DeadlineExceeded
from controller.errors import ClientError, NotLeading
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.clock import Deadline
    from controller.rest.podexec import ExecResult
    from reconcilers.repositoryserver.context import Pass

# A server whose storage is away answers a refresh when it is back; no worker should wait for it.
COMMAND_SECONDS = 30.0
UNANSWERED = f"its server has not answered for {COMMAND_SECONDS:.0f} s"


class Executor(Protocol):
    """Runs commands in containers, as `controller.rest.podexec.Executor`."""

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        deadline: Deadline,
    ) -> ExecResult:
        """Run a command to its end."""
        ...


class CommandError(Exception):
    """A command has not come to its end."""


class Unanswered(CommandError):
    """It has not ended in its time."""


class Unreachable(CommandError):
    """It could not be run."""


class CommandRunner:
    """Runs commands in the containers of servers."""

    def __init__(self, executor: Executor) -> None:
        """Take what runs them."""
        self._executor = executor

    def run(
        self, current: Pass, pod: Mapping[str, Any], command: Sequence[str], stdin: bytes = b""
    ) -> ExecResult:
        """Run a command in the server's container of a pod.

        Args:
            current: The pass.
            pod: The pod.
            command: The command; it has half a minute.
            stdin: What it reads.

        Raises:
            Unanswered: It has not ended in its time, and may go on; or an earlier one in that pod
                has not, in the same pass.
            Unreachable: The pod, its node or the API server could not be reached, or refused.
            DeadlineExceeded: The time of the pass is over.
            NotLeading: Another replica leads.
        """
        metadata = pod["metadata"]
        if metadata["uid"] in current.unanswered:
            raise Unanswered(UNANSWERED)
        try:
            return self._executor.run(
                metadata["namespace"],
                metadata["name"],
                names.CONTAINER,
                command,
                stdin=stdin,
                deadline=current.deadline.within(COMMAND_SECONDS),
            )
        except DeadlineExceeded as error:
            current.deadline.check()
            current.unanswered.add(metadata["uid"])
            raise Unanswered(str(error)) from error
        except NotLeading:
            raise
        except ClientError as error:
            raise Unreachable(str(error)) from error
