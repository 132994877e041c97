"""The process under test: all of the controller but its threads and its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.clock import DeadlineExceeded
from controller.controller import Controller
from controller.errors import ClientError
from fakes.operator import FakeOperator
from fakes.simulation.agenda import Idle
from fakes.simulation.client import SimulatedClient, SimulatedExecutor
from fakes.simulation.informer import SteppedInformer
from fakes.simulation.strands import Strands
from reconcilers.repositoryserver.setup import setup
from reconcilers.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from controller.cache.informer import Informer
    from controller.clock import Deadline
    from controller.reconcile import Reconciler, Request, Result
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
RECONCILE_SECONDS = 0.0005


class Watched:
    """A reconciler that takes some time, and of which somebody hears when a pass begins."""

    def __init__(
        self, reconciler: Reconciler, client: SimulatedClient, on_reconcile: Callable[[], None]
    ) -> None:
        self._reconciler = reconciler
        self._client = client
        self._on_reconcile = on_reconcile

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        self._client.take(RECONCILE_SECONDS)
        self._on_reconcile()
        try:
            return self._reconciler.reconcile(request, deadline)
        except (ClientError, DeadlineExceeded):
            raise
        except Exception as error:
            raise Panicked from error


class Panicked(BaseException):
    """The reconciler has raised what it does not mean to raise; the worker would go on."""


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


class SteppedProcess:
    """One process of a controller, from its start to its end."""

    def __init__(
        self,
        *,
        api: ApiServer,
        agenda: Agenda,
        clock: SimulatedClock,
        random: Random,
        weather: Weather,
        recorder: FakeRecorder,
        namespace: str,
        on_reconcile: Callable[[], None],
    ) -> None:
        self.client = SimulatedClient(api, agenda, random, weather)
        self.strands = Strands(agenda)
        self._api, self._agenda, self._random = api, agenda, random

        def make(name: str, reconciler: Reconciler, **options: Any) -> Controller:
            return SteppedController(
                name, Watched(reconciler, self.client, on_reconcile), **options
            )

        self.operator = FakeOperator(
            client=self.client,
            executor=None,
            recorder=recorder,
            clock=clock,
            namespaces=(namespace,),
            spawn=self.strands.spawn,
            commands_at_once=COMMANDS,
            make_informer=SteppedInformer,
            make_controller=make,
            on_informer=self._follow_later,
        )
        self.client.on_write = self.operator.informers.written

    def follow(self) -> None:
        """List all that is followed from the start, and watch from then on."""
        for informer in self.informers:
            self._agenda.advance(self._random.uniform(*LIST_SECONDS))
            informer.follow(self._api, self._agenda, self._random)

    @property
    def informers(self) -> list[SteppedInformer]:
        return [
            informer
            for shared in self.operator.informers.all()
            for informer in shared.informers
            if isinstance(informer, SteppedInformer)
        ]

    def work(self) -> float | None:
        """Reconcile what is due.

        Returns:
            Seconds until more is; None for never.

        Raises:
            Killed: The process has ended.
        """
        (loop,) = self.operator.controllers
        assert isinstance(loop, SteppedController)
        return loop.step()

    def kill(self) -> None:
        """End the process at its next request, or at once if it has none under way."""
        self.client.killed = True
        for informer in self.informers:
            informer.give_up()

    def _follow_later(self, informer: Informer) -> None:
        """Begin to follow a namespace that was added, in a while."""
        assert isinstance(informer, SteppedInformer)

        def follow() -> None:
            if not self.client.killed:
                informer.follow(self._api, self._agenda, self._random)

        self._agenda.after(self._random.uniform(*LIST_SECONDS), follow)


class Process(SteppedProcess):
    """The controller of RepositoryServers."""

    def __init__(
        self, *, nodes: Nodes, image: str, slots: int, weather: Weather, **others: Any
    ) -> None:
        super().__init__(weather=weather, **others)
        #: With which it starts servers.
        self.image = image
        self.operator.executor = SimulatedExecutor(
            self.client, nodes, self._random, weather, self.strands
        )
        self.caches = setup(
            self.operator,  # type: ignore[arg-type]  # the fake has what is called
            settings=Settings(image=image),
            workers=1,
            max_replacements=slots,
        )
        self.follow()
