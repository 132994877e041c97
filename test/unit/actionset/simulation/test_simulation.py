"""Chance against the engine of ActionSets: what must hold whatever happens, in whichever order.

As `unit.repositoryserver.simulation`: a seed decides all, down to the moment within a request. The
engine is the real one, from its informers and its queue to the pods of phases and their logs; the
renderer is not. What may happen is in `actions`, what must hold in `invariants` and `ending`.

    SIMULATION_SEEDS=4711 pytest test/unit/actionset/simulation         # one, again
    SIMULATION_SEEDS=0-500 pytest -q test/unit/actionset/simulation     # many
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from fakes.simulation.actionsets.cluster import ActionSetCluster
from unit.actionset.simulation.actions import ACTIONS, PAUSES, create, create_several
from unit.actionset.simulation.ending import IN_THE_END
from unit.actionset.simulation.history import History
from unit.actionset.simulation.invariants import (
    AT_A_CHANGE,
    AT_A_START,
    OF_EACH_REQUEST,
    confidential_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.simulation.actionsets.kubelet import Life
    from fakes.simulation.apiserver import Change
    from fakes.simulation.client import Sent

DEFAULT_SEEDS = "0-14"
ACTIONS_A_SEED = 30
FEWEST_ACTIONS = 2

# Seconds in which all must have come to rest once nothing is amiss any more, in which nothing is
# asked where it has, and in which nothing may happen then.
RECOVERY, QUIET, AFTERWARDS = 4 * 3600, 900, 3600


def seeds() -> range:
    """Return the seeds that the environment names."""
    first, _, last = os.environ.get("SIMULATION_SEEDS", DEFAULT_SEEDS).partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", seeds())
def test_whatever_happens_each_action_set_ends_as_its_programs_did(seed: int) -> None:
    simulation = Simulation(seed)

    simulation.run()

    if simulation.broken:
        story = [f"seed {seed}", *simulation.history.lines, *simulation.broken]
        pytest.fail("\n".join(story), pytrace=False)


def test_the_same_seed_does_the_same_again() -> None:
    stories = []
    for _ in range(2):
        simulation = Simulation(1)
        simulation.run()
        stories.append(simulation.history.lines)

    assert stories[0] == stories[1]


class Simulation:
    """One seed, from its start to its rest."""

    def __init__(self, seed: int) -> None:
        self._cluster = ActionSetCluster(seed)
        self.history = History(self._cluster)
        self.history.on_start = self._on_start
        self.history.on_change = self._on_change
        self._cluster.on_request = self._on_request
        self._cluster.on_reconcile = self.history.begin_reconcile
        #: What did not hold.
        self.broken: list[str] = []

    def run(self) -> None:
        """Let one thing happen after the other, mend all, and look at what there is."""
        with capture_logs() as logs:
            self._live()
            self._recover()
        for invariant in IN_THE_END:
            self._report(invariant.__doc__, invariant(self.history))
        self._rest()
        told = [*map(str, logs), *self._cluster.recorder.lines()]
        leaked = confidential_in(self.history, " ".join(told))
        self._report("No log and no event holds what a Secret does.", leaked)

    def _live(self) -> None:
        cluster = self._cluster
        cluster.author.begin()
        cluster.start_controller()
        # Where all may happen little happens twice: a seed has some of the actions.
        some = cluster.random.sample(ACTIONS, cluster.random.randint(FEWEST_ACTIONS, len(ACTIONS)))
        for _ in range(ACTIONS_A_SEED):
            pause = cluster.random.choice(PAUSES) * cluster.random.random()
            work = cluster.random.choice((create, create, create_several))
            action = work if cluster.random.random() < 0.3 else cluster.random.choice(some)
            self._plan(pause, action)
            cluster.run(pause)

    def _plan(self, pause: float, action: Callable[[History], None]) -> None:
        """Have something happen in a while, be it in the middle of a request."""

        def act() -> None:
            self.history.note((action.__doc__ or action.__name__).partition("\n")[0])
            action(self.history)

        self._cluster.agenda.after(pause, act)

    def _recover(self) -> None:
        # What is put right some time later is so by now.
        self._cluster.run(max(PAUSES))
        self._cluster.mend()
        for _ in range(RECOVERY // QUIET):
            requests = self._cluster.requests
            self._cluster.run(QUIET)
            if self._cluster.requests == requests:
                return
        self._report("All comes to rest once nothing is amiss.", f"not within {RECOVERY} s")

    def _rest(self) -> None:
        requests, reconciles = self._cluster.requests, self.history.reconciles
        self._cluster.run(AFTERWARDS)
        asked, looked = self._cluster.requests - requests, self.history.reconciles - reconciles
        complaint = f"{asked} requests, {looked} reconciles" if asked or looked else ""
        self._report("Nothing is done where nothing happens.", complaint)

    def _on_start(self, life: Life) -> None:
        for invariant in AT_A_START:
            self._report(invariant.__doc__, invariant(self.history, life))

    def _on_change(self, change: Change) -> None:
        for invariant in AT_A_CHANGE:
            self._report(invariant.__doc__, invariant(self.history, change))

    def _on_request(self, sent: Sent) -> None:
        self.history.note_request(sent)
        for invariant in OF_EACH_REQUEST:
            self._report(invariant.__doc__, invariant(self.history, sent))

    def _report(self, sentence: str | None, complaint: str) -> None:
        if complaint:
            self.history.note(f"BROKEN: {sentence} {complaint}")
            self.broken.append(f"{sentence} {complaint}")
