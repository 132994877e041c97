"""How long RepositoryServers take to become Ready, next to bare pods of the same spec."""

from __future__ import annotations

import os
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchlib import figures, objects, scene, usage
from benchlib.figures import Spread
from benchlib.milestones import READY, watching
from clusterlib import waiting
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchlib.milestones import Seen
    from benchlib.scene import Scene
    from benchlib.usage import Usage
    from demolib.objects import Object

# The last RepositoryServer may be Ready after so many times the time of the last bare pod.
RATIO_LIMIT = 1.25

# What of a server's pod is told, by type of condition, in its order.
STEPS = {
    "PodScheduled": "pod scheduled",
    READY: "pod Ready",
}


@dataclass(frozen=True)
class Round:
    """What one round has shown.

    Attributes:
        bare: when the bare pods were Ready.
        servers: when the RepositoryServers were Ready.
        steps: when the servers' pods came so far, by name of the step.
        used: by the controller, until the last was Ready.
    """

    bare: Spread
    servers: Spread
    steps: Mapping[str, Spread]
    used: Usage

    @property
    def ratio(self) -> float:
        """How much longer the last server took than the last bare pod."""
        return self.servers.last / self.bare.last


def measure(stage: Scene, *, servers: int, rounds: int) -> dict[str, Any]:
    """Measure, and print what was found.

    Each round has both sides, in an order that alternates, so that neither gains from what the
    other leaves behind.

    Args:
        stage: where.
        servers: how many on each side.
        rounds: how many rounds.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: something did not become Ready.
    """
    wanted = stage.servers(servers)
    progress = Progress(1 + 2 * rounds)
    with progress.step("warming up, and taking the spec of the bare pods"):
        _measure_servers(stage, wanted)
        pairs = objects.bare(stage.server_pods(), stage.server_secrets())
        stage.clear()
    found = [
        _measure_round(stage, wanted, pairs, progress, number=number)
        for number in range(1, rounds + 1)
    ]
    return report(found, servers)


def report(rounds: list[Round], servers: int) -> dict[str, Any]:
    """Print the figures of all rounds, and return them for JSON."""
    bare = Spread.typical([one.bare for one in rounds])
    ready = Spread.typical([one.servers for one in rounds])
    steps = {
        f"  {name}": Spread.typical([one.steps[name] for one in rounds]) for name in STEPS.values()
    }
    ratio = statistics.median(one.ratio for one in rounds)
    used = rounds[-1].used
    print(f"\nSeconds until Ready, {servers} at once, medians of {len(rounds)} rounds:\n")
    print(figures.table({"bare pods": bare, "RepositoryServers": ready, **steps}))
    print(
        f"\nThe last RepositoryServer took {ratio:.2f} times as long as the last bare pod", end=""
    )
    print(f" (at most {RATIO_LIMIT} is wanted).")
    print(
        f"In the last round the controller reconciled {used.reconciles} times in "
        f"{used.reconcile_seconds:.1f} s, used {used.cpu_seconds:.1f} s of CPU, ran {used.execs} "
        f"commands in pods, and sent {sum(used.requests.values())} other requests."
    )
    return {
        "bench": "ready",
        "servers": servers,
        "rounds": len(rounds),
        "bare_pods": bare.rounded(),
        "repository_servers": ready.rounded(),
        "ratio": round(ratio, 2),
        "ratios": [round(one.ratio, 2) for one in rounds],
        "ratio_limit": RATIO_LIMIT,
        "execs": used.execs,
        "requests": used.requests,
        "reconciles": used.reconciles,
        "controller_cpu_seconds": round(used.cpu_seconds, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _measure_round(
    stage: Scene,
    wanted: list[Object],
    pairs: list[tuple[list[Object], Object]],
    progress: Progress,
    *,
    number: int,
) -> Round:
    def bare() -> Spread:
        with progress.step(f"round {number}: {len(pairs)} bare pods"):
            spread = _measure_bare(stage, pairs)
        note(spread)
        return spread

    def servers() -> tuple[Spread, Mapping[str, Spread], Usage]:
        with progress.step(f"round {number}: {len(wanted)} RepositoryServers"):
            result = _measure_servers(stage, wanted)
        note(result[0])
        stage.clear()
        return result

    if number % 2:
        spread = bare()
        return Round(spread, *servers())
    result = servers()
    return Round(bare(), *result)


def _measure_bare(stage: Scene, pairs: list[tuple[list[Object], Object]]) -> Spread:
    # Not timed, though the controller makes its Secrets while the time runs.
    stage.create(scene.SECRETS, [secret for secrets, _ in pairs for secret in secrets])
    pods = [pod for _, pod in pairs]
    selector = f"{objects.BENCH_LABEL}={objects.PODS}"
    watched = watching(stage.proxy, scene.PODS, selector, wanted=len(pods))
    with watched as wait:
        started = waiting.seconds()
        stage.create(scene.PODS, pods)
        seen = wait()
    stage.clear()
    return _since(started, seen, READY)


def _measure_servers(
    stage: Scene, servers: list[Object]
) -> tuple[Spread, Mapping[str, Spread], Usage]:
    stage.make_repositories(servers)
    before = stage.metrics()
    selector = f"{objects.BENCH_LABEL}={objects.SERVERS}"
    ready = watching(stage.proxy, scene.SERVERS, selector, wanted=len(servers))
    pods = watching(stage.proxy, scene.PODS, objects.INSTANCE_LABEL, wanted=len(servers))
    with ready as wait_for_servers, pods as wait_for_pods:
        started = waiting.seconds()
        stage.create(scene.SERVERS, servers)
        seen_pods, seen_servers = wait_for_pods(), wait_for_servers()
    used = usage.between(before, stage.metrics())
    steps = {name: _since(started, seen_pods, kind) for kind, name in STEPS.items()}
    return _since(started, seen_servers, READY), steps, used


def _since(started: float, seen: Seen, condition: str) -> Spread:
    return Spread.of(at - started for at in seen[condition].values())


def note(spread: Spread) -> None:
    """Print what came of a step below it."""
    words = f"first {spread.first:.2f} s, median {spread.median:.2f} s, last {spread.last:.2f} s"
    print(f"      {words}", file=sys.stderr)
