"""The command whose output `push` backs up."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Final, Self, cast

from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.errors import ProducerFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

NOT_STARTED: Final = "the command {program} cannot be started: {reason}"
FAILED: Final = "the command {program} has failed with exit code {code}"

_END_SECONDS: Final = 5.0


class Producer:
    """A stream of what a command prints, which fails if the command does.

    In a pipe of a shell a command that fails half way looks like one that is done: its output ends,
    and the backup of it would look complete. A context manager: the command runs inside of `with`.

    Args:
        command: The program and its arguments.

    Raises:
        Refused: It cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._program = command[0]
        try:
            # Its standard error is that of this program.
            self._process = subprocess.Popen(  # noqa: S603 - the user's
                command, stdout=subprocess.PIPE, start_new_session=True
            )
            # There is one: it is a pipe.
            self._printed = cast("BufferedReader", self._process.stdout)
        except OSError as error:
            words = {"program": self._program, "reason": error.strerror or error}
            raise Refused(NOT_STARTED.format(**words)) from None

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the command and all that it has started, if it still runs: nobody reads it any more.

        The pipe is not closed here: a thread may be reading it, and closing waits for that.
        """
        if self._process.poll() is not None:
            return
        self._end(signal.SIGTERM)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)
            self._process.wait()

    def _end(self, number: signal.Signals) -> None:
        # It has not been waited for, so that the group is there.
        os.killpg(self._process.pid, number)

    def read(self, size: int, /) -> bytes:
        """Return what the command has printed next, nothing at the end of one that has succeeded.

        Args:
            size: How many bytes at most. It does not wait until there are so many.

        Raises:
            ProducerFailed: The command has failed.
        """
        content = self._printed.read1(size)
        if not content:
            code = self._process.wait()
            if code != 0:
                raise ProducerFailed(FAILED.format(program=self._program, code=code))
        return content
