"""Commands of phases in containers, each run at most once.

`controller.commands` runs a command anew once its result was taken. A command of a Blueprint must
not run twice: a reconcile that has its result may fail to store it, and comes back. So a result is
kept here until some time after it was last asked for.

A phase that this process does not know was begun by another one, whose commands ended with it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, TypeAlias

import structlog
from attrs import define, field, frozen

from controller.clock import DeadlineExceeded
from controller.commands import Command
from controller.errors import (
    ApiError,
    ClientError,
    Forbidden,
    ServerUnavailable,
    TooManyRequests,
    TransportError,
)
from reconcilers.actionset.functions import shellscript
from reconcilers.actionset.functions.lifeline import Lifeline
from reconcilers.actionset.phases.outputs import Collector

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.commands import Commands
    from controller.reconcile import Request
    from controller.rest.podexec import ExecResult
    from reconcilers.actionset.functions.prepared import Key
    from reconcilers.actionset.phases.outputs import Printed

#: Seconds for which the results of a phase are kept after they were last asked for.
KEPT_SECONDS: Final = 3600.0
#: Seconds that a command has to end after it was told to.
END_SECONDS: Final = 30.0

#: The kind of the commands, in metrics.
KIND: Final = "phase"

#: Why it is not known what became of a command.
CONNECTION_LOST: Final = "the connection to the container was lost while the command ran"
OUT_OF_TIME: Final = "the command did not end in {seconds:.0f} s"
BROKEN: Final = "actionset-controller failed while the command ran ({error}); see its log"
#: Why a command was not run.
WITHDRAWN: Final = "it was cancelled before it had begun"

_log = structlog.get_logger()


@frozen
class Where:
    """A container.

    Args:
        namespace: Of its pod.
        pod: The pod.
        container: The container; empty for the only one.
    """

    namespace: str
    pod: str
    container: str

    def __str__(self) -> str:
        """Return it as messages name it."""
        of = f"container {self.container} of " if self.container else ""
        return f"{of}pod {self.namespace}/{self.pod}"


@frozen
class Work:
    """The commands of a phase: one, in each of some containers.

    Args:
        argv: Program and arguments.
        places: The containers.
        seconds: How long it may take in each.
        shell: Whether it goes by way of a shell. Without, it is in the URL of a request, and
            nothing ends it in the container but itself.
    """

    # Once rendered it may hold a secret.
    argv: tuple[str, ...] = field(repr=False)
    places: tuple[Where, ...]
    seconds: float
    shell: bool


@frozen
class Ended:
    """A command that has run to its end.

    Args:
        exit_code: Its exit code.
        printed: What it has printed to standard output.
        errors: The end of its standard error.
    """

    exit_code: int
    printed: Printed = field(repr=False)
    errors: bytes = field(repr=False)


@frozen
class NotRun:
    """A command that was certainly not run.

    Args:
        why: Why, in the words of the API server or the container's runtime.
        no_shell: Whether the container has no shell. Default: False.
    """

    why: str
    no_shell: bool = False


@frozen
class Unknown:
    """A command that may have run, or half of it.

    Args:
        why: Why nothing is known.
    """

    why: str


Outcome: TypeAlias = Ended | NotRun | Unknown


@define(eq=False)
class _Execution:
    """A command that was begun.

    Args:
        request: The ActionSet that its end wakes.
        command: What is run.
        lifeline: Ends it; None if nothing does.
        collector: Gets what it prints.
        outcome: What came of it; None until it has ended.
    """

    request: Request
    command: Command
    lifeline: Lifeline | None
    collector: Collector
    outcome: Outcome | None = None

    @property
    def runs(self) -> bool:
        """Whether it is queued or runs."""
        return self.outcome is None

    def end(self) -> None:
        """End it if it runs, and the thread that sends its input."""
        if self.lifeline is not None:
            self.lifeline.end()


@define(eq=False)
class _Phase:
    """A phase that this process knows.

    Args:
        work: Its commands.
        attempt: Which attempt this is, as the caller counts.
        not_before: When they may begin, in monotonic seconds.
        asked_at: When it was last asked for, in monotonic seconds.
        begun: Those that were begun.
        ended_at: When they were told to end, in monotonic seconds; None if they were not.
    """

    work: Work
    attempt: int
    not_before: float
    asked_at: float
    begun: dict[Where, _Execution] = field(factory=dict)
    ended_at: float | None = None

    @property
    def running(self) -> list[_Execution]:
        """Those that are queued or run."""
        return [one for one in self.begun.values() if one.runs]


class Executions:
    """Runs the commands of phases beside the workers. Safe to share between threads.

    Args:
        commands: Runs them.
        clock: The time.
        limit: How many of one phase run at the same time.
    """

    def __init__(self, commands: Commands, *, clock: Clock, limit: int) -> None:
        self._commands = commands
        self._clock = clock
        self._limit = limit
        # Guards the dictionary. What is in it is one request's, which one worker reconciles.
        self._lock = threading.Lock()
        self._phases: dict[Key, _Phase] = {}

    def is_known(self, key: Key) -> bool:
        """Return whether this process has admitted a phase."""
        with self._lock:
            return key in self._phases

    def admit(self, key: Key, work: Work, *, attempt: int = 1, pause: float = 0.0) -> None:
        """Admit a phase, which must not be known.

        Call it before the phase's memo is stored. Who then finds the memo, and not the phase, knows
        that another process may have begun it.

        Args:
            key: The phase.
            work: Its commands.
            attempt: Which attempt this is; `attempt` returns it. Default: the first.
            pause: Seconds until they may begin.
        """
        now = self._clock.monotonic()
        with self._lock:
            self._drop_old(now)
            self._phases[key] = _Phase(work, attempt, now + pause, now)

    def forget(self, key: Key) -> None:
        """Forget a phase, whose commands have ended."""
        with self._lock:
            self._phases.pop(key, None)

    def places(self, key: Key) -> tuple[Where, ...]:
        """Return the containers of a phase that was admitted."""
        return self._phase(key).work.places

    def attempt(self, key: Key) -> int:
        """Return which attempt of a phase was admitted."""
        return self._phase(key).attempt

    def is_running(self, key: Key) -> bool:
        """Return whether a command of a phase is queued or runs."""
        return self.is_known(key) and bool(self._phase(key).running)

    def seconds_to_begin(self, key: Key) -> float:
        """Return the seconds until the commands of a phase may begin, 0 if they may."""
        return max(0.0, self._phase(key).not_before - self._clock.monotonic())

    def advance(self, request: Request, key: Key) -> dict[Where, Outcome]:
        """Begin what may run now, and return what came of the commands that have ended.

        Args:
            request: The ActionSet, which is woken at the end of each.
            key: The phase.

        Raises:
            ClientError: A command could not be begun; the next call tries again.
        """
        phase = self._phase(key)
        phase.asked_at = self._clock.monotonic()
        for where in phase.work.places:
            if where not in phase.begun:
                if len(phase.running) >= self._limit:
                    continue
                phase.begun[where] = self._prepared(request, phase.work, where)
            execution = phase.begun[where]
            if execution.runs:
                try:
                    execution.outcome = self._take(key, where, execution)
                except ClientError:
                    execution.end()
                    del phase.begun[where]
                    raise
            if not execution.runs:
                execution.end()
        found = ((where, phase.begun.get(where)) for where in phase.work.places)
        return {
            where: one.outcome
            for where, one in found
            if one is not None and one.outcome is not None
        }

    def end(self, key: Key) -> bool:
        """End the commands of a phase, and begin no more of them: those that are queued never run.

        Returns:
            Whether none runs any more, or they have had the time to end.
        """
        if not self.is_known(key):
            return True
        phase = self._phase(key)
        now = self._clock.monotonic()
        if phase.ended_at is None:
            phase.ended_at = now
        for where, execution in phase.begun.items():
            execution.end()
            if execution.runs and self._commands.withdraw(execution.request, (key, where)):
                execution.outcome = NotRun(WITHDRAWN)
            elif execution.runs:
                execution.outcome = self._take(key, where, execution)
        return not phase.running or now - phase.ended_at >= END_SECONDS

    def _phase(self, key: Key) -> _Phase:
        with self._lock:
            return self._phases[key]

    def _prepared(self, request: Request, work: Work, where: Where) -> _Execution:
        lifeline = Lifeline(shellscript.head(work.argv), clock=self._clock) if work.shell else None
        collector = Collector()
        command = Command(
            kind=KIND,
            namespace=where.namespace,
            pod=where.pod,
            container=where.container,
            argv=shellscript.ARGV if work.shell else work.argv,
            seconds=work.seconds,
            stdin=lifeline or b"",
            long=True,
            on_stdout=collector.feed,
            bounded=False,
            kept=True,
        )
        return _Execution(request, command, lifeline, collector)

    def _take(self, key: Key, where: Where, execution: _Execution) -> Outcome | None:
        """Return what came of a command, None while it is queued or runs.

        Raises:
            ClientError: It was certainly not run, and may be.
        """
        command = execution.command
        try:
            result = self._commands.ensure(execution.request, (key, where), command)
        except DeadlineExceeded:
            return Unknown(OUT_OF_TIME.format(seconds=command.seconds))
        except ClientError as error:
            if _may_try_again(error):
                raise
            return _of_error(error)
        except Exception as error:  # noqa: BLE001 - a bug, and perhaps the command has run
            _log.exception("a command of a phase failed", where=str(where))
            return Unknown(BROKEN.format(error=type(error).__name__))
        return None if result is None else _of_result(result, execution.collector)

    def _drop_old(self, now: float) -> None:
        """Drop the phases that nobody has asked for in a long time. The lock is held."""
        for key, phase in list(self._phases.items()):
            kept = KEPT_SECONDS + (phase.work.seconds if phase.running else 0.0)
            if now - phase.asked_at > kept:
                for where, execution in phase.begun.items():
                    execution.end()
                    self._commands.forget(execution.request, (key, where))
                del self._phases[key]


def _of_result(result: ExecResult, collector: Collector) -> Outcome:
    said = result.stderr.decode(errors="replace")
    if result.exit_code in shellscript.EXITS_UNSTARTED and shellscript.is_shell_missing(said):
        return NotRun(said.strip(), no_shell=True)
    return Ended(result.exit_code, collector.end(), result.stderr)


def _may_try_again(error: ClientError) -> bool:
    """Return whether nothing has run, and another try may fare better."""
    refused = isinstance(error, TransportError) and error.refused
    # The engine says which right is missing, and waits for somebody to give it.
    return refused or isinstance(error, TooManyRequests | Forbidden)


def _of_error(error: ClientError) -> Outcome:
    message = error.message if isinstance(error, ApiError) else str(error)
    if isinstance(error, ApiError) and shellscript.is_shell_missing(message):
        return NotRun(message, no_shell=True)
    if isinstance(error, ApiError) and not isinstance(error, ServerUnavailable):
        return NotRun(message)
    return Unknown(CONNECTION_LOST)
