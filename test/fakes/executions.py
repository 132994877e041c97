"""A process of the engine with commands in containers, without threads and without containers."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field
from prometheus_client import CollectorRegistry

from controller.commands import Commands
from controller.metrics import Metrics
from controller.rest.podexec import ExecResult
from fakes.clock import FakeClock
from fakes.phaseruns import Phase, phase_run
from reconcilers.actionset.function import Complete, Failed, Running
from reconcilers.actionset.functions.executions import Executions
from reconcilers.actionset.functions.kubeexec import kube_exec, kube_exec_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.clock import Deadline
    from controller.reconcile import Request

#: What came of a command: an exit code, its output, its errors; or an error of the request.
Result = tuple[int, bytes, bytes] | Exception

WENT_WELL: Final[Result] = (0, b"", b"")


@define
class Pods:
    """Containers in which commands end as a test says, and at once."""

    #: By pod and container, and then by the number of the run.
    results: dict[tuple[str, str], list[Result]] = field(factory=dict)
    #: What was run: pod, container, argv, and the first piece of the input.
    ran: list[tuple[str, str, tuple[str, ...], bytes]] = field(factory=list)
    seconds: list[float] = field(factory=list)
    #: Called while a command runs.
    meanwhile: Callable[[], object] = field(default=lambda: None)
    #: What has come of the commands, for as long as somebody holds it.
    outcomes: list[weakref.ref[ExecResult]] = field(factory=list)

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: tuple[str, ...],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        head = stdin if isinstance(stdin, bytes) else next(iter(stdin))
        self.ran.append((pod, container, command, head))
        self.seconds.append(deadline.remaining())
        self.meanwhile()
        results = self.results.get((pod, container), [WENT_WELL])
        result = results.pop(0) if len(results) > 1 else results[0]
        if isinstance(result, Exception):
            raise result
        code, out, err = result
        assert on_stdout is not None
        on_stdout(out)
        outcome = ExecResult(code, b"", err)
        self.outcomes.append(weakref.ref(outcome))
        return outcome


@define
class World:
    """A process of the engine, with its commands but without threads."""

    clock: FakeClock = field(factory=FakeClock)
    pods: Pods = field(factory=Pods)
    limit: int = 8
    woken: list[Request] = field(factory=list)
    threads: list[Callable[[], None]] = field(factory=list)
    executions: Executions = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.threads.clear()
        commands = Commands(
            "commands",
            self.pods,
            clock=self.clock,
            metrics=Metrics(CollectorRegistry()),
            enqueue=self.woken.append,
            spawn=self.threads.append,
        )
        self.executions = Executions(commands, clock=self.clock, limit=self.limit)

    def run_commands(self) -> None:
        """Run the commands that are queued, to their end."""
        threads = list(self.threads)
        self.threads.clear()
        for thread in threads:
            thread()

    def phase(self, given: dict[str, Any], **changes: Any) -> Phase:
        make = kube_exec_all if "pods" in given else kube_exec
        function = make(self.executions)
        return Phase(function, self.clock, given, phase_run(self.clock, **changes))

    def go_on(self, phase: Phase) -> None:
        """Have this process go on with a phase."""
        phase.function = self.phase(dict(phase.given)).function


def finish(world: World, phase: Phase) -> Complete | Failed:
    """Ask until the phase is over, and have its commands run meanwhile."""
    for _ in range(1000):
        step = phase.advance()
        if not isinstance(step, Running):
            return step
        if step.again_after:
            world.clock.step(step.again_after)
        world.run_commands()
    raise AssertionError("the phase does not end")
