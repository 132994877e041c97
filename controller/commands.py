"""Commands in pods, run beside the workers. A command that ends enqueues the object it was run for.

An exec takes as long as the program in the container. A worker that waited for it would be lost to
all other objects. So a reconciler asks for the result of a command, in each reconcile, until the
result is there:

    result = commands.ensure(request, ("load users", uid), command)
    if result is None:
        return ...  # Queued or running. Its end enqueues the request.

client-go has no type for this: a Go controller starts a goroutine. The promises are those of a work
queue (client-go util/workqueue):

- commands start in the order in which they were asked for;
- no more run at the same time than there are places; short and long ones have places of their own;
- no two of one slot run at the same time, be the first one forgotten;
- none starts after the stop, which also cuts those that run (`controller.clock.Deadline`).
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from attrs import define, field
from structlog.contextvars import bound_contextvars

from controller.clock import Deadline, DeadlineExceeded
from controller.command import Command, Executor
from controller.errors import ApiError, NotLeading, Stopped, TransportError
from controller.health import CheckFailed
from controller.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from controller.clock import Clock
    from controller.metrics import Metrics
    from controller.reconcile import Request
    from controller.rest.podexec import ExecResult

#: All that who runs commands needs, what a command is among them.
__all__ = ["Command", "Commands", "Executor"]

#: Short commands of one controller at the same time. Each holds a thread, a connection, and up to
#: 1 MiB of output.
MAX_SHORT: Final = 16
#: Long commands of one controller at the same time.
MAX_LONG: Final = 64

#: Seconds for which the outcome of a command is kept until a reconcile asks for it. Then it is
#: dropped, unless the command is `kept`. Nobody asks if the pod is gone, for example.
OUTCOME_SECONDS: Final = 600.0

#: Seconds beyond its deadline after which a command counts as hung: its requests were cut at the
#: deadline.
HUNG_SECONDS: Final = 30.0

#: Values of the metrics' label `pool`.
SHORT: Final = "short"
LONG: Final = "long"

#: Values of the label `cause` of `pod_command_failures_total`: those of errors, the first type that
#: fits, and that of an exit code other than 0.
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


@define(eq=False)
class _Task:
    """A command that a reconciler has asked for: queued, then running, then ended.

    Args:
        request: The object.
        slot: What the command is for, among those of the object.
        command: The command.
        outcome: The result, or the error. None until it has ended.
        ended_at: When it ended, in monotonic seconds.
        forgotten: Whether it was forgotten while it ran. Its outcome is dropped then.
        awaited: Whether its end enqueues the request.
    """

    request: Request
    slot: Hashable
    command: Command
    outcome: ExecResult | Exception | None = None
    ended_at: float = 0.0
    forgotten: bool = False
    awaited: bool = True


@define(eq=False)
class _Pool:
    """The places for commands of one length.

    Args:
        name: `SHORT` or `LONG`, for metrics.
        places: The limit of commands that run at the same time.
        queue: The tasks that wait, in the order of asking. A task is either here, or in `running`,
            or has ended.
        running: The tasks that run, with their deadlines. Never more than `threads`.
        threads: How many threads take tasks from the queue, `places` at most. A thread ends when
            the queue is empty.
    """

    name: str
    places: int
    queue: dict[_Task, None] = field(factory=dict)
    running: dict[_Task, Deadline] = field(factory=dict)
    threads: int = 0


def _enqueue_nothing(_request: Request) -> None:
    """Do nothing. The default until the controller is made."""


class Commands:
    """Runs the commands of one controller. A runnable, safe to share between threads.

    It stops with the controllers, before the lease is released.

    Args:
        name: The name in logs and probes, and of its threads.
        executor: Runs one command. Its fence must be that of the client that writes.
        clock: The time.
        metrics: Counts the commands.
        enqueue: See the attribute. Default: nothing is enqueued.
        max_short: Short commands at the same time. Default: 16.
        max_long: Long commands at the same time. Default: 64.
        spawn: Calls a function on a thread of its own. Default: on a daemon thread. In tests it
            keeps the function, to be called later.
    """

    def __init__(
        self,
        name: str,
        executor: Executor,
        *,
        clock: Clock,
        metrics: Metrics,
        enqueue: Callable[[Request], None] = _enqueue_nothing,
        max_short: int = MAX_SHORT,
        max_long: int = MAX_LONG,
        spawn: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        #: Its name in logs and probes.
        self.name = name
        #: Called with the request of each command that has ended, as `Controller.enqueue`. If the
        #: controller is made later than this, set it before the first command.
        self.enqueue = enqueue
        self._executor = executor
        self._clock = clock
        self._metrics = metrics
        self._spawn = spawn or self._start_thread
        # The stop in the deadline of each command.
        self._stop = Stop()
        # Guards the fields below.
        self._lock = threading.Lock()
        # Notified when a thread ends.
        self._thread_ended = threading.Condition(self._lock)
        # The tasks by request and slot. A request without a task has no entry.
        self._tasks: dict[Request, dict[Hashable, _Task]] = {}
        # Those of them that have ended and whose outcome expires, in the order of their ends.
        self._expiring: dict[_Task, None] = {}
        self._pools = (_Pool(SHORT, max_short), _Pool(LONG, max_long))
        # Whether the stop was set. Nothing is queued then.
        self._stopping = False

    def ensure(self, request: Request, slot: Hashable, command: Command) -> ExecResult | None:
        """Return the result of a command. Start the command if it is not in its slot.

        The result is returned once: the next call starts the command anew. A slot runs one command
        at a time. While another command runs in the slot, this returns None, and the result of the
        other one is dropped. Its end enqueues the request, and the next call starts `command`. The
        same holds of a command that was forgotten and still runs, be it equal to `command`.

        Args:
            request: The object. The end of the command enqueues it.
            slot: What the command is for, among those of the object.
            command: The command.

        Returns:
            The result, whatever the exit code. None while the command is queued or running, and
            after the stop was set.

        Raises:
            ApiError: The server refused, or the container or the program does not exist.
            TransportError: The connection failed. The command may have run.
            DeadlineExceeded: The command did not end in its time.
            Stopped: The stop has cut it.
            NotLeading: The fence is closed.
        """
        needs_thread = False
        pool = self._pool_of(command)
        with self._lock:
            self._drop_expired()
            task = self._tasks.get(request, {}).get(slot)
            if task is not None and (task.forgotten or task.command != command):
                if self._is_running(task):
                    task.awaited = True
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

    def withdraw(self, request: Request, slot: Hashable) -> bool:
        """Remove a command from the queue.

        Returns:
            Whether it was there, and so never starts. False if it runs, has ended, or was never
            asked for.
        """
        with self._lock:
            task = self._tasks.get(request, {}).get(slot)
            queued = task is not None and task in self._pool_of(task.command).queue
            if task is not None and queued:
                self._discard(task)
        return queued

    def forget(self, request: Request, *slots: Hashable) -> None:
        """Drop the commands of an object that is gone, or those that nobody asks for any more.

        Those that are queued never start. Those that run go on, each in its slot, and their ends
        enqueue nothing unless the slot is asked for again: by another object of the same name, for
        example. Such an object need not wait if the slot has the uid.

        Args:
            request: The object.
            slots: Which of its commands. Default: all.
        """
        with self._lock:
            for slot, task in list(self._tasks.get(request, {}).items()):
                if slots and slot not in slots:
                    continue
                if self._is_running(task):
                    task.forgotten, task.awaited = True, False
                else:
                    self._discard(task)

    def check_alive(self) -> None:
        """Return if no command hangs. A check of the liveness probe.

        Raises:
            CheckFailed: A command has run for `HUNG_SECONDS` beyond its deadline.
        """
        now = self._clock.monotonic()
        with self._lock:
            running = [item for pool in self._pools for item in pool.running.items()]
        for task, deadline in running:
            late = now - deadline.at
            if late > HUNG_SECONDS:
                raise CheckFailed(HUNG.format(name=self.name, command=task.command, late=late))

    def run(self, stop: Stop) -> None:
        """Wait for the stop, then cut the commands that run. Return when all have ended.

        Args:
            stop: Ends this. Commands that are queued when it is set never start.
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
            # The system has no thread left. The next reconcile asks again.
            with self._lock:
                pool.threads -= 1
                # Another thread may have taken it from the queue meanwhile.
                if task in pool.queue:
                    self._discard(task)
            raise

    def _start_thread(self, work: Callable[[], None]) -> None:
        # A daemon: a thread that does not end must not keep the process.
        threading.Thread(target=work, name=self.name, daemon=True).start()

    def _work(self, pool: _Pool) -> None:
        for task, deadline in self._queued(pool):
            outcome = self._run(pool, task.command, deadline, task.request)
            with self._lock:
                del pool.running[task]
                task.outcome, task.ended_at = outcome, self._clock.monotonic()
                if task.forgotten:
                    self._discard(task)
                elif not task.command.kept:
                    self._expiring[task] = None
                awaited = task.awaited
            if awaited:
                self.enqueue(task.request)

    def _queued(self, pool: _Pool) -> Iterator[tuple[_Task, Deadline]]:
        """Yield the tasks of the queue with their deadlines, until it is empty."""
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
        """Run a command, and return its result or its error."""
        labels = {"kind": command.kind, "pool": pool.name}
        for cause in CAUSES:
            # The series must exist before the first failure, or a rate over them misses it.
            self._metrics.pod_command_failures_total.labels(**labels, cause=cause)
        started = self._clock.monotonic()
        outcome: ExecResult | Exception
        with (
            # A thread starts without a logging context.
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
            except Exception as error:  # noqa: BLE001 - `ensure` raises it
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

    def _is_running(self, task: _Task) -> bool:
        return task in self._pool_of(task.command).running

    def _discard(self, task: _Task) -> None:
        """Remove a task from the queue and its slot. It does not run. The caller holds the lock."""
        self._pool_of(task.command).queue.pop(task, None)
        self._expiring.pop(task, None)
        tasks = self._tasks.get(task.request, {})
        if tasks.get(task.slot) is task:
            del tasks[task.slot]
            if not tasks:
                del self._tasks[task.request]

    def _drop_expired(self) -> None:
        """Drop the outcomes that are too old. The caller holds the lock."""
        oldest = self._clock.monotonic() - OUTCOME_SECONDS
        while self._expiring and (task := next(iter(self._expiring))).ended_at <= oldest:
            self._discard(task)


def _cause_of_failure(outcome: ExecResult | Exception) -> str:
    """Return the value of the label `cause`; "" if the command has succeeded."""
    if not isinstance(outcome, Exception):
        return _EXIT_CODE if outcome.exit_code else ""
    return next(cause for type_, cause in _CAUSES_OF_ERRORS if isinstance(outcome, type_))
