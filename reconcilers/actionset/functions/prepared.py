"""Arguments of phases that look again and again, so that they are rendered once by a process.

To render them reads Secrets and asks the renderer. What is kept is a cache: a process that goes on
after another one renders them anew, from the same parameters.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from cachetools import LRUCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcilers.actionset.function import PhaseRun

T = TypeVar("T")

#: Which phase of which action of which ActionSet.
Key: TypeAlias = tuple[str, int, str]

#: Phases of a function whose arguments are kept. Those of more phases at once are rendered anew.
MAX_KEPT: Final = 1024


def key_of(run: PhaseRun) -> Key:
    """Return which phase it is: the uid of the ActionSet, the action's index, the phase's name."""
    return (run.uid, run.action.index, run.phase)


class Prepared(Generic[T]):
    """Arguments by phase, of one function. Safe to share between threads."""

    def __init__(self) -> None:
        # Guards the cache.
        self._lock = threading.Lock()
        self._kept: LRUCache[Key, T] = LRUCache(MAX_KEPT)

    def of(self, run: PhaseRun, prepare: Callable[[], T]) -> T:
        """Return what was prepared for a phase, or prepare it now.

        Args:
            run: The phase.
            prepare: Returns it. It may raise; then nothing is kept.
        """
        key = key_of(run)
        with self._lock:
            if key in self._kept:
                return self._kept[key]
        made = prepare()
        with self._lock:
            self._kept[key] = made
        return made

    def drop(self, run: PhaseRun) -> None:
        """Drop what was prepared for a phase that is over."""
        with self._lock:
            self._kept.pop(key_of(run), None)
