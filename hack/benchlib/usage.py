"""What the controller has done and used between two looks at its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchlib.exposition import Metrics

REQUESTS = "rest_client_requests_total"
ANSWERS_READ = "rest_client_response_size_bytes_count"
CPU_SECONDS = "process_cpu_seconds_total"
RESIDENT_BYTES = "process_resident_memory_bytes"
RECONCILES = "controller_runtime_reconcile_total"
RECONCILE_SECONDS = "controller_runtime_reconcile_time_seconds_sum"

RENEWAL = ("PUT", "200")
EXEC = ("GET", "101")
WATCH = ("GET", "200")
NO_ANSWER = "<error>"


@dataclass(frozen=True)
class Usage:
    """What happened in a stretch of time.

    Attributes:
        requests: to the API server, by method and code, without the three that follow.
        renewals: of the leader's lease, which is all that is ever replaced as a whole.
        watches: how many were opened.
        execs: commands run in pods.
        reconciles: how many there were.
        reconcile_seconds: their durations, summed up.
        cpu_seconds: of the process.
        resident_bytes: memory at the end.
    """

    requests: dict[str, int]
    renewals: int
    watches: int
    execs: int
    reconciles: int
    reconcile_seconds: float
    cpu_seconds: float
    resident_bytes: int

    @property
    def is_busy(self) -> bool:
        """Whether there was anything but watches and renewals."""
        return bool(self.requests or self.execs or self.reconciles)


def between(before: Metrics, after: Metrics) -> Usage:
    """Return what happened between two looks at the same process."""

    def grown(name: str, **labels: str) -> float:
        return after.total(name, **labels) - before.total(name, **labels)

    requests = {
        (method, code): grown(REQUESTS, method=method, code=code)
        for method, code in after.by_labels(REQUESTS, "method", "code")
    }
    renewals = requests.pop(RENEWAL, 0)
    execs = requests.pop(EXEC, 0)
    answered = sum(
        count for (method, code), count in requests.items() if method == "GET" and code != NO_ANSWER
    )
    # Counted as a GET like any other, but the size of its answer never becomes known.
    watches = answered - grown(ANSWERS_READ, verb="GET")
    requests[WATCH] = requests.get(WATCH, 0) - watches
    return Usage(
        requests={f"{key[0]} {key[1]}": round(n) for key, n in sorted(requests.items()) if n},
        renewals=round(renewals),
        watches=round(watches),
        execs=round(execs),
        reconciles=round(grown(RECONCILES)),
        reconcile_seconds=grown(RECONCILE_SECONDS),
        cpu_seconds=grown(CPU_SECONDS),
        resident_bytes=round(after.total(RESIDENT_BYTES)),
    )
