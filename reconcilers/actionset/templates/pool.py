"""Renderers that are kept alive, each used by one thread at a time."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field

from reconcilers.actionset.templates.errors import RendererUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.clock import Clock
    from reconcilers.actionset.templates.child import RendererProcess

CLOSED: Final = "the renderers are being shut down"


@define(eq=False)
class RendererPool:
    """Renderers, started when they are needed and kept. Safe to share between threads.

    Invariant: there are never more than `size`.

    Args:
        size: How many there may be.
        start: Starts one.
        clock: The time.
    """

    _size: int
    _start: Callable[[], RendererProcess]
    _clock: Clock
    _changed: threading.Condition = field(factory=threading.Condition, init=False)
    #: The last one used comes first: the others stay out of memory.
    _idle: list[RendererProcess] = field(factory=list, init=False)
    _in_use: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    @contextlib.contextmanager
    def renderer(self) -> Iterator[RendererProcess]:
        """Lend a renderer; wait for one if all are in use.

        Raises:
            RendererUnavailable: It cannot be started, or the pool is closed.
        """
        lent = self._take()
        try:
            lent = self._start() if lent is None else lent
            yield lent
        finally:
            self._give_back(lent)

    def close(self) -> None:
        """End those that are idle, and each of the others once it is given back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for renderer in idle:
            renderer.close()

    def _take(self) -> RendererProcess | None:
        """Return an idle renderer, None if one is to be started in its place."""
        with self._changed:
            while not self._closed and self._in_use >= self._size:
                self._clock.wait(self._changed, None)
            if self._closed:
                raise RendererUnavailable(CLOSED)
            self._in_use += 1
            while self._idle:
                renderer = self._idle.pop()
                if renderer.usable:
                    return renderer
                renderer.close()
            return None

    def _give_back(self, lent: RendererProcess | None) -> None:
        with self._changed:
            self._in_use -= 1
            kept = lent is not None and lent.usable and not self._closed
            if kept and lent is not None:
                self._idle.append(lent)
            self._changed.notify()
        if lent is not None and not kept:
            lent.close()
