"""Work that takes its time while others act: threads, of which one runs at a time.

Who calls blocking code and is to be one of many cannot return to the agenda in the middle of it. So
each piece of work has a thread, which stands still while anybody else runs: what happens depends on
the agenda alone, and the same seed does the same again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fakes.clock import STUCK_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.simulation.agenda import Agenda


class Killed(BaseException):
    """The process has ended, in the middle of whatever it did."""


class Strands:
    """Pieces of work, each of which goes on when the agenda says so."""

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        # The one that runs.
        self._current: _Strand | None = None

    def spawn(self, work: Callable[[], None]) -> None:
        """Have a piece of work begin; whoever asks for it goes on first."""
        strand = _Strand(work)
        self._agenda.after(0.0, lambda: self._go_on(strand))

    def pause(self, seconds: float) -> None:
        """Let time pass in the piece of work that calls this, in which others act."""
        strand = self._current
        assert strand is not None
        self._agenda.after(seconds, lambda: self._go_on(strand))
        strand.stand_still()

    def _go_on(self, strand: _Strand) -> None:
        assert self._current is None
        self._current = strand
        try:
            strand.go_on()
        finally:
            self._current = None


class _Strand:
    """A thread that runs only while somebody waits for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._may_run = threading.Semaphore(0)
        self._stands_still = threading.Semaphore(0)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="strand", daemon=True)

    def go_on(self) -> None:
        """Run until it stands still or has ended; raise what has ended it."""
        if self._thread.ident is None:
            self._thread.start()
        self._may_run.release()
        assert self._stands_still.acquire(timeout=STUCK_AFTER)
        if self._error is not None:
            raise self._error

    def stand_still(self) -> None:
        """Let the one who waits go on. Called by the thread itself."""
        self._stands_still.release()
        self._may_run.acquire()

    def _run(self) -> None:
        self._may_run.acquire()
        try:
            self._work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - `go_on` raises it
            self._error = error
        finally:
            self._stands_still.release()
