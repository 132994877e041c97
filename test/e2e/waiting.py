"""Waiting for a condition with a deadline: the one place where these tests wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from controller.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = SystemClock()

INTERVAL_SECONDS = 0.2
DEFAULT_SECONDS = 90.0

Seen = TypeVar("Seen")


def wait_for(
    what: str,
    look: Callable[[], Seen],
    holds: Callable[[Seen], object] = bool,
    *,
    seconds: float = DEFAULT_SECONDS,
) -> Seen:
    """Look until what is seen will do, and return it.

    Args:
        what: The condition in words, for the failure.
        look: Looks once.
        holds: Tells whether what was seen will do.
        seconds: How long to look.

    Raises:
        AssertionError: It did not come to hold; the message shows what was seen last.
    """
    deadline = CLOCK.monotonic() + seconds
    never = threading.Event()
    while not holds(seen := look()):
        if CLOCK.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:.0f} s for {what}; last seen: {seen}")
        CLOCK.wait_event(never, INTERVAL_SECONDS)
    return seen
