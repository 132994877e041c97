"""Waiting for a condition with a deadline.

The commands run without the controller's package and its clock; of them, only this module reads
the time and sleeps.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from clusterlib.errors import ClusterError, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INTERVAL_SECONDS = 0.1


def seconds() -> float:
    """Return the monotonic time in seconds."""
    return time.monotonic()  # noqa: TID251 - see above


def now() -> datetime:
    """Return the time of day, for comparison with what others have noted."""
    return datetime.now(UTC)  # noqa: TID251 - see above


def until(
    condition: Callable[[], bool],
    *,
    what: str,
    timeout_seconds: float,
    log: Path | None = None,
    alive: Callable[[], bool] | None = None,
    interval_seconds: float = INTERVAL_SECONDS,
) -> None:
    """Return as soon as the condition holds.

    Args:
        condition: asked again and again.
        what: the condition in words, for the error: "etcd answers".
        timeout_seconds: how long to ask.
        log: shown with the error.
        alive: asked as well; once false, waiting has no point and ends at once.
        interval_seconds: between two questions.

    Raises:
        TimedOut: the condition did not come to hold in time.
        ClusterError: the process ended.
    """
    deadline = seconds() + timeout_seconds
    while not condition():
        if alive is not None and not alive():
            raise ClusterError(f"waited for: {what}; the process ended instead", log)
        if seconds() > deadline:
            raise TimedOut(f"waited {timeout_seconds:.0f} s for: {what}", log)
        time.sleep(interval_seconds)  # noqa: TID251 - see above
