"""What is printed in the end."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from attrs import asdict, frozen

from soaklib import memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soaklib.clients import Counts
    from soaklib.memory import Sample

HEADINGS = ("fault", "times", "median, s", "worst, s")
NEVER = "never"


@frozen
class Recovery:
    """What was broken, and how it went on.

    Attributes:
        fault: Its name.
        server: The server that was picked.
        at: Seconds since the beginning.
        held: Seconds for which it was broken.
        recovery: Seconds until all was well again; None if that did not come.
        trouble: Why it could not be broken or mended; "" if it could.
    """

    fault: str
    server: str
    at: float
    held: float
    recovery: float | None
    trouble: str = ""


@frozen
class Outcome:
    """What a soak came to.

    Attributes:
        faults: The names of all faults that were to come.
        recoveries: What was broken.
        samples: The memory of the controller's processes.
        counts: Of each client.
        lost: Backups that were reported done and could not be restored.
        ready: How many servers were Ready in the end.
    """

    faults: Sequence[str]
    recoveries: Sequence[Recovery]
    samples: Sequence[Sample]
    counts: Sequence[Counts]
    lost: Sequence[str]
    ready: int

    @property
    def failures(self) -> list[str]:
        """In words why the soak failed; empty if it did not."""
        found = [f"{one.fault}: {one.trouble}" for one in self.recoveries if one.trouble]
        found += [
            f"{one.fault}: not over by itself" for one in self.recoveries if one.recovery is None
        ]
        found += [f"snapshot {snapshot} is lost" for snapshot in self.lost]
        if self.ready != len(self.counts):
            found.append(f"{self.ready} of {len(self.counts)} servers are Ready in the end")
        if not all(one.done for one in self.counts):
            found.append("a client has not backed up at all")
        return found + memory.growth(self.samples)


def table(outcome: Outcome) -> str:
    """Return how often each fault came, and how long the recoveries took."""
    rows = [HEADINGS, *(_row(name, outcome.recoveries) for name in outcome.faults)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _row(name: str, recoveries: Sequence[Recovery]) -> tuple[str, ...]:
    seconds = [one.recovery for one in recoveries if one.fault == name]
    over = [one for one in seconds if one is not None]
    worst = NEVER if None in seconds else f"{max(over):.1f}" if over else ""
    return name, str(len(seconds)), f"{statistics.median(over):.1f}" if over else "", worst


def figures(outcome: Outcome) -> dict[str, Any]:
    """Return the last line of the output."""
    failures = outcome.failures
    return {
        "ok": not failures,
        "failures": failures,
        "faults": [_rounded(asdict(one)) for one in outcome.recoveries],
        "faults_that_did_not_come": [
            name for name in outcome.faults if name not in {one.fault for one in outcome.recoveries}
        ],
        "backups_done": sum(one.done for one in outcome.counts),
        "backups_failed": sum(one.failed for one in outcome.counts),
        "restores_compared": sum(one.restored for one in outcome.counts),
        "restores_failed_meanwhile": sum(one.not_restored for one in outcome.counts),
        "backups_lost": len(outcome.lost),
        "servers": len(outcome.counts),
        "servers_ready": outcome.ready,
        "memory_megabytes": memory.by_process(outcome.samples),
    }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        key: round(value, 1) if isinstance(value, float) else value for key, value in values.items()
    }
