"""The process under test: all of actionset-controller but its threads and its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakes.renderer import FakeRenderer
from fakes.simulation.actionsets.logs import SimulatedLogs
from fakes.simulation.process import SteppedProcess
from reconcilers.actionset.options import parse_options
from reconcilers.actionset.phases.follower import Follower
from reconcilers.actionset.setup import setup

if TYPE_CHECKING:
    from fakes.simulation.actionsets.kubelet import PhaseNodes
    from fakes.simulation.agenda import SimulatedClock
    from fakes.simulation.client import Weather


class Engine(SteppedProcess):
    """One process of actionset-controller, from its start to its end."""

    def __init__(
        self,
        *,
        nodes: PhaseNodes,
        clock: SimulatedClock,
        weather: Weather,
        namespace: str,
        renderer: Any = None,
        executor: Any = None,
        image: str = "",
        **others: Any,
    ) -> None:
        super().__init__(clock=clock, weather=weather, namespace=namespace, **others)
        self.operator.logs = SimulatedLogs(
            client=self.client,
            nodes=nodes,
            clock=clock,
            random=self._random,
            weather=weather,
            strands=self.strands,
        )
        self.operator.executor = executor
        setup(
            self.operator,  # type: ignore[arg-type]  # the fake has what is called
            options=parse_options([f"--functions-image={image}"], {}),
            namespace=namespace,
            renderer=renderer or FakeRenderer(),
        )
        for follower in self.operator.runnables:
            if isinstance(follower, Follower):
                # In a strand in place of a thread, so that the same seed does the same again.
                follower._spawn = self.strands.spawn  # noqa: SLF001 - `setup` makes it
        self.follow()
