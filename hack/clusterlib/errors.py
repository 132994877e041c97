"""The one error that the commands print without a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TAIL_LINES = 15


class ClusterError(Exception):
    """Something that the user can act on.

    Args:
        message: what failed and, where known, what to do next.
        log: the file that holds the details; its tail is shown with the message.
    """

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log

    def report(self) -> str:
        """Return the message, followed by the tail of the log if there is one."""
        lines = [f"error: {self}"]
        if self.log is not None and self.log.exists():
            tail = self.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
            lines += [f"the last lines of {self.log}:", *(f"  {line}" for line in tail)]
        return "\n".join(lines)


class TimedOut(ClusterError):
    """What was waited for did not come in time."""
