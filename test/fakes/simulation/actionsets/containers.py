"""Commands in a container that is there already, as the executor is asked to run them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

from controller.errors import TransportError
from fakes.kopia import FakeResult
from fakes.simulation.actionsets.kubelet import SIGNALLED, Life
from fakes.simulation.actionsets.programs import program_of
from fakes.simulation.client import EXEC_SECONDS, LATENCY_SECONDS
from fakes.simulation.strands import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from random import Random

    from controller.clock import Deadline
    from fakes.simulation.actionsets.kubelet import PhaseNodes
    from fakes.simulation.agenda import Agenda, SimulatedClock
    from fakes.simulation.client import SimulatedClient, Weather
    from fakes.simulation.strands import Strands

#: Seconds in which a command ends whose connection is lost, one of these.
CUT_SECONDS: Final = (0.1, 1.0, 6.0)
#: Seconds between two looks at a command that runs.
LOOK_SECONDS: Final = 0.5
#: Seconds by which a sum of fractions may miss an end.
ROUNDING: Final = 1e-6


class Containers:
    """What runs in containers, and of which phases nobody has heard what became of a command.

    Attributes:
        lost: Token and phase of these.
    """

    def __init__(
        self, nodes: PhaseNodes, agenda: Agenda, random: Random, clock: SimulatedClock
    ) -> None:
        self.nodes = nodes
        self.agenda = agenda
        self.random = random
        self.clock = clock
        self.lost: set[tuple[str, str]] = set()
        self._lives: list[Life] = []

    def running(self) -> list[Life]:
        """Return the programs that have not ended."""
        return [life for life in self._lives if life.code is None]

    def begin(self, words: Sequence[str]) -> Life:
        """Start a program."""
        pod = {
            "metadata": {"uid": f"command-{len(self._lives)}"},
            "spec": {"nodeName": "", "containers": [{"command": list(words)}]},
        }
        life = Life(pod, program_of(pod), self.clock.now(), self.clock.monotonic())
        self._lives.append(life)
        self.nodes.on_start(life)
        return life

    def end(self, life: Life, code: int) -> None:
        """End a program, unless it has ended."""
        if life.code is None:
            life.code, life.ended = code, self.clock.monotonic()

    def cut(self, life: Life) -> None:
        """Lose the connection of a program, which ends soon, by itself or by a signal."""
        left = life.since + life.program.seconds - self.clock.monotonic()
        seconds = self.random.choice(CUT_SECONDS)
        code = life.program.code if left <= seconds else SIGNALLED
        self.agenda.after(min(max(left, 0.0), seconds), lambda: self.end(life, code))


class ContainerExecutor:
    """Runs commands, each in a strand of its own, as `controller.rest.podexec.Executor`.

    Attributes:
        client: Of the process whose commands these are.
        strands: Of the same.
    """

    client: SimulatedClient
    strands: Strands

    def __init__(self, containers: Containers, weather: Weather) -> None:
        self._containers = containers
        self._weather = weather

    def run(
        self,
        _namespace: str,
        pod: str,
        _container: str,
        _command: Sequence[str],
        *,
        stdin: Iterable[bytes],
        deadline: Deadline,
        on_stdout: Callable[[bytes], None],
    ) -> FakeResult:
        """Run the command that a shell reads first, until it ends or its input does."""
        words = shlex.split(next(iter(stdin)).decode())[1:-1]
        key = words[1], words[2]
        random = self._containers.random
        try:
            self._take(EXEC_SECONDS)
            fails = random.random() < self._weather.failing
            if fails and random.random() < 0.5:
                raise _lost(pod)
            life = self._containers.begin(words)
            self._follow(life, stdin, deadline, on_stdout)
            self._take(LATENCY_SECONDS)
            if fails:
                raise _lost(pod)
        except BaseException:
            self._containers.lost.add(key)
            raise
        assert life.code is not None
        return FakeResult(life.code, b"", b"")

    def _follow(
        self, life: Life, stdin: Any, deadline: Deadline, on_stdout: Callable[[bytes], None]
    ) -> None:
        said = 0
        try:
            while life.code is None:
                past = self._containers.clock.monotonic() - life.since
                left = life.program.seconds - past
                lines = life.program.lines()
                while said < len(lines) and lines[said][0] <= past:
                    on_stdout(f"{lines[said][1]}\n".encode())
                    said += 1
                if left <= ROUNDING:
                    self._containers.end(life, life.program.code)
                elif stdin._ended.is_set():  # noqa: SLF001 - what it would send next takes a minute
                    self._containers.end(life, SIGNALLED)
                else:
                    deadline.check()
                    pause = min(left, LOOK_SECONDS)
                    self._take((pause, pause))
        except BaseException:
            self._containers.cut(life)
            raise

    def _take(self, seconds: tuple[float, float]) -> None:
        self.strands.pause(self._containers.random.uniform(*seconds))
        if self.client.killed:
            raise Killed


def _lost(pod: str) -> TransportError:
    return TransportError(f"exec {pod}: no answer")
