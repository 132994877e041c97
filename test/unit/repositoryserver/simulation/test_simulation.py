"""Chance against the controller: what must hold whatever happens, and in whichever order.

A seed decides on what the user does, what breaks, and when, down to the moment within a request.
The controller is the real one, from its informers and its queue to its reconciler; around it is
`fakes.simulation`. What may happen is in `actions`, what must hold all the time in `invariants`. In
the end all is mended, and every server must be as its resource says: `ending`.

    SIMULATION_SEEDS=4711 pytest test/unit/repositoryserver/simulation         # one, again
    SIMULATION_SEEDS=0-5000 pytest -q test/unit/repositoryserver/simulation    # many

What fails prints its seed and all that happened. The same seed does the same again, but for the
digests in the names of pods: keys and salts are those of the system.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from fakes import objects
from fakes.simulation.cluster import Cluster
from fakes.simulation.kubelet import NODES
from fakes.simulation.user import FILES, TAKEN_OVER
from reconcilers.repositoryserver import api
from unit.repositoryserver.simulation.actions import ACTIONS, PAUSES
from unit.repositoryserver.simulation.ending import IN_THE_END
from unit.repositoryserver.simulation.history import History, name_of
from unit.repositoryserver.simulation.invariants import (
    AT_ANY_TIME,
    OF_EACH_REQUEST,
    confidential_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.simulation.client import Sent

DEFAULT_SEEDS = "0-15"
ACTIONS_A_SEED = 40
FEWEST_ACTIONS = 4

# Seconds in which all must have come to rest once nothing is amiss any more, in which nothing is
# asked where it has, and in which nothing may happen then.
RECOVERY, QUIET, AFTERWARDS = 4 * 3600, 900, 3600


def seeds() -> range:
    """Return the seeds that the environment names."""
    first, _, last = os.environ.get("SIMULATION_SEEDS", DEFAULT_SEEDS).partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.mark.parametrize("seed", seeds())
def test_whatever_happens_each_server_ends_as_its_resource_says(seed: int) -> None:
    simulation = Simulation(seed)

    simulation.run()

    if simulation.broken:
        story = [f"seed {seed}", *simulation.history.lines, *simulation.broken]
        pytest.fail("\n".join(story), pytrace=False)


def test_the_same_seed_does_the_same_again() -> None:
    # One in which no two revisions of a server begin in the same second. Their names would decide
    # which is the newer one, and have a hash of keys that are made at random.
    stories = []
    for _ in range(2):
        simulation = Simulation(2)
        simulation.run()
        stories.append([re.sub(r"-[0-9a-f]{10}\b", "", line) for line in simulation.history.lines])

    assert stories[0] == stories[1]


class Simulation:
    """One seed, from its start to its rest."""

    def __init__(self, seed: int) -> None:
        self._cluster = Cluster(seed)
        self.history = History(self._cluster)
        self._cluster.on_request = self._on_request
        self._cluster.on_reconcile = self.history.begin_pass
        # A node that stays lost, in some of the seeds.
        self._lost = self._cluster.random.choice(("", *NODES))
        #: What did not hold.
        self.broken: list[str] = []

    def run(self) -> None:
        """Let one thing happen after the other, mend all, and look at what there is."""
        with capture_logs() as logs:
            self._live()
            self._recover()
        self._look_at_servers()
        self._rest()
        told = [*map(str, logs), *self._cluster.recorder.lines()]
        leaked = confidential_in(self._cluster, " ".join(told))
        self._report("No log and no event holds what a Secret does.", leaked)

    def _live(self) -> None:
        cluster = self._cluster
        cluster.user.mend()
        # What is to be deleted from a repository is known by the first status alone.
        for name in TAKEN_OVER:
            cluster.api.merge_patch(
                api.REPOSITORY_SERVERS,
                objects.NAMESPACE,
                name,
                {"status": objects.REMOVED_STATUS},
                subresource="status",
            )
        cluster.start_controller()
        # Where all may happen little happens twice: a seed has some of the actions.
        some = cluster.random.sample(ACTIONS, cluster.random.randint(FEWEST_ACTIONS, len(ACTIONS)))
        for _ in range(ACTIONS_A_SEED):
            pause = cluster.random.choice(PAUSES) * cluster.random.random()
            self._plan(pause, cluster.random.choice(some))
            cluster.run(pause)
            self._look()

    def _plan(self, pause: float, action: Callable[[Cluster], None]) -> None:
        """Have something happen in a while, be it in the middle of a request."""

        def act() -> None:
            self.history.note(action.__doc__ or action.__name__)
            action(self._cluster)

        self._cluster.agenda.after(pause, act)

    def _recover(self) -> None:
        # What is put right some time later is so by now.
        self._cluster.run(max(PAUSES))
        self._cluster.mend(lost=self._lost)
        for _ in range(RECOVERY // QUIET):
            requests = self._cluster.requests
            self._cluster.run(QUIET)
            self._look()
            if self._cluster.requests == requests:
                return
        self._report("All comes to rest once nothing is amiss.", f"not within {RECOVERY} s")

    def _look_at_servers(self) -> None:
        servers = self._cluster.api.list(api.REPOSITORY_SERVERS)
        # What a lost node has mounted nobody else may mount.
        for server in (one for one in servers if not self._lost or name_of(one) != FILES):
            for invariant in IN_THE_END:
                sentence = f"{name_of(server)}: {invariant.__doc__}"
                self._report(sentence, invariant(self._cluster, server))

    def _rest(self) -> None:
        requests, reconciles = self._cluster.requests, self.history.reconciles
        self._cluster.run(AFTERWARDS)
        asked, looked = self._cluster.requests - requests, self.history.reconciles - reconciles
        # A server that is not Ready is looked at now and then, without a request.
        right = not asked and (not looked or self._lost)
        complaint = "" if right else f"{asked} requests, {looked} reconciles"
        self._report("Nothing is done where nothing happens.", complaint)

    def _look(self) -> None:
        self.history.look_around()
        for invariant in AT_ANY_TIME:
            self._report(invariant.__doc__, invariant(self.history))

    def _on_request(self, sent: Sent) -> None:
        self.history.note_request(sent)
        for invariant in OF_EACH_REQUEST:
            self._report(invariant.__doc__, invariant(self.history, sent))

    def _report(self, sentence: str | None, complaint: str) -> None:
        if complaint:
            self.history.note(f"BROKEN: {sentence} {complaint}")
            self.broken.append(f"{sentence} {complaint}")
