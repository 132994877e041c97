"""Commands in pods, beside the workers: a finished command wakes the object that it was run for.

An exec takes as long as the program in the container does, and a worker that waited for it would be
lost to all other objects. So a reconciler asks for a command as it asks for an object, again in
each reconcile until it is there:

    result = commands.ensure(request, ("load users", uid), command)
    if result is None:
        return ...  # Queued or running. Its end enqueues the request.

A client-go controller starts a goroutine in such a place and has no type for it. The limits, the
order and the end of the commands are those of a work queue (client-go util/workqueue):

- first come, first served;
- never more at the same time than there are places, with places apart for short and long ones;
- never two of one slot at the same time;
- none starts after the stop, which also cuts those that run (`controller.clock.Deadline`).
"""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from attrs import define, field, frozen
from structlog.contextvars import bound_contextvars

from controller.clock import Deadline, DeadlineExceeded
from controller.errors import ApiError, NotLeading, Stopped, TransportError
from controller.health import CheckFailed
from controller.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from controller.clock import Clock
    from controller.metrics import Metrics
    from controller.reconcile import Request
    from controller.rest.podexec import ExecResult

#: Short commands of one controller at the same time. Each holds a thread, a connection, and up to
#: 1 MiB of output.
MAX_SHORT: Final = 16
#: Long commands of one controller at the same time.
MAX_LONG: Final = 64

#: Seconds for which the outcome of a command is kept for a reconcile that asks for it. One that
#: nobody asks for by then, of a pod that is gone for example, is dropped.
OUTCOME_SECONDS: Final = 600.0

#: A command that runs for so many seconds beyond its deadline will never end: its requests are cut
#: at the deadline.
HUNG_SECONDS: Final = 30.0

#: Seconds from the connection's deadline to the signal TERM in the container, and on to KILL.
_GRACE_SECONDS: Final = 1

#: Values of the metrics' label `pool`.
SHORT: Final = "short"
LONG: Final = "long"

#: Values of the label `cause` of `pod_command_failures_total`: of errors, and of an exit code that
#: is not 0.
_CAUSES_OF_ERRORS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (DeadlineExceeded, "deadline"),
    (Stopped, "stopped"),
    (NotLeading, "not_leading"),
    (ApiError, "refused"),
    (TransportError, "transport"),
    (Exception, "panic"),
)
_EXIT_CODE: Final = "exit_code"
CAUSES: Final = (*(cause for _, cause in _CAUSES_OF_ERRORS), _EXIT_CODE)

HUNG: Final = (
    "{name}: {command.kind} in pod {command.namespace}/{command.pod} has run for {late:.0f} s"
    " beyond its deadline"
)


class Executor(Protocol):
    """Runs one command to its end, as `controller.rest.podexec.Executor`."""

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
        """Run a command, and wait for its end.

        Raises:
            ApiError: The server refuses, or there is no such container or program.
            TransportError: The connection failed; the command may have run.
            DeadlineExceeded: The deadline has passed.
            Stopped: The deadline's stop has cut it off.
            NotLeading: The fence is closed.
        """
        ...


def _comparable(stdin: bytes | Iterable[bytes]) -> bytes:
    """Return what of the input tells one command from another: a stream does not."""
    return stdin if isinstance(stdin, bytes) else b""


@frozen(kw_only=True)
class Command:
    """A command to run in a container.

    Two commands are the same if everything but their streams is.

    It runs under `timeout -k 1 N`, with `seconds` and one second more for `N`: closing an exec's
    connection does not end the process in the container. The container must have a `timeout` that
    knows `-k`, as those of GNU coreutils and BusyBox do. BusyBox's ends the program alone: a script
    should `exec` the last one of its programs, and set a limit to others.

    Args:
        kind: What it is for, as a label of metrics: one of a few words, such as `load_users`.
        namespace: The pod's.
        pod: Its name.
        container: Which of its containers.
        argv: Program and arguments. They stand in the URL of a request, and so in the audit log: a
            secret goes over `stdin`.
        seconds: From its start until it is given up. Time in the queue does not count.
        stdin: What it reads: all of it, or a stream. Its end may not be visible to the command
            (see `controller.rest.podexec`).
        long: Whether it may run for hours, and so in a place for long ones.
        on_stdout: Takes its output piece by piece, on the thread that runs it. The result holds
            none of it then. Default: the result holds all, within the executor's limit.
    """

    kind: str
    namespace: str
    pod: str
    container: str
    argv: tuple[str, ...]
    seconds: float
    # It may hold a secret.
    stdin: bytes | Iterable[bytes] = field(default=b"", eq=_comparable, repr=False)
    long: bool = False
    on_stdout: Callable[[bytes], None] | None = field(default=None, eq=False, repr=False)

    @property
    def bounded_argv(self) -> tuple[str, ...]:
        """The program and arguments that are run: the connection's deadline comes first."""
        seconds = math.ceil(self.seconds) + _GRACE_SECONDS
        return ("timeout", "-k", str(_GRACE_SECONDS), str(seconds), *self.argv)


