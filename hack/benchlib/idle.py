"""What the controller does and needs while nothing happens to its servers."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from benchlib import objects, scene, usage
from benchlib.milestones import watching
from clusterlib import waiting
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from benchlib.exposition import Metrics
    from benchlib.scene import Scene

SETTLED_SECONDS = 5.0
MIB = 2**20


def measure(stage: Scene, *, servers: int, seconds: float) -> dict[str, Any]:
    """Measure, and print what was found.

    Args:
        stage: where.
        servers: how many are to be steady.
        seconds: for how long to look.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: a server did not become Ready.
    """
    progress = Progress(3)
    with progress.step(f"waiting for {servers} RepositoryServers to be Ready"):
        _start(stage, servers)
    with progress.step("waiting until nothing is left to do"):
        before = _settled(stage)
    with progress.step(f"looking for {seconds:.0f} s"):
        started = waiting.seconds()
        _pause(seconds)
        after = stage.metrics()
        taken = waiting.seconds() - started
    stage.clear()
    return report(usage.between(before, after), servers, taken)


def report(used: usage.Usage, servers: int, seconds: float) -> dict[str, Any]:
    """Print the figures, and return them for JSON."""
    minutes = seconds / 60
    requests = {name: round(count / minutes, 2) for name, count in used.requests.items()}
    cpu = 100 * used.cpu_seconds / seconds
    print(f"\nThe controller with {servers} steady RepositoryServers, over {seconds:.0f} s:\n")
    for name, count in requests.items():
        print(f"  {name:<22}{count:8.2f} requests a minute")
    print(f"  {'all but what follows':<22}{sum(requests.values()):8.2f} requests a minute")
    print(f"  {'renewals of the lease':<22}{used.renewals / minutes:8.2f} a minute")
    print(f"  {'watches opened':<22}{used.watches / minutes:8.2f} a minute")
    print(f"  {'commands run in pods':<22}{used.execs / minutes:8.2f} a minute")
    print(f"  {'reconciles':<22}{used.reconciles / minutes:8.2f} a minute")
    print(f"  {'CPU':<22}{cpu:8.2f} % of one core")
    print(f"  {'resident memory':<22}{used.resident_bytes / MIB:8.1f} MiB")
    return {
        "bench": "idle",
        "servers": servers,
        "seconds": round(seconds),
        "requests_per_minute": requests,
        "renewals_per_minute": round(used.renewals / minutes, 2),
        "watches_per_minute": round(used.watches / minutes, 2),
        "execs_per_minute": round(used.execs / minutes, 2),
        "reconciles_per_minute": round(used.reconciles / minutes, 2),
        "cpu_percent": round(cpu, 2),
        "resident_mib": round(used.resident_bytes / MIB, 1),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _start(stage: Scene, count: int) -> None:
    servers = stage.servers(count)
    stage.make_repositories(servers)
    selector = f"{objects.BENCH_LABEL}={objects.SERVERS}"
    ready = watching(stage.proxy, scene.SERVERS, selector, wanted=count)
    with ready as wait:
        stage.create(scene.SERVERS, servers)
        wait()


def _settled(stage: Scene) -> Metrics:
    """Return the metrics once there were no reconciles and requests for some seconds."""
    before, after = stage.metrics(), None
    while after is None or usage.between(before, after).is_busy:
        before = after or before
        _pause(SETTLED_SECONDS)
        after = stage.metrics()
    return after


def _pause(seconds: float) -> None:
    # What is measured is the time itself: there is no condition to wait for.
    threading.Event().wait(seconds)
