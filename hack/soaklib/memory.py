"""How much memory the controller's processes have, and whether that is flat."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

# What may lie between two samples, in megabytes: Python gives little back.
FLAT_MEGABYTES = 16.0
# What a process needs until it has done each thing once.
WARM_UP_SAMPLES = 2

GROWS = "process {process} grew from {first:.1f} to {last:.1f} MB"
HIGHER = "the processes had {early:.1f} MB at most in the first half of the time, then {late:.1f}"
NOT_KNOWN = "nothing was measured"


@frozen
class Sample:
    """The resident memory of a process at a moment.

    Attributes:
        at: Seconds since the beginning.
        process: Its pod and how often that was restarted.
        megabytes: What it had.
    """

    at: float
    process: str
    megabytes: float


def by_process(samples: Sequence[Sample]) -> dict[str, list[float]]:
    """Return the megabytes of each process, in order."""
    found: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        found[sample.process].append(sample.megabytes)
    return dict(found)


def growth(samples: Sequence[Sample]) -> list[str]:
    """Return in which way memory is not flat.

    Two things are looked at. A process, once it has done each thing, must not grow. As faults end
    processes, and each one that takes over begins with all that there is by then, the highest
    figure of the second half of the time must not be above that of the first.
    """
    if not samples:
        return [NOT_KNOWN]
    found = []
    for process, megabytes in by_process(samples).items():
        settled = megabytes[WARM_UP_SAMPLES:]
        if settled and settled[-1] - settled[0] > FLAT_MEGABYTES:
            found.append(GROWS.format(process=process, first=settled[0], last=settled[-1]))
    middle = (samples[0].at + samples[-1].at) / 2
    early = max(sample.megabytes for sample in samples if sample.at <= middle)
    late = max(sample.megabytes for sample in samples if sample.at >= middle)
    if late - early > FLAT_MEGABYTES:
        found.append(HIGHER.format(early=early, late=late))
    return found
