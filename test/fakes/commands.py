"""Commands in pods without threads and without pods: a test says when one of them goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, evolve, field
from prometheus_client import CollectorRegistry

from controller.commands import Command, Commands
from controller.metrics import Metrics
from controller.reconcile import Request
from controller.rest.podexec import ExecResult
from fakes.clock import FakeClock

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from controller.clock import Deadline

REQUEST, OTHER = Request("ns", "one"), Request("ns", "other")
LOAD = Command(
    kind="load_users", namespace="ns", pod="p", container="c", argv=("kopia", "x"), seconds=30
)
ANOTHER = evolve(LOAD, argv=("kopia", "y"))
COPY = evolve(LOAD, kind="copy", long=True, seconds=3600)
SLOT = "users"
DONE = ExecResult(0, b"out", b"")


@define
class FakeExecutor:
    """Ends each command as it was told to, at once."""

    clock: FakeClock
    outcome: ExecResult | Exception = DONE
    #: What has run: the last argument of each command.
    ran: list[str] = field(factory=list)
    #: Called while a command runs.
    meanwhile: Callable[[Deadline], None] = field(default=lambda _: None)
    calls: list[dict[str, object]] = field(factory=list)

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
        self.ran.append(command[-1])
        self.calls.append(
            {
                "container": (namespace, pod, container),
                "argv": command,
                "stdin": stdin,
                "seconds": deadline.remaining(),
            }
        )
        if on_stdout is not None:
            on_stdout(b"piece")
        self.meanwhile(deadline)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class PoolClock(FakeClock):
    """A clock for one thread: something happens while it waits."""

    meanwhile: Callable[[], None] | None = None

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        if self.meanwhile is None:
            return super().wait(condition, timeout)
        condition.release()
        self.meanwhile()
        condition.acquire()
        return True


class Pool:
    """Commands without threads: a test says when one of them goes on."""

    def __init__(self, *, max_short: int = 16, max_long: int = 64) -> None:
        self.clock = PoolClock()
        self.executor = FakeExecutor(self.clock)
        self.woken: list[Request] = []
        #: Those that were asked for, and have not begun.
        self.threads: list[Callable[[], None]] = []
        #: Makes a thread.
        self.spawn: Callable[[Callable[[], None]], None] = self.threads.append
        self.metrics = Metrics(CollectorRegistry())
        self.commands = Commands(
            "commands",
            self.executor,
            clock=self.clock,
            metrics=self.metrics,
            enqueue=self.woken.append,
            max_short=max_short,
            max_long=max_long,
            spawn=self._spawn,
        )

    def _spawn(self, work: Callable[[], None]) -> None:
        self.spawn(work)

    def ask(
        self, command: Command = LOAD, slot: str = SLOT, request: Request = REQUEST
    ) -> ExecResult | None:
        return self.commands.ensure(request, slot, command)

    def go_on(self) -> None:
        """Run the threads that there are, until none finds anything to do."""
        threads = list(self.threads)
        self.threads.clear()
        for work in threads:
            work()

    def while_it_runs(self, action: Callable[[], object]) -> None:
        """Run the threads, and do something while the first command runs."""
        actions = [action]

        def act(_deadline: Deadline) -> None:
            if actions:
                actions.pop()()

        self.executor.meanwhile = act
        self.go_on()

    def sample(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def failures(self, cause: str) -> float | None:
        """Return how many commands to load users have failed for a cause."""
        labels = {"kind": LOAD.kind, "pool": "short", "cause": cause}
        return self.sample("pod_command_failures_total", **labels)
