"""A data function in the workload's own container, for data that no other pod can see.

The container must have the program `repository-server-functions` and Kopia. A command in a
container cannot be found again by a later process: then its outcome is unknown. All that the
program is told goes over its standard input: an exec's command stands in the request's URL.
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import TYPE_CHECKING, Final

from attrs import define, field, frozen
from cachetools import LRUCache

from controller.clock import DeadlineExceeded
from controller.command import Command
from controller.errors import ApiError, Forbidden, NotLeading, Stopped, TransportError
from reconcilers.actionset.function import OUTCOME_UNKNOWN, Complete, Failed, Running, Step
from reconcilers.actionset.phases.judge import MAX_ATTEMPTS
from reconcilers.actionset.phases.outputs import Collector
from reconcilers.actionset.placement import command
from reconcilers.datafunctions.connect.wanted import PASSWORD_VARIABLE

if TYPE_CHECKING:
    from controller.rest.podexec import ExecResult
    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.functions.dataplaces import Inside
    from reconcilers.actionset.functions.serverconnection import ServerAccess
    from reconcilers.actionset.services import Services

#: Seconds for which it may run.
SECONDS: Final = 86400.0
#: Steps that are remembered: of phases whose end is not stored yet, in as many ActionSets.
REMEMBERED: Final = 1024

#: In the memo: which process runs it, and how often it was begun.
MEMO: Final = "inside"
BEGUN: Final = "begun"
KIND: Final = "data_function"

NEEDED: Final = (
    "{why}, so that no other pod can back it up, and container {container} of pod {pod} cannot do "
    "it either: it has no program repository-server-functions with Kopia. Put the data on a claim, "
    "or use an image that has both (they are in this controller's image)"
)
EXITED: Final = (
    "{program} in container {container} of pod {pod} has ended with exit code {code}: {last}"
)
REFUSED: Final = "container {container} of pod {pod} has not run it: {reason}"
RESTARTED: Final = "the controller was restarted while it ran in a container"
CUT: Final = "the connection to the container was cut while it ran: {reason}"
WITHDRAWN: Final = "cancelled before it had begun"
LEFT: Final = "it was given up, and may go on in the container"

#: Of `timeout`, and of a shell: the program is not there.
_NOT_FOUND: Final = 127
_NOT_FOUND_WORDS: Final = ("executable file not found", "no such file or directory")


@frozen
class _Key:
    """One command of one phase."""

    uid: str
    action: int
    phase: str
    part: str


@define
class _Begun:
    """A command that this process has begun.

    Args:
        plan: Where.
        command: The command, which has a password; None once it has ended.
        step: What came of it; None while it runs.
    """

    plan: Inside
    command: Command | None
    step: Step | None = None


@define
class InsidePod:
    """Runs data functions in containers of the workload. Safe to share between threads.

    Args:
        services: What it works with.
    """

    services: Services
    # Tells the commands of this process from those of another one.
    _process: str = field(init=False, factory=lambda: secrets.token_hex(8))
    _begun: LRUCache[_Key, _Begun] = field(init=False, factory=lambda: LRUCache(REMEMBERED))
    _lock: threading.Lock = field(init=False, factory=threading.Lock)

    def is_begun(self, run: PhaseRun) -> bool:
        """Return whether a phase, or a part of it, runs in a container."""
        return MEMO in run.memo

    def begin(self, run: PhaseRun, plan: Inside, access: ServerAccess, part: str = "") -> Step:
        """Prepare the command. The next call of `advance` starts it.

        Args:
            run: The phase.
            plan: Where it runs, and what.
            access: How it connects.
            part: Which part of the phase. Default: it has one.
        """
        told = {
            "arguments": [*plan.arguments, *_connection(access)],
            "environment": {PASSWORD_VARIABLE: access.password},
        }
        prepared = Command(
            kind=KIND,
            namespace=plan.namespace,
            pod=plan.pod,
            container=plan.container,
            argv=(command.PROGRAM, command.FROM_STDIN),
            seconds=SECONDS,
            stdin=json.dumps(told).encode() + b"\n",
            long=True,
            # Dropped after a while, its outcome would have it run a second time.
            kept=True,
        )
        with self._lock:
            self._begun[_key(run, part)] = _Begun(plan, prepared)
        return Running(memo={MEMO: self._process, BEGUN: run.memo.get(BEGUN, 0) + 1})

    def advance(self, run: PhaseRun, part: str = "") -> Step:
        """Start the command, or look whether it has ended.

        Args:
            run: The phase.
            part: As for `begin`.

        Raises:
            Forbidden: The controller may not run commands there.
        """
        key = _key(run, part)
        with self._lock:
            begun = self._begun.get(key)
        if begun is None or run.memo[MEMO] != self._process:
            times = run.memo.get(BEGUN, 1)
            if run.repeatable and times < MAX_ATTEMPTS:
                return Running(memo={BEGUN: times})
            return Failed(OUTCOME_UNKNOWN.format(why=RESTARTED))
        # Its end may have come and not be stored: a second call must not start it again.
        if begun.command is not None:
            begun.step = self._step(run, key, begun.plan, begun.command)
        if begun.step is None:
            return Running()
        begun.command = None
        return begun.step

    def cancel(self, run: PhaseRun, part: str = "") -> Step:
        """Fail the phase of the command. One that is queued never runs; nothing ends one that runs.

        Args:
            run: The phase.
            part: As for `begin`.
        """
        key = _key(run, part)
        with self._lock:
            self._begun.pop(key, None)
        if self.services.commands.withdraw(run.request, key):
            return Failed(WITHDRAWN)
        self.services.commands.forget(run.request, key)
        return Failed(OUTCOME_UNKNOWN.format(why=LEFT))

    def _step(self, run: PhaseRun, key: _Key, plan: Inside, prepared: Command) -> Step | None:
        words = {"container": plan.container, "pod": plan.pod}
        try:
            result = self.services.commands.ensure(run.request, key, prepared)
        except (Forbidden, NotLeading):
            raise
        except ApiError as error:
            if _is_not_found(str(error)):
                return Failed(NEEDED.format(why=plan.why, **words))
            return Failed(REFUSED.format(reason=error, **words))
        except (TransportError, DeadlineExceeded, Stopped) as error:
            return Failed(OUTCOME_UNKNOWN.format(why=CUT.format(reason=error)))
        return None if result is None else _ended(result, plan)


def _ended(result: ExecResult, plan: Inside) -> Step:
    words = {"container": plan.container, "pod": plan.pod}
    collector = Collector()
    collector.feed(result.stdout)
    printed = collector.end()
    if not result.exit_code:
        return Failed(printed.problem) if printed.problem else Complete(dict(printed.outputs))
    errors = result.stderr.decode(errors="replace")
    if result.exit_code == _NOT_FOUND or _is_not_found(errors):
        return Failed(NEEDED.format(why=plan.why, **words))
    last = next((line for line in reversed(errors.splitlines()) if line.strip()), "")
    message = EXITED.format(program=command.PROGRAM, code=result.exit_code, last=last, **words)
    return Failed(message, dict(printed.outputs) or None)


def _is_not_found(text: str) -> bool:
    return any(words in text.lower() for words in _NOT_FOUND_WORDS)


def _connection(access: ServerAccess) -> tuple[str, ...]:
    return (
        f"--url={access.url}",
        f"--fingerprint={access.fingerprint}",
        f"--username={access.username}",
        f"--hostname={access.hostname}",
    )


def _key(run: PhaseRun, part: str) -> _Key:
    return _Key(run.uid, run.action.index, run.phase, part)
