"""A cluster with the engine of ActionSets, of which all is decided by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fakes.simulation.actionsets.author import Author
from fakes.simulation.actionsets.engine import Engine
from fakes.simulation.actionsets.kubelet import PhaseNodes
from fakes.simulation.cluster import SimulatedCluster
from fakes.simulation.garbagecollector import GarbageCollector
from fakes.simulation.strands import Killed

if TYPE_CHECKING:
    from fakes.simulation.client import Sent


class ActionSetCluster(SimulatedCluster):
    """All of it."""

    process: Engine | None

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.nodes = PhaseNodes(self.api, self.agenda, self.random, self.clock)
        GarbageCollector(self.api, self.agenda, self.random)
        self.author = Author(self.api, self.random)
        #: Of the requests, the share at which the engine is killed.
        self.killing = 0.0

    def make_process(self) -> Engine:
        return Engine(nodes=self.nodes, **self.common())

    def mend(self) -> None:
        """Put an end to all that is amiss."""
        self.killing = 0.0
        self.weather.clear_up()
        self.nodes.mend()

    def _on_request(self, sent: Sent) -> None:
        super()._on_request(sent)
        if self.random.random() < self.killing:
            self.kill_controller()
            if self.random.random() < 0.5:
                # Before the request has reached the server; else before its answer has come.
                raise Killed
