"""What is to be made of the pod of a phase, as it is found. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.actionset.function import OUTCOME_UNKNOWN
from reconcilers.actionset.phases import ended
from reconcilers.actionset.phases.ended import Ended, Waiting
from reconcilers.actionset.phases.model import PodResult
from reconcilers.actionset.phases.podview import PodView
from reconcilers.actionset.phases.reading import Lost
from reconcilers.actionset.phases.timedlog import Log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reconcilers.actionset.function import PhaseRun
    from reconcilers.actionset.phases.memo import Memo

#: Pods that a phase which may run again gets at most.
MAX_ATTEMPTS: Final = 3

VANISHED: Final = OUTCOME_UNKNOWN.format(
    why="pod {pod} was made and is gone, with what it has put out; look whether it has done its "
    "work, and run the action again if it has not"
)
FOREIGN: Final = (
    "there is a pod {pod} already, which is none of this ActionSet; delete it and run the action "
    "again"
)
FOREIGN_DATA: Final = (
    "there is a Secret {secret} already, which is none of this ActionSet; delete it and run the "
    "action again"
)
ROTATED: Final = (
    "pod {pod} has done its work, but its node has thrown away the beginning of its log before it "
    "was read, and with it perhaps outputs; have it print less, or raise containerLogMaxSize of "
    "the kubelet"
)
LOG_LOST: Final = (
    "pod {pod} has done its work, but its log cannot be read, and its outputs are lost: {why}"
)
NO_OUTPUTS: Final = "pod {pod} has done its work, but {why}"


@frozen
class Found:
    """The pod of a phase, as it is found.

    Args:
        run: The phase.
        memo: What is known of its pod.
        pod: What the API server has under its name; None if that was confirmed to be nothing.
        now: The time.
        start_seconds: How long it may take to start.
    """

    run: PhaseRun
    memo: Memo
    pod: Mapping[str, Any] | None
    now: datetime
    start_seconds: float = ended.START_SECONDS

    @property
    def name(self) -> str:
        """The pod, as messages name it."""
        return f"{self.memo.namespace}/{self.memo.pod}"


def judge(found: Found) -> Waiting | Ended:
    """Return what the pod waits for, or how it has ended."""
    pod, memo = found.pod, found.memo
    if pod is None or pod["metadata"]["uid"] != memo.uid:
        return Ended(VANISHED.format(pod=found.name), disrupted=True)
    return ended.examine(PodView.of(pod), found.now, start_seconds=found.start_seconds)


def may_run_again(end: Ended, run: PhaseRun, memo: Memo) -> bool:
    """Return whether a phase gets another pod after the end of this one."""
    return end.disrupted and run.repeatable and memo.attempt + 1 < MAX_ATTEMPTS


def result_of(pod: str, main: str, end: Ended, log: Log | Lost | None) -> PodResult:
    """Return what came of a pod.

    Args:
        pod: The pod, as messages name it.
        main: Its main container.
        end: How it has ended.
        log: The log of the container that decided; None if there is none to be read.
    """
    printed = log.printed if isinstance(log, Log) else None
    if not end.succeeded:
        of_main = printed is not None and end.container == main
        return PodResult(
            printed.outputs if printed is not None and of_main else {},
            cause=end.cause,
            tail=() if printed is None else printed.tail,
            exit_code=end.exit_code,
        )
    if printed is None:
        why = log.why if isinstance(log, Lost) else ""
        return PodResult({}, problem=LOG_LOST.format(pod=pod, why=why), exit_code=end.exit_code)
    problem = ""
    if printed.problem:
        problem = NO_OUTPUTS.format(pod=pod, why=printed.problem)
    elif isinstance(log, Log) and log.rotated:
        problem = ROTATED.format(pod=pod)
    return PodResult(printed.outputs, problem=problem, exit_code=end.exit_code)
