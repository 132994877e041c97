"""The logs of phases' pods: each opening is a strand that shows lines as they are printed."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from controller.errors import BadRequest, ServerUnavailable, Stopped, TransportError
from fakes.simulation.strands import Killed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from controller.clock import Deadline
    from fakes.simulation.actionsets.kubelet import Life, PhaseNodes
    from fakes.simulation.agenda import SimulatedClock
    from fakes.simulation.client import SimulatedClient, Weather
    from fakes.simulation.strands import Strands

#: Seconds between two looks at whether a program has been ended, and of an opening.
LOOK_SECONDS = 7.0
OPEN_SECONDS = (0.001, 0.05)
#: Seconds for which a kubelet is lost, at least.
KUBELET_SECONDS = 2.0


class SimulatedLogs:
    """As `controller.rest.podlogs.PodLogs`."""

    def __init__(
        self,
        *,
        client: SimulatedClient,
        nodes: PhaseNodes,
        clock: SimulatedClock,
        random: Random,
        weather: Weather,
        strands: Strands,
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._clock = clock
        self._random = random
        self._weather = weather
        self._strands = strands

    @contextmanager
    def open(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        deadline: Deadline,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Iterator[Iterator[bytes]]:
        assert timestamps
        self._pause(self._random.uniform(*OPEN_SECONDS), deadline)
        life = self._nodes.life_of(namespace, pod)
        if self._random.random() < self._weather.failing:
            raise ServerUnavailable(503, "", "etcdserver: leader changed")
        if life is None:
            message = f"pod {pod} has no container {container} that was started"
            raise BadRequest(400, "BadRequest", message)
        yield self._pieces(life, deadline, follow=follow)

    def _pieces(self, life: Life, deadline: Deadline, *, follow: bool) -> Iterator[bytes]:
        shown = 0
        while True:
            if life.node in self._nodes.lost:
                self._pause(30.0, deadline)
                raise TransportError("log: no answer")
            ended = life.ended if life.code is not None else self._clock.monotonic()
            lines = [line for line in life.program.lines() if life.since + line[0] <= ended]
            for second, text in lines[shown:]:
                if self._random.random() < max(self._weather.failing, self._weather.cutting):
                    goes_on = life.program.seconds - (self._clock.monotonic() - life.since)
                    # An API server that has lost the kubelet ends its answer in good order. Such a
                    # kubelet does not tell of the container's end within seconds.
                    if goes_on > KUBELET_SECONDS and self._random.random() < 0.5:
                        return
                    raise TransportError("log: the connection was cut")
                at = life.started + timedelta(seconds=second)
                yield f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z {text}\n".encode()
            shown = len(lines)
            if life.code is not None or not follow:
                return
            coming = [life.since + second - ended for second, _ in life.program.lines()[shown:]]
            self._pause(min([*coming, LOOK_SECONDS]), deadline)

    def _pause(self, seconds: float, deadline: Deadline) -> None:
        self._strands.pause(seconds)
        if self._client.killed:
            raise Killed
        if deadline.stop is not None and deadline.stop.is_set():
            raise Stopped("cut")
        deadline.check()
