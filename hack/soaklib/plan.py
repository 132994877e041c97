"""Which faults are to come, and whether the time is enough for them.

Run by `hack/soak` before it makes a cluster.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from soaklib.faults import FAULTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soaklib.faults import Fault

# What it takes to make a fault, to mend it and to recover, beside the time for which it lasts.
OVERHEAD_SECONDS = 15.0

UNKNOWN = "no fault is called {words!r}; these are:\n  {known}"
PLAN = (
    "{count} faults, which once each take about {minutes:.0f} minutes: {given:g} minutes are time "
    "for {rounds:.1f} rounds"
)
TOO_SHORT = "; not every fault will come"


class UnknownFaultError(Exception):
    """No fault has such a name; the message lists all."""


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults whose names contain one of some words; all without any.

    Raises:
        UnknownFaultError: Words are in no fault's name.
    """
    for one in words:
        if not any(one in fault.name for fault in FAULTS):
            known = "\n  ".join(fault.name for fault in FAULTS)
            raise UnknownFaultError(UNKNOWN.format(words=one, known=known))
    return [fault for fault in FAULTS if not words or any(one in fault.name for one in words)]


def round_seconds(faults: Sequence[Fault]) -> float:
    """Return how long each fault once takes, about."""
    return sum(fault.seconds + OVERHEAD_SECONDS for fault in faults)


def describe(faults: Sequence[Fault], minutes: float) -> str:
    """Return what a time is enough for."""
    seconds = round_seconds(faults)
    rounds = minutes * 60 / seconds
    text = PLAN.format(count=len(faults), minutes=seconds / 60, given=minutes, rounds=rounds)
    return text if rounds >= 1 else text + TOO_SHORT


def main(minutes: float, words: Sequence[str]) -> int:
    """Print the plan; return 1 if a fault is not known."""
    try:
        print(describe(chosen(words), minutes), flush=True)
    except UnknownFaultError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
