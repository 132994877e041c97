"""How long RepositoryServers take to become Ready, next to the same without a controller.

Bare pods are what Kubernetes needs at least to run as many; bare ReplicaSets are what it needs to
keep them running.
"""

from __future__ import annotations

import os
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchlib import figures, objects, scene, usage
from benchlib.figures import Spread
from benchlib.milestones import READY, watching
from benchlib.objects import PODS, REPLICA_SETS, SERVERS
from clusterlib import waiting
from clusterlib.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchlib.milestones import Seen
    from benchlib.objects import Bare
    from benchlib.scene import Scene
    from benchlib.usage import Usage
    from demolib.objects import Object

SIDES = {PODS: "bare pods", REPLICA_SETS: "bare ReplicaSets", SERVERS: "RepositoryServers"}
# The last RepositoryServer may be Ready after so many times the time of the last of another side.
LIMITS = {REPLICA_SETS: 1.1, PODS: 1.35}

# What of a server's pod is told, by type of condition, in its order.
STEPS = {
    "PodScheduled": "pod scheduled",
    READY: "pod Ready",
}

RATIOS = """
The last RepositoryServer, at the median of the rounds,
took {replicasets:.2f} times as long as the last bare ReplicaSet (at most {to_sets} is wanted)
and {pods:.2f} times as long as the last bare pod (at most {to_pods} is wanted)."""


@dataclass(frozen=True)
class Round:
    """What one round has shown.

    Attributes:
        sides: when those of each side were Ready; a ReplicaSet is when its pod is.
        steps: when the servers' pods came so far, by name of the step.
        used: by the controller, until the last was Ready.
    """

    sides: Mapping[str, Spread]
    steps: Mapping[str, Spread]
    used: Usage

    def ratio_to(self, side: str) -> float:
        """Return how much longer the last server took than the last of another side."""
        return self.sides[SERVERS].last / self.sides[side].last


@dataclass
class _Rounds:
    """Measures all sides again and again.

    Attributes:
        stage: where.
        servers: the RepositoryServers.
        progress: shows the steps.
        bare: what the other sides are made of, once a server has shown it.
    """

    stage: Scene
    servers: list[Object]
    progress: Progress
    bare: list[Bare] = field(default_factory=list)

    def warm_up(self) -> None:
        with self.progress.step("warming up, and taking the template of the bare ones"):
            self._measure_servers()
            sets, secrets = self.stage.server_replica_sets(), self.stage.server_secrets()
            self.bare = objects.bare(sets, secrets)
            self.stage.clear()

    def measure(self, number: int) -> Round:
        sides: dict[str, Spread] = {}
        for side in order(number):
            with self.progress.step(f"round {number}: {len(self.servers)} {SIDES[side]}"):
                if side == SERVERS:
                    sides[side], steps, used = self._measure_servers()
                else:
                    sides[side] = self._measure_bare(side)
            note(sides[side])
            self.stage.clear()
        return Round(sides, steps, used)

    def _measure_bare(self, side: str) -> Spread:
        self.stage.make_repositories(self.servers)
        # Not timed, though the controller makes its Secrets while the time runs.
        self.stage.create(scene.SECRETS, [secret for one in self.bare for secret in one.secrets])
        collection, wanted = scene.PODS, [one.pod for one in self.bare]
        if side == REPLICA_SETS:
            collection, wanted = scene.REPLICA_SETS, [one.replica_set for one in self.bare]
        selector = f"{objects.BENCH_LABEL}={side}"
        watched = watching(self.stage.proxy, scene.PODS, selector, wanted=len(wanted))
        with watched as wait:
            started = waiting.seconds()
            self.stage.create(collection, wanted)
            seen = wait()
        return _since(started, seen, READY)

    def _measure_servers(self) -> tuple[Spread, Mapping[str, Spread], Usage]:
        self.stage.make_repositories(self.servers)
        before = self.stage.metrics()
        proxy, count = self.stage.proxy, len(self.servers)
        selector = f"{objects.BENCH_LABEL}={SERVERS}"
        ready = watching(proxy, scene.SERVERS, selector, wanted=count)
        pods = watching(proxy, scene.PODS, objects.INSTANCE_LABEL, wanted=count)
        with ready as wait_for_servers, pods as wait_for_pods:
            started = waiting.seconds()
            self.stage.create(scene.SERVERS, self.servers)
            seen_pods, seen_servers = wait_for_pods(), wait_for_servers()
        used = usage.between(before, self.stage.metrics())
        steps = {name: _since(started, seen_pods, kind) for kind, name in STEPS.items()}
        return _since(started, seen_servers, READY), steps, used


