"""Shows which step runs, how far it is and how long it took: `[3/9] starting etcd ... 0.4 s`."""

from __future__ import annotations

import contextlib
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from clusterlib import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A terminal's line is renewed every second; a log gets a line now and then.
TERMINAL_PERIOD_SECONDS = 1.0
LOG_PERIOD_SECONDS = 20.0


class Progress:
    """Numbers the steps of one command and reports them.

    Args:
        total: how many steps there will be.
        stream: where to write; standard error by default, so that output can be piped.
    """

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._number = 0

    @contextlib.contextmanager
    def step(self, what: str, detail: Callable[[], str] = str) -> Iterator[None]:
        """Show a step while the body runs, then the seconds that it took.

        Args:
            what: the step in words, in the progressive form: "building kubelet".
            detail: asked while the step runs: how far it is, or nothing.
        """
        self._number += 1
        title = f"[{self._number}/{self._total}] {what} ..."
        started = waiting.seconds()
        finished = threading.Event()
        ticker = threading.Thread(
            target=self._tick, args=(title, started, detail, finished), daemon=True
        )
        if self._stream.isatty():
            self._write(title)
        ticker.start()
        outcome = "failed after "
        try:
            yield
            outcome = ""
        finally:
            finished.set()
            ticker.join()
            taken = waiting.seconds() - started
            self._write(f"{title} {outcome}{taken:.1f} s\n")

    def _tick(
        self, title: str, started: float, detail: Callable[[], str], finished: threading.Event
    ) -> None:
        terminal = self._stream.isatty()
        period = TERMINAL_PERIOD_SECONDS if terminal else LOG_PERIOD_SECONDS
        while not finished.wait(period):
            line = f"{title} {waiting.seconds() - started:.0f} s {detail()}".rstrip()
            self._write(line if terminal else line + "\n")

    def _write(self, line: str) -> None:
        # On a terminal: back to the start of the line, and clear what the longer line left.
        prefix = "\r\x1b[K" if self._stream.isatty() else ""
        self._stream.write(prefix + line)
        self._stream.flush()