@define(eq=False)
class _Task:
    """A command that a reconciler has asked for: queued, then running, then ended.

    Args:
        request: For which object.
        slot: For what of it.
        command: What is run.
        outcome: How it has ended; None before.
        ended_at: When, in monotonic seconds.
    """

    request: Request
    slot: Hashable
    command: Command
    outcome: ExecResult | Exception | None = None
    ended_at: float = 0.0


@define(eq=False)
class _Pool:
    """The places for commands of one length.

    Args:
        name: Short or long, for metrics.
        places: Commands at the same time.
        queue: In the order of asking; a task is in here, or in `running`, or has ended.
        running: With the deadline of each. Never more than `threads`.
        threads: Those that take tasks from the queue, never more than `places`. One ends when it
            finds the queue empty, so that a queue with tasks has all of them at work.
    """

    name: str
    places: int
    queue: dict[_Task, None] = field(factory=dict)
    running: dict[_Task, Deadline] = field(factory=dict)
    threads: int = 0


def _wake_nobody(_request: Request) -> None:
    """Stand for a controller that is not there yet."""


class Commands:
    """Runs the commands of one controller. A runnable; safe to share between threads.

    It stops with the controllers, before the lease is released.

    Args:
        name: Names it in logs and probes; its threads too.
        executor: Runs one command. Its fence refuses what must not be sent any more.
        clock: The time.
        metrics: Counts commands, by kind and pool.
        enqueue: See the attribute.
        max_short: Short commands at the same time.
        max_long: Long commands at the same time.
        spawn: Has a function called on a thread of its own. Default: a daemon thread. A test calls
            it when it wants commands to run.
    """

    def __init__(
        self,
        name: str,
        executor: Executor,
        *,
        clock: Clock,
        metrics: Metrics,
        enqueue: Callable[[Request], None] = _wake_nobody,
        max_short: int = MAX_SHORT,
        max_long: int = MAX_LONG,
        spawn: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.name = name
        #: Called with the request of each command that has ended, as `Controller.enqueue`. Set
        #: before the first command where the controller is made after the commands.
        self.enqueue = enqueue
        self._executor = executor
        self._clock = clock
        self._metrics = metrics
        self._spawn = spawn or self._start_thread
        # Carried by the deadline of each command.
        self._stop = Stop()
        # Guards the fields below.
        self._lock = threading.Lock()
        # Notified when a thread ends.
        self._thread_ended = threading.Condition(self._lock)
        # By request and slot. A request without a task has no entry.
        self._tasks: dict[Request, dict[Hashable, _Task]] = {}
        self._pools = (_Pool(SHORT, max_short), _Pool(LONG, max_long))
        # Once it is set nothing is queued any more.
        self._stopping = False

    def ensure(self, request: Request, slot: Hashable, command: Command) -> ExecResult | None:
        """Return the result of a command; start it if nobody has asked for it before.

        The result is handed out once: the next call starts the command anew. A slot runs one
        command at a time. If another one than `command` runs in it, `command` waits for the end,
        which wakes the object as well; the result of that one is dropped.

        Args:
            request: The object that the end of the command wakes.
            slot: What the command is for, among those of the object.
            command: The command.

        Returns:
            The result, whatever the exit code; None while the command is queued or running, and
            once the stop was set.

        Raises:
            ApiError: The server refused, or the container or the program is not there.
            TransportError: The connection failed; the command may have run.
            DeadlineExceeded: It has not ended in its time.
            Stopped: The stop has cut it off.
            NotLeading: The fence is closed.
        """
        needs_thread = False
        pool = self._pool_of(command)
        with self._lock:
            self._drop_expired(request)
            task = self._tasks.get(request, {}).get(slot)
            if task is not None and task.command != command:
                if task in self._pool_of(task.command).running:
                    return None
                self._discard(task)
                task = None
            if task is None:
                if self._stopping:
                    return None
                task = _Task(request, slot, command)
                self._tasks.setdefault(request, {})[slot] = task
                pool.queue[task] = None
                needs_thread = pool.threads < pool.places
                pool.threads += needs_thread
        if needs_thread:
            self._add_thread(pool, task)
        return self._take_outcome(task)

    def forget(self, request: Request) -> None:
        """Drop what belongs to an object that is gone.

        Queued commands never start. Running ones run to their end, which wakes nobody.
        """
        with self._lock:
            for task in list(self._tasks.get(request, {}).values()):
                self._discard(task)

    def check_alive(self) -> None:
        """Return while every command ends by its deadline, for a liveness probe.

        Raises:
            CheckFailed: One runs on, so that its place is lost.
        """
        now = self._clock.monotonic()
        with self._lock:
            running = [item for pool in self._pools for item in pool.running.items()]
        for task, deadline in running:
            late = now - deadline.at
            if late > HUNG_SECONDS:
                raise CheckFailed(HUNG.format(name=self.name, command=task.command, late=late))

    def run(self, stop: Stop) -> None:
        """Wait for the stop, then cut the commands that run; return when all have ended.

        Args:
            stop: Those that are queued when it is set never start.
        """
        self._clock.wait_event(stop, None)
        with self._lock:
            self._stopping = True
            for pool in self._pools:
                pool.queue.clear()
        self._stop.set()
        with self._lock:
            while any(pool.threads for pool in self._pools):
                self._clock.wait(self._thread_ended, None)

    def _pool_of(self, command: Command) -> _Pool:
        return self._pools[command.long]

    def _add_thread(self, pool: _Pool, task: _Task) -> None:
        try:
            self._spawn(partial(self._work, pool))
        except RuntimeError:
            # The system has no thread left. The next reconcile asks for the command again.
            with self._lock:
                pool.threads -= 1
                self._discard(task)
            raise

    def _start_thread(self, work: Callable[[], None]) -> None:
        # A daemon: one that does not end must not keep the process.
        threading.Thread(target=work, name=self.name, daemon=True).start()

    def _work(self, pool: _Pool) -> None:
        for task, deadline in self._queued(pool):
            outcome = self._run(pool, task.command, deadline, task.request)
            with self._lock:
                del pool.running[task]
                task.outcome, task.ended_at = outcome, self._clock.monotonic()
                wanted = self._is_kept(task)
            if wanted:
                self.enqueue(task.request)

    def _queued(self, pool: _Pool) -> Iterator[tuple[_Task, Deadline]]:
        """Yield one task after the other, each with its deadline, until the queue is empty."""
        while True:
            with self._lock:
                if not pool.queue:
                    pool.threads -= 1
                    self._thread_ended.notify_all()
                    return
                task = next(iter(pool.queue))
                del pool.queue[task]
                deadline = Deadline.after(self._clock, task.command.seconds, stop=self._stop)
                pool.running[task] = deadline
            yield task, deadline

    def _run(
        self, pool: _Pool, command: Command, deadline: Deadline, request: Request
    ) -> ExecResult | Exception:
        """Run a command, and return how it has ended."""
        labels = {"kind": command.kind, "pool": pool.name}
        for cause in CAUSES:
            # All series exist before the first failure, so that a rate over them sees it.
            self._metrics.pod_command_failures_total.labels(**labels, cause=cause)
        started = self._clock.monotonic()
        outcome: ExecResult | Exception
        with (
            # A thread starts without any context.
            bound_contextvars(namespace=request.namespace, name=request.name, command=command.kind),
            self._metrics.pod_commands_running.labels(**labels).track_inprogress(),
        ):
            try:
                outcome = self._executor.run(
                    command.namespace,
                    command.pod,
                    command.container,
                    command.bounded_argv,
                    stdin=command.stdin,
                    deadline=deadline,
                    on_stdout=command.on_stdout,
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, `ensure` raises it
                outcome = error
        self._metrics.pod_command_duration_seconds.labels(**labels).observe(
            self._clock.monotonic() - started
        )
        if cause := _cause_of_failure(outcome):
            self._metrics.pod_command_failures_total.labels(**labels, cause=cause).inc()
        return outcome

    def _take_outcome(self, task: _Task) -> ExecResult | None:
        with self._lock:
            outcome = task.outcome
            if outcome is not None:
                self._discard(task)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _is_kept(self, task: _Task) -> bool:
        return self._tasks.get(task.request, {}).get(task.slot) is task

    def _discard(self, task: _Task) -> None:
        """Forget a task. The caller holds the lock."""
        self._pool_of(task.command).queue.pop(task, None)
        if self._is_kept(task):
            tasks = self._tasks[task.request]
            del tasks[task.slot]
            if not tasks:
                del self._tasks[task.request]

    def _drop_expired(self, request: Request) -> None:
        """Drop outcomes that nobody has asked for. The caller holds the lock."""
        oldest = self._clock.monotonic() - OUTCOME_SECONDS
        for task in list(self._tasks.get(request, {}).values()):
            if task.outcome is not None and task.ended_at <= oldest:
                self._discard(task)


def _cause_of_failure(outcome: ExecResult | Exception) -> str:
    """Return the label of the metric; "" if the command has succeeded."""
    if not isinstance(outcome, Exception):
        return _EXIT_CODE if outcome.exit_code else ""
    return next(cause for type_, cause in _CAUSES_OF_ERRORS if isinstance(outcome, type_))
