"""KubeExec and KubeExecAll: run a command in containers that are there already.

No process can find out what became of a command that another one has begun. Such a phase fails,
unless the Blueprint says that it may run twice (Kanister pkg/function/kube_exec.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import frozen

from reconcilers.actionset import places
from reconcilers.actionset.api import ANNOTATION_PLAIN_EXEC, ANNOTATION_REPEATABLE
from reconcilers.actionset.function import OUTCOME_UNKNOWN, Complete, Failed, Running
from reconcilers.actionset.functions.executions import Ended, NotRun, Unknown, Where, Work
from reconcilers.actionset.functions.prepared import key_of
from reconcilers.actionset.phases.outputs import Collector
from reconcilers.datafunctions.arguments import Need, text, texts, words
from reconcilers.datafunctions.versions import DEFAULT_VERSION
from reconcilers.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.actionset.function import PhaseRun, Step
    from reconcilers.actionset.functions.executions import Executions, Outcome

#: Seconds that a command may take where the annotation sets no time: such a one is broken.
MAX_SECONDS: Final = 24 * 3600.0
#: Seconds beyond the time of the annotation, at which the engine ends the phase.
MARGIN_SECONDS: Final = 60.0
#: How often a phase that may run twice is run at most, whoever has lost it.
MAX_ATTEMPTS: Final = 3
#: Seconds in which a command ends whose connection is lost.
PAUSE_SECONDS: Final = 10.0
#: Seconds between two looks at commands that were told to end.
LOOK_SECONDS: Final = 1.0

REASON_COMMAND: Final = "InvalidCommand"
NO_PROGRAM: Final = "argument command begins with an empty text; set it to a program"
NUL: Final = "argument command has a NUL in it, which no argument of a program can; remove it"

RESTARTED: Final = "actionset-controller was restarted while the command ran in {where}"
ADVICE: Final = (
    "; find out what it has done, and set the annotation {annotation} if the phase may run twice"
)
EXITED: Final = "command terminated with exit code {code} in {where}"
LAST_LINES: Final = "; its last lines: {lines}"
NOT_RUN: Final = "the command was not run in {where}: {why}"
NO_SHELL: Final = (
    "the command was not run in {where}: it has no sh, which reads the command from its input, so"
    " that the audit log does not have it. Use an image with sh, or KubeTask; or set the annotation"
    ' {annotation}: "true", if the command has no secret'
)
BAD_OUTPUT: Final = "{where}: {problem}"
WAITS_FOR_ONE: Final = "its command"
WAITS_FOR_ALL: Final = "its command in {count} of {all} containers"
WAITS_FOR_EARLIER: Final = "its command of before to end"
CANCELLED: Final = "cancelled; its command was ended"
CANCELLED_LOST: Final = (
    "cancelled; its command was told to end, and the container has not answered: see whether it"
    " still runs"
)


@frozen
class Arguments:
    """Arguments of KubeExec."""

    namespace: str = text("namespace", "the namespace of the pod", need=Need.ALWAYS)
    pod: str = text("pod", "the pod", need=Need.ALWAYS)
    command: tuple[str, ...] = texts("command", "program and arguments", need=Need.ALWAYS)
    container: str = text("container", "the container, if the pod has several")

    def places(self) -> tuple[tuple[str, str], ...]:
        """Return pods and containers."""
        return ((self.pod, self.container),)


@frozen
class ArgumentsOfAll:
    """Arguments of KubeExecAll."""

    namespace: str = text("namespace", "the namespace of the pods", need=Need.ALWAYS)
    pods: tuple[str, ...] = words("pods", "the pods", need=Need.ALWAYS)
    containers: tuple[str, ...] = words(
        "containers", "the containers of each of them", need=Need.ALWAYS
    )
    command: tuple[str, ...] = texts("command", "program and arguments", need=Need.ALWAYS)

    def places(self) -> tuple[tuple[str, str], ...]:
        """Return pods and containers: each container in each pod, once."""
        pairs = ((pod, container) for pod in self.pods for container in self.containers)
        return tuple(dict.fromkeys(pairs))


class _Arguments(Protocol):
    @property
    def namespace(self) -> str: ...

    @property
    def command(self) -> tuple[str, ...]: ...

    def places(self) -> tuple[tuple[str, str], ...]: ...


@frozen(eq=False)
class KubeExec:
    """The function, both by its name and with arguments for several containers.

    Args:
        name: KubeExec or KubeExecAll.
        arguments: The class of its arguments.
        executions: Runs the commands.
    """

    name: str
    arguments: type[Any]
    executions: Executions

    version: Final = DEFAULT_VERSION
    unrendered: Final[frozenset[str]] = frozenset()

    def advance(self, run: PhaseRun, arguments: Callable[[], _Arguments]) -> Step:
        """Run the command, or look how far it is. See `Function.advance`."""
        key = key_of(run)
        if not self.executions.is_known(key):
            if run.memo and not _may_run_again(run):
                where = str(run.memo.get("where", ""))
                return Failed(_unknown(RESTARTED.format(where=where)))
            return self._admit(run, arguments)
        attempt = self.executions.attempt(key)
        if _attempt(run) != attempt:
            # What was admitted begins once the memo is stored.
            return Running(memo=_memo(self.executions.places(key), attempt))
        seconds = self.executions.seconds_to_begin(key)
        if seconds:
            return Running(waits_for=WAITS_FOR_EARLIER, again_after=seconds)
        return self._run(run, arguments)

    def _run(self, run: PhaseRun, arguments: Callable[[], _Arguments]) -> Step:
        """Begin what may run now of what was admitted, or look how far it is."""
        key = key_of(run)
        outcomes = self.executions.advance(run.request, key)
        wanted = self.executions.places(key)
        left = len(wanted) - len(outcomes)
        if left:
            several = WAITS_FOR_ALL.format(count=left, all=len(wanted))
            return Running(waits_for=several if len(wanted) > 1 else WAITS_FOR_ONE)
        lost = any(isinstance(one, Unknown) for one in outcomes.values())
        if lost and _may_run_again(run):
            self.executions.forget(key)
            return self._admit(run, arguments)
        return _step(outcomes)

    def cancel(self, run: PhaseRun) -> Step:
        """End the command. See `Function.cancel`."""
        key = key_of(run)
        if not self.executions.end(key):
            return Running(waits_for=WAITS_FOR_EARLIER, again_after=LOOK_SECONDS)
        return Failed(CANCELLED_LOST if self.executions.is_running(key) else CANCELLED)

    def so_far(self, run: PhaseRun) -> None:
        """Return None: it puts out nothing before its end."""

    def _admit(self, run: PhaseRun, arguments: Callable[[], _Arguments]) -> Running:
        """Admit the command once more, and return the memo to store before it begins."""
        key, attempt = key_of(run), _attempt(run) + 1
        pause = PAUSE_SECONDS if run.memo else 0.0
        self.executions.admit(key, _work(run, arguments()), attempt=attempt, pause=pause)
        return Running(memo=_memo(self.executions.places(key), attempt))


def kube_exec(executions: Executions) -> KubeExec:
    """Return KubeExec."""
    return KubeExec("KubeExec", Arguments, executions)


def kube_exec_all(executions: Executions) -> KubeExec:
    """Return KubeExecAll."""
    return KubeExec("KubeExecAll", ArgumentsOfAll, executions)


def _work(run: PhaseRun, given: _Arguments) -> Work:
    """Return the commands that the arguments ask for.

    Raises:
        InvalidInput: They cannot be run, or would run somewhere else.
    """
    places.check_namespace(run, given.namespace, argument="argument namespace")
    for pod, container in given.places():
        places.check_name(pod, argument="the name of a pod in the arguments")
        if container:
            places.check_name(container, argument="the name of a container in the arguments")
    if not given.command[0]:
        raise InvalidInput(REASON_COMMAND, NO_PROGRAM)
    if any("\0" in word for word in given.command):
        raise InvalidInput(REASON_COMMAND, NUL)
    annotations = run.action_set["metadata"].get("annotations") or {}
    return Work(
        argv=given.command,
        places=tuple(Where(given.namespace, *place) for place in given.places()),
        seconds=MAX_SECONDS if run.timeout is None else run.timeout + MARGIN_SECONDS,
        shell=annotations.get(ANNOTATION_PLAIN_EXEC) != "true",
    )


def _attempt(run: PhaseRun) -> int:
    """Return how often the command may have been begun, as the memo has it."""
    return int(run.memo.get("attempt", 0))


def _may_run_again(run: PhaseRun) -> bool:
    """Return whether a command that may have run may be run once more."""
    return run.repeatable and _attempt(run) < MAX_ATTEMPTS


def _memo(where: tuple[Where, ...], attempt: int) -> dict[str, Any]:
    """Return the memo: that the command may have been begun, and where."""
    named = str(where[0]) if len(where) == 1 else f"{len(where)} containers"
    return {"attempt": attempt, "where": named}


def _step(outcomes: Mapping[Where, Outcome]) -> Step:
    """Return what came of a phase all of whose commands have ended.

    The outputs are merged in the order of the containers; of one key the last counts.
    """
    outputs: dict[str, str] = {}
    failures: list[str] = []
    unknown = False
    for where, outcome in outcomes.items():
        failure = _failure(where, outcome)
        unknown |= isinstance(outcome, Unknown)
        if failure:
            failures.append(failure)
        elif isinstance(outcome, Ended):
            outputs |= outcome.printed.outputs
    if not failures:
        return Complete(outputs or None)
    message = "; ".join(failures)
    return Failed(_unknown(message) if unknown else message, outputs or None)


def _failure(where: Where, outcome: Outcome) -> str:
    """Return why a command has failed, the cause first; empty if it has not."""
    match outcome:
        case Unknown(why):
            return f"{where}: {why}"
        case NotRun(_, no_shell=True):
            return NO_SHELL.format(where=where, annotation=ANNOTATION_PLAIN_EXEC)
        case NotRun(why):
            return NOT_RUN.format(where=where, why=why)
        case Ended(0, printed):
            return (
                BAD_OUTPUT.format(where=where, problem=printed.problem) if printed.problem else ""
            )
        case Ended(code):
            lines = "\n".join(_last_lines(outcome))
            message = EXITED.format(code=code, where=where)
            return message + (LAST_LINES.format(lines=lines) if lines else "")


def _last_lines(ended: Ended) -> tuple[str, ...]:
    """Return the last lines of standard error, or of the output if there are none."""
    errors = Collector()
    errors.feed(ended.errors)
    return errors.end().tail or ended.printed.tail


def _unknown(why: str) -> str:
    return OUTCOME_UNKNOWN.format(why=why) + ADVICE.format(annotation=ANNOTATION_REPEATABLE)
