"""When to try again what fails in a server: the longer it has been failing, the less often.

A tenth of that time passes between two tries, within bounds. The kubelet's restart delay grows to
five minutes; whoever mends a storage should not have to wait that long.
"""

from __future__ import annotations

from typing import Final

MIN_SECONDS: Final = 5.0
MAX_SECONDS: Final = 60.0


def pause(failing_seconds: float, shortest: float = MIN_SECONDS) -> float:
    """Return the seconds between two tries.

    Args:
        failing_seconds: How long ago the first of the tries that failed was.
        shortest: What is returned at least.
    """
    return min(max(failing_seconds / 10, shortest), MAX_SECONDS)
