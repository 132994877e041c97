"""The process under test: all of the controller but its threads and its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import patch

from prometheus_client import CollectorRegistry

from controller.cache.informer import RESYNC_PERIOD
from controller.commands import Commands
from controller.controller import Controller
from controller.metrics import Metrics
from controller.workqueue.ratelimit import ExponentialRateLimiter
from fakes.simulation.agenda import Idle
from fakes.simulation.client import SimulatedClient, SimulatedExecutor
from fakes.simulation.informer import SteppedInformer
from fakes.simulation.strands import Strands
from reconcilers import wiring
from reconcilers.repositoryserver.reconciler import RepositoryServerReconciler
from reconcilers.repositoryserver.sharing import Repositories
from reconcilers.repositoryserver.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from controller.clock import Deadline
    from controller.controller import Reconciler, Request, Result
    from fakes.recorder import FakeRecorder
    from fakes.simulation.agenda import Agenda, SimulatedClock
    from fakes.simulation.apiserver import ApiServer
    from fakes.simulation.client import Weather
    from fakes.simulation.kubelet import Nodes

#: Seconds between the lists of two informers.
LIST_SECONDS = (0.001, 0.2)

#: Commands in pods at the same time: few, so that some have to wait for others.
COMMANDS = 2

#: Seconds that a pass takes beside its requests.
PASS_SECONDS = 0.0005


class Observed:
    """A reconciler that takes some time, and of which somebody hears when a pass begins."""

    def __init__(
        self, reconciler: Reconciler, client: SimulatedClient, on_pass: Callable[[], None]
    ) -> None:
        self._reconciler = reconciler
        self._client = client
        self._on_pass = on_pass

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        self._client.take(PASS_SECONDS)
        self._on_pass()
        return self._reconciler.reconcile(request, deadline)


class SteppedController(Controller):
    """The real queue and the real worker loop, one step at a time."""

    def step(self) -> float | None:
        """Reconcile what is due.

        Returns:
            Seconds until more is; None for never.
        """
        try:
            while self._process_next():
                pass
        except Idle as idle:
            return idle.seconds
        return None


class Process:
    """One process of the controller, from its start to its end."""

    def __init__(
        self,
        *,
        api: ApiServer,
        agenda: Agenda,
        nodes: Nodes,
        clock: SimulatedClock,
        random: Random,
        weather: Weather,
        recorder: FakeRecorder,
        namespace: str,
        image: str,
        turns: int,
        on_pass: Callable[[], None],
    ) -> None:
        #: With which it starts servers.
        self.image = image
        self.client = SimulatedClient(api, agenda, random, weather)
        metrics = Metrics(CollectorRegistry())
        with patch.object(wiring, "Informer", SteppedInformer):
            self.sources = wiring.Sources(
                self.client,  # type: ignore[arg-type]  # the fake has what is called
                namespace,
                clock,
                metrics,
                RESYNC_PERIOD,
            )
        repositories = Repositories()
        strands = Strands(agenda)
        executor = SimulatedExecutor(self.client, nodes, random, weather, strands)
        commands = Commands(
            "commands",
            executor,  # type: ignore[arg-type]
            clock=clock,
            metrics=metrics,
            max_short=COMMANDS,
            spawn=strands.spawn,
        )
        reconciler = RepositoryServerReconciler(
            client=self.client,  # type: ignore[arg-type]
            commands=commands,
            caches=self.sources.caches,
            recorder=recorder,
            clock=clock,
            image=image,
            turns=Turns(turns, clock=clock),
            repositories=repositories,
        )
        self._loop = SteppedController(
            wiring.CONTROLLER,
            Observed(reconciler, self.client, on_pass),
            clock=clock,
            metrics=metrics,
            rate_limiter=ExponentialRateLimiter(maximum=wiring.MAX_RETRY_SECONDS),
            recover_panic=False,
        )
        commands.enqueue = self._loop.enqueue
        self.sources.wake(self._loop, repositories)
        for informer in self.informers:
            agenda.advance(random.uniform(*LIST_SECONDS))
            informer.follow(api, agenda, random)

    @property
    def informers(self) -> list[SteppedInformer]:
        return [one for one in self.sources.informers if isinstance(one, SteppedInformer)]

    def work(self) -> float | None:
        """Reconcile what is due.

        Returns:
            Seconds until more is; None for never.

        Raises:
            Killed: The process has ended.
        """
        return self._loop.step()

    def kill(self) -> None:
        """End the process at its next request, or at once if it has none under way."""
        self.client.killed = True
        for informer in self.informers:
            informer.give_up()
