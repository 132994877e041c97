"""A cluster with the engine of ActionSets, of which all is decided by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fakes.simulation.actionsets.author import Author
from fakes.simulation.actionsets.containers import ContainerExecutor, Containers
from fakes.simulation.actionsets.deeds import Deeds
from fakes.simulation.actionsets.engine import Engine
from fakes.simulation.actionsets.kubelet import PhaseNodes
from fakes.simulation.cluster import SimulatedCluster
from fakes.simulation.garbagecollector import GarbageCollector
from fakes.simulation.strands import Killed
from fakes.simulation.workloads import WorkloadController

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.simulation.client import Sent

#: What phases of KubeOps and ScaleWorkload write to.
WORKED_ON: Final = ("configmaps", "statefulsets")
WRITES: Final = ("create", "patch", "delete")


class ActionSetCluster(SimulatedCluster):
    """All of it."""

    process: Engine | None

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.nodes = PhaseNodes(self.api, self.agenda, self.random, self.clock)
        self.containers = Containers(self.nodes, self.agenda, self.random, self.clock)
        Deeds(self.api, self.clock, self.nodes)
        WorkloadController(self.api, self.agenda)
        GarbageCollector(self.api, self.agenda, self.random)
        self.author = Author(self.api, self.random)
        #: Of the requests, the share at which the engine is killed.
        self.killing = 0.0
        #: At how many of its next writes to what phases work on it is killed.
        self.kills_at_writes = 0
        #: Told that the engine is about to end.
        self.on_kill: Callable[[], None] = lambda: None

    def make_process(self) -> Engine:
        executor = ContainerExecutor(self.containers, self.weather)
        engine = Engine(nodes=self.nodes, executor=executor, **self.common())
        executor.client, executor.strands = engine.client, engine.strands
        return engine

    def kill_controller(self) -> None:
        if self.process is not None:
            self.on_kill()
        super().kill_controller()

    def mend(self) -> None:
        """Put an end to all that is amiss."""
        self.killing, self.kills_at_writes = 0.0, 0
        self.weather.clear_up()
        self.nodes.mend()

    def _on_request(self, sent: Sent) -> None:
        super()._on_request(sent)
        is_write = sent.resource.plural in WORKED_ON and sent.verb in WRITES
        at_write = is_write and self.kills_at_writes > 0
        if self.random.random() < self.killing or at_write:
            self.kills_at_writes -= at_write
            if self.random.random() < 0.5:
                # Before the request has reached the server.
                self.kill_controller()
                raise Killed
            # Before its answer has come.
            self.agenda.after(0.0, self.kill_controller)
