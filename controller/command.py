"""A command in a container: what to run where, and who runs it to its end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, Protocol

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.clock import Deadline
    from controller.rest.podexec import ExecResult

#: Seconds from the deadline of the connection to the signal TERM in the container, and from that to
#: KILL.
_GRACE_SECONDS: Final = 1


class Executor(Protocol):
    """Runs one command to its end, as `controller.rest.podexec.Executor`."""

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: tuple[str, ...],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        """Run a command, and wait for its end.

        Raises:
            ApiError: The server refused, or the container or the program does not exist.
            TransportError: The connection failed. The command may have run.
            DeadlineExceeded: The deadline has passed.
            Stopped: The stop of the deadline has cut it.
            NotLeading: The fence is closed.
        """
        ...


def _comparable(stdin: bytes | Iterable[bytes]) -> bytes:
    """Return the part of the input that identifies a command. A stream has none."""
    return stdin if isinstance(stdin, bytes) else b""


@frozen(kw_only=True)
class Command:
    """A command to run in a container.

    Two commands are equal if all but their streams is equal.

    It runs under `timeout -k 1 N`, where `N` is `seconds` plus one, unless it is not `bounded`:
    closing the connection of an exec does not end the process in the container. The container must
    have a `timeout` that knows `-k`, as those of GNU coreutils and BusyBox do. That of BusyBox ends
    only the program itself: a script should `exec` the last of its programs, and limit the others.

    Args:
        kind: What it is for, as a label of metrics. One of a few words, such as `load_users`.
        namespace: The namespace of the pod.
        pod: The name of the pod.
        container: The name of the container.
        argv: Program and arguments. They stand in the URL of a request, and so in the audit log:
            pass secrets by `stdin`.
        seconds: The time from its start until it is given up. Time in the queue does not count.
        stdin: The input: all of it, or a stream. The command may not see its end (see
            `controller.rest.podexec`). Default: none.
        long: Whether it takes a place for long commands, because it may run for hours. Default:
            False.
        on_stdout: Called with each piece of the output, on the thread that runs the command. The
            result holds no output then, and the last bytes of the errors. Default: the result
            holds all, within the limit of the executor.
        bounded: Whether it runs under `timeout`. A command that ends with its connection, or whose
            container may lack the program, is not bounded. Default: True.
        kept: Whether its outcome is kept until a reconcile asks for it, however late that is: a
            command that must not run twice. Default: False.
    """

    kind: str
    namespace: str
    pod: str
    container: str
    argv: tuple[str, ...]
    seconds: float
    # It may hold a secret.
    stdin: bytes | Iterable[bytes] = field(default=b"", eq=_comparable, repr=False)
    long: bool = False
    on_stdout: Callable[[bytes], None] | None = field(default=None, eq=False, repr=False)
    bounded: bool = True
    kept: bool = False

    @property
    def bounded_argv(self) -> tuple[str, ...]:
        """The program and arguments as they are run: with a limit in the container, if bounded.

        The limit is later than the deadline of the connection, which so ends first.
        """
        if not self.bounded:
            return self.argv
        seconds = math.ceil(self.seconds) + _GRACE_SECONDS
        return ("timeout", "-k", str(_GRACE_SECONDS), str(seconds), *self.argv)
