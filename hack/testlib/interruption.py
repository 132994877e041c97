"""Ctrl-C and SIGTERM: what runs ends in its own way, and what must be cleaned up is."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType


class Interrupted(Exception):
    """The user, or who runs us, wants an end."""


class Foreground:
    """Runs one command after another and survives them all.

    An interruption goes to the command, which ends by itself: pytest takes down what its fixtures
    made. Only then is it raised here.
    """

    def __init__(self) -> None:
        self._running: subprocess.Popen[bytes] | None = None
        self._interrupted = False
        self._must_end = False

    def run(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        """Run a command with our output as its own, and without input.

        Returns:
            Its exit code.

        Raises:
            Interrupted: there was an interruption; the command has ended.
        """
        with self._forwarding():
            self._running = None
            self._running = subprocess.Popen(
                command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL
            )
            if self._must_end:
                # It was told while there was nobody yet to pass it on to.
                self._running.send_signal(signal.SIGINT)
            code = self._running.wait()
        if self._interrupted:
            raise Interrupted
        return code

    def clean_up(self, command: Sequence[str], folder: Path) -> int:
        """Run a command to its end, whatever comes.

        Returns:
            Its exit code.
        """
        # A session of its own: a terminal's Ctrl-C does not reach it.
        with (
            self._forwarding(),
            subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True
            ) as process,
        ):
            self._running = None
            return process.wait()

    @contextlib.contextmanager
    def _forwarding(self) -> Iterator[None]:
        former = {
            signal.SIGINT: signal.signal(signal.SIGINT, self._note),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._forward),
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        # The terminal has sent it to the command too.
        self._interrupted = True

    def _forward(self, _number: int, _frame: FrameType | None) -> None:
        self._interrupted = self._must_end = True
        if self._running is not None:
            # What pytest takes for an end in good order.
            self._running.send_signal(signal.SIGINT)
