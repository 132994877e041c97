"""How long a phase that waits for something goes on, and how often it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from reconcilers.actionset.function import PhaseRun

#: Seconds for which a phase waits, unless it is told otherwise.
DEFAULT_SECONDS: Final = 600.0

#: Seconds between two looks: a tenth of the time that has passed, between these.
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 5.0
_SHARE: Final = 0.1


def elapsed(run: PhaseRun, now: datetime) -> float:
    """Return the seconds since a phase began."""
    return (now - run.started_at).total_seconds()


def is_over(run: PhaseRun, now: datetime, seconds: float = DEFAULT_SECONDS) -> bool:
    """Return whether a phase has waited long enough.

    Args:
        run: The phase.
        now: The time.
        seconds: How long it waits where its timeout is not set; the engine holds that one.
    """
    return run.timeout is None and elapsed(run, now) >= seconds


def pause(run: PhaseRun, now: datetime) -> float:
    """Return the seconds until a phase should look again."""
    return min(max(_SHARE * elapsed(run, now), FIRST_PAUSE), LONGEST_PAUSE)
