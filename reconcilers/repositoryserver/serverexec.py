"""Kopia in a server's container: commands, with the failures that must not end a reconcile.

A node that is away, or a storage that hangs, keeps a single command from being run. The rest of the
reconcile is done and reported all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.clock import DeadlineExceeded
from controller.commands import Command
from controller.errors import ClientError, NotLeading, Stopped
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from controller.commands import Commands
    from controller.reconcile import Request
    from controller.rest.podexec import ExecResult
    from reconcilers.repositoryserver.context import ReconcileContext
    from reconcilers.repositoryserver.perobject import States

#: Seconds for one command. A server whose storage is away answers a refresh when it is back.
COMMAND_SECONDS: Final = 30.0
UNANSWERED: Final = f"its server has not answered for {COMMAND_SECONDS:.0f} s"

#: Kinds of commands, as metrics name them. A pod runs one of each at a time.
LOAD_USERS: Final = "load_users"
LIST_USERS: Final = "list_users"
PURGE_USERS: Final = "purge_users"
REFRESH: Final = "refresh"
KOPIA_VERSION: Final = "kopia_version"
MAINTENANCE_OWNER: Final = "maintenance_owner"


class CommandError(Exception):
    """A command has not come to its end."""


class Unanswered(CommandError):
    """The command has not ended in its time."""


class Unreachable(CommandError):
    """The command could not be run."""


class ServerCommands:
    """Runs commands in the containers of servers, beside the workers.

    Args:
        commands: Runs them.
        states: Holds for which resources commands may run.
    """

    def __init__(self, commands: Commands, *, states: States) -> None:
        self._commands = commands
        self._begun = states.per_object(self._drop_those_of_namesake)

    def begin(self, current: ReconcileContext) -> None:
        """Drop what runs for a deleted resource of the same name."""
        self._begun.of(current)

    def ensure(
        self,
        current: ReconcileContext,
        pod: Mapping[str, Any],
        kind: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        since: float = 0.0,
    ) -> ExecResult | None:
        """Return the result of a command in a pod, once; start the command if it does not run.

        See `controller.commands.Commands.ensure`.

        Args:
            current: The reconcile. The end of the command leads to another one.
            pod: The pod.
            kind: What the command is for.
            argv: Program and arguments, without a secret.
            stdin: What it reads.
            since: When it was first asked for, in monotonic seconds, where the result of a command
                that ran before then proves nothing. Default: any result will do.

        Returns:
            The result, whatever the exit code; None while the command is under way.

        Raises:
            Unanswered: It has not ended within `COMMAND_SECONDS`.
            Unreachable: The pod, its node or the API server could not be reached, or refused.
            NotLeading: Another replica leads.
            Stopped: The process ends.
        """
        metadata = pod["metadata"]
        command = Command(
            kind=kind,
            namespace=metadata["namespace"],
            pod=metadata["name"],
            container=names.CONTAINER,
            argv=tuple(argv),
            seconds=COMMAND_SECONDS,
            stdin=stdin,
        )
        slot = (kind, metadata["uid"], since)
        try:
            return self._commands.ensure(current.request, slot, command)
        except DeadlineExceeded as error:
            raise Unanswered(UNANSWERED) from error
        except (NotLeading, Stopped):
            raise
        except ClientError as error:
            raise Unreachable(str(error)) from error

    def drop(self, request: Request) -> None:
        """Drop the commands of a resource that is gone."""
        self._commands.forget(request)

    def _drop_those_of_namesake(self, current: ReconcileContext) -> None:
        self._commands.forget(current.request)
