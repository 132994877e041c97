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
    from collections.abc import Callable, Mapping

    from benchlib.exposition import Metrics
    from benchlib.scene import Scene

LOOK_SECONDS = 5.0
# Longer than anything that the controller puts off for new servers: half a minute after one is
# Ready it has its repository searched for users, and asks who owns the maintenance.
QUIET_SECONDS = 35.0
SEARCHED_TIMEOUT_SECONDS = 240.0
# A controller that is not quiet by then never is: its figures say so.
SETTLED_TIMEOUT_SECONDS = 300.0
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
        ClusterError: a server did not become Ready, or its repository was not searched.
    """
    progress = Progress(4)
    with progress.step(f"waiting for {servers} RepositoryServers to be Ready"):
        _start(stage, servers)
    with progress.step("waiting until their repositories have been searched for users"):
        _until_searched(stage)
    with progress.step("waiting until nothing is left to do"):
        before = settled(stage.metrics)
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
    total = f"{sum(requests.values()):8.2f} requests a minute"
    print(f"  {'all but what follows':<22}{total} (none is wanted)")
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
        # Watches end by themselves, and the lease is the leader's.
        "within_limits": not (used.requests or used.execs),
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


def _until_searched(stage: Scene) -> None:
    path = f"{scene.SERVERS}?labelSelector={objects.BENCH_LABEL}={objects.SERVERS}"
    waiting.until(
        lambda: all(map(is_searched, stage.proxy.get(path)["items"])),
        what="all repositories have been searched for users",
        timeout_seconds=SEARCHED_TIMEOUT_SECONDS,
    )


def is_searched(server: Mapping[str, Any]) -> bool:
    """Return whether a server's repository was searched for users that the removed controller left.

    That is done once, some time after the server became Ready, by a command in its pod.

    Args:
        server: the RepositoryServer.
    """
    return "repositoryUsers" in server.get("status", {})


def settled(
    look: Callable[[], Metrics],
    pause: Callable[[float], None] | None = None,
    now: Callable[[], float] = waiting.seconds,
) -> Metrics:
    """Return the metrics once there were no reconciles and requests for long enough.

    Args:
        look: returns the metrics.
        pause: lets some seconds pass; the system's by default.
        now: tells the time in seconds.
    """
    last, since = look(), now()
    deadline = since + SETTLED_TIMEOUT_SECONDS
    while now() - since < QUIET_SECONDS and now() < deadline:
        (pause or _pause)(LOOK_SECONDS)
        found = look()
        if usage.between(last, found).is_busy:
            since = now()
        last = found
    return last


def _pause(seconds: float) -> None:
    # What is measured is the time itself: there is no condition to wait for.
    threading.Event().wait(seconds)
