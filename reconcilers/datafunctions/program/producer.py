"""The command whose output `push` backs up."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING, Final, Self

from reconcilers.datafunctions.errors import Refused
from reconcilers.kopia.client.errors import ProducerFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

NOT_STARTED: Final = "the command {program} cannot be started: {reason}"
FAILED: Final = "the command {program} has failed with exit code {code}"

_END_SECONDS: Final = 5.0


class Producer(io.RawIOBase):
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
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - the user's
        except OSError as error:
            words = {"program": self._program, "reason": error.strerror or error}
            raise Refused(NOT_STARTED.format(**words)) from None

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the command if it still runs: nobody reads it any more."""
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return what the command has printed, nothing at the end of one that has succeeded.

        Args:
            size: How many bytes at most. Default: all that will come.

        Raises:
            ProducerFailed: The command has failed.
        """
        if self._process.stdout is None:
            return b""
        content: bytes = self._process.stdout.read(size)
        if not content or size < 0:
            code = self._process.wait()
            if code != 0:
                raise ProducerFailed(FAILED.format(program=self._program, code=code))
        return content
