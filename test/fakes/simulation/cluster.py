"""A cluster with a controller and a user, of which all is decided by a seed."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from fakes import objects
from fakes.recorder import FakeRecorder
from fakes.simulation.agenda import Agenda, SimulatedClock
from fakes.simulation.apiserver import ApiServer
from fakes.simulation.client import Weather
from fakes.simulation.endpointslices import EndpointSliceController
from fakes.simulation.garbagecollector import GarbageCollector
from fakes.simulation.kubelet import Nodes
from fakes.simulation.process import Process
from fakes.simulation.replicasets import ReplicaSetController
from fakes.simulation.strands import Killed
from fakes.simulation.user import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.simulation.client import Sent
    from fakes.simulation.process import SteppedProcess

#: Seconds until a controller that has ended is started again.
STARTED_AGAIN = (0.5, 20.0)

#: How many servers may be replaced at the same time.
SLOTS = 1


class SimulatedCluster:
    """An API server and a controller, and the time. It passes in `run` only."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - no secret depends on it
        self.clock = SimulatedClock(objects.NOW)
        self.agenda = Agenda(self.clock)
        self.api = ApiServer(self.clock)
        self.weather = Weather()
        self.recorder = FakeRecorder()
        #: The controller; None while it does not run.
        self.process: SteppedProcess | None = None
        #: Told of each request of the controller before it is carried out.
        self.on_request: Callable[[Sent], None] = lambda _: None
        #: Told of each reconcile before it begins.
        self.on_reconcile: Callable[[], None] = lambda: None
        self._requests = 0

    @property
    def requests(self) -> int:
        """How many requests the controller has sent."""
        return self._requests

    def make_process(self) -> SteppedProcess:
        """Return a controller that has just been started."""
        raise NotImplementedError

    def start_controller(self) -> None:
        """Start the controller, unless it runs."""
        if self.process is None:
            process = self.make_process()
            process.client.observers.append(self._on_request)
            self.process = process

    def kill_controller(self) -> None:
        """End the controller, in the middle of a request perhaps; it is started again."""
        if self.process is not None:
            self.process.kill()
            self.process = None
            self.agenda.after(self.random.uniform(*STARTED_AGAIN), self.start_controller)

    def run(self, seconds: float) -> None:
        """Let time pass, in which everybody does what he has to do."""
        end = self.clock.monotonic() + seconds
        while True:
            pauses = [self._work(), self.agenda.next_in(), end - self.clock.monotonic()]
            if pauses[-1] is not None and pauses[-1] <= 0:
                return
            self.agenda.advance(min(pause for pause in pauses if pause is not None))

    def _work(self) -> float | None:
        """Let the controller do what is due; return the seconds until more is, None for never."""
        if self.process is None:
            return None
        try:
            return self.process.work()
        except Killed:
            return None

    def _on_reconcile(self) -> None:
        self.on_reconcile()

    def _on_request(self, sent: Sent) -> None:
        self._requests += 1
        self.on_request(sent)

    def common(self) -> dict[str, Any]:
        """Return the arguments that each controller gets."""
        return {
            "api": self.api,
            "agenda": self.agenda,
            "clock": self.clock,
            "random": self.random,
            "weather": self.weather,
            "recorder": self.recorder,
            "namespace": objects.NAMESPACE,
            "on_reconcile": self._on_reconcile,
        }


class Cluster(SimulatedCluster):
    """With the controller of RepositoryServers, and a user of them."""

    process: Process | None

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.nodes = Nodes(self.api, self.agenda, self.random, self.clock)
        EndpointSliceController(self.api, self.agenda, self.random)
        self.replica_sets = ReplicaSetController(self.api, self.agenda, self.random, self.clock)
        GarbageCollector(self.api, self.agenda, self.random)
        self.user = User(self.api)
        #: With which image the next controller starts servers.
        self.image = objects.IMAGE

    @property
    def requests(self) -> int:
        """How many requests the controller has sent, commands in pods among them."""
        return self._requests + self.nodes.commands

    def make_process(self) -> Process:
        return Process(nodes=self.nodes, image=self.image, slots=SLOTS, **self.common())

    def mend(self, *, lost: str = "") -> None:
        """Put an end to all that is amiss.

        Args:
            lost: A node of which nothing more is ever heard.
        """
        self.weather.clear_up()
        self.replica_sets.refused = False
        self.nodes.mend(lost=lost)
        self.user.mend()

    def is_calm(self) -> bool:
        """Return whether nothing is amiss that is none of the controller's doing."""
        informers = [] if self.process is None else self.process.informers
        return (
            self.process is not None
            and self.weather.is_fair
            and not self.replica_sets.refused
            and self.nodes.are_well
            and not any(informer.is_stalled for informer in informers)
        )