def measure(stage: Scene, *, servers: int, rounds: int) -> dict[str, Any]:
    """Measure, and print what was found.

    Each round has all sides, in an order that changes, so that none gains from what another leaves
    behind.

    Args:
        stage: where.
        servers: how many on each side.
        rounds: how many rounds.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: something did not become Ready.
    """
    all_rounds = _Rounds(stage, stage.servers(servers), Progress(1 + len(SIDES) * rounds))
    all_rounds.warm_up()
    return report([all_rounds.measure(number) for number in range(1, rounds + 1)], servers)


def order(number: int) -> list[str]:
    """Return the sides in their order in a round.

    Args:
        number: of the round, from 1 on.
    """
    sides, first = list(SIDES), (number - 1) % len(SIDES)
    return sides[first:] + sides[:first]


def report(rounds: Sequence[Round], servers: int) -> dict[str, Any]:
    """Print the figures of all rounds, and return them for JSON."""
    spreads = {side: Spread.typical([one.sides[side] for one in rounds]) for side in SIDES}
    steps = {
        f"  {name}": Spread.typical([one.steps[name] for one in rounds]) for name in STEPS.values()
    }
    ratios = {side: [one.ratio_to(side) for one in rounds] for side in LIMITS}
    medians = {side: statistics.median(ratios[side]) for side in LIMITS}
    used = rounds[-1].used
    print(f"\nSeconds until the last of {servers} at once is Ready:\n")
    print(_table(rounds))
    print(f"\nSeconds until Ready, medians of {len(rounds)} rounds:\n")
    print(figures.table({**{SIDES[side]: spreads[side] for side in SIDES}, **steps}))
    limits = {"to_sets": LIMITS[REPLICA_SETS], "to_pods": LIMITS[PODS]}
    print(RATIOS.format(**medians, **limits))
    print(
        f"In the last round the controller reconciled {used.reconciles} times in "
        f"{used.reconcile_seconds:.1f} s, used {used.cpu_seconds:.1f} s of CPU, ran {used.execs} "
        f"commands in pods, and sent {sum(used.requests.values())} other requests."
    )

    def compared(side: str) -> dict[str, Any]:
        found = [round(ratio, 2) for ratio in ratios[side]]
        return {"ratio": round(medians[side], 2), "limit": LIMITS[side], "rounds": found}

    return {
        "bench": "ready",
        "servers": servers,
        "rounds": len(rounds),
        "bare_pods": spreads[PODS].rounded(),
        "replica_sets": spreads[REPLICA_SETS].rounded(),
        "repository_servers": spreads[SERVERS].rounded(),
        "to_replica_sets": compared(REPLICA_SETS),
        "to_pods": compared(PODS),
        # As they are printed: 1.1001 is no more than 1.1.
        "within_limits": all(round(medians[side], 2) <= LIMITS[side] for side in LIMITS),
        "execs": used.execs,
        "requests": used.requests,
        "reconciles": used.reconciles,
        "controller_cpu_seconds": round(used.cpu_seconds, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }


def _table(rounds: Sequence[Round]) -> str:
    titles = [*SIDES.values(), "to ReplicaSets", "to pods"]
    rows = [
        (
            f"round {number}",
            [
                *(f"{one.sides[side].last:.2f}" for side in SIDES),
                *(f"{one.ratio_to(side):.2f}" for side in LIMITS),
            ],
        )
        for number, one in enumerate(rounds, 1)
    ]
    return figures.columns(titles, rows)


def _since(started: float, seen: Seen, condition: str) -> Spread:
    return Spread.of(at - started for at in seen[condition].values())


def note(spread: Spread) -> None:
    """Print what came of a step below it."""
    words = f"first {spread.first:.2f} s, median {spread.median:.2f} s, last {spread.last:.2f} s"
    print(f"      {words}", file=sys.stderr)
