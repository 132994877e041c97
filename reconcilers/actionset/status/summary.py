"""What the status of an ActionSet says of all its phases together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from controller.conditions import timestamp
from reconcilers.actionset.api import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from controller.resource import Object

#: Of several phases that run at the same time.
SEPARATOR: Final = ", "

_SIZES: Final = (
    "sizeDownloadedB",
    "sizeUploadedB",
    "estimatedDownloadSizeB",
    "estimatedUploadSizeB",
)


def summarised(status: Object, *, now: datetime) -> Object:
    """Return the status with the progress of the whole ActionSet.

    `lastTransitionTime` changes only if something else does.

    Args:
        status: The document. Its `progress` is replaced, all else is left.
        now: The time.
    """
    before = status.get("progress") or {}
    after: dict[str, Any] = {
        "runningPhase": running_phase(status),
        "percentCompleted": str(percent(status)),
    }
    for name in _SIZES:
        total = sum((phase.get("progress") or {}).get(name, 0) for phase in _phases(status))
        if total:
            after[name] = total
    unchanged = {k: v for k, v in before.items() if k != "lastTransitionTime"} == after
    last = before.get("lastTransitionTime") if unchanged else None
    return {**status, "progress": {**after, "lastTransitionTime": last or timestamp(now)}}


def running_phase(status: Object) -> str:
    """Return the names of the phases that run, deferPhases included, in the order of letters."""
    names = {
        phase["name"]
        for action in status.get("actions") or ()
        for phase in (*(action.get("phases") or ()), action.get("deferPhase") or {})
        if phase.get("state") == State.RUNNING
    }
    return SEPARATOR.join(sorted(names))


def percent(status: Object) -> int:
    """Return the average of all phases' percents, rounded down; 0 without phases.

    DeferPhases do not count (Kanister pkg/progress/action.go).
    """
    percents = [
        int((phase.get("progress") or {}).get("progressPercent") or 0) for phase in _phases(status)
    ]
    return sum(percents) // len(percents) if percents else 0


def _phases(status: Object) -> Iterator[Object]:
    for action in status.get("actions") or ():
        yield from action.get("phases") or ()
