"""What came of the runs of a CronJob that maintains a repository, as pure functions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.conditions import conditions_of, is_true
from reconcilers.kopia import failures
from reconcilers.repositoryserver.api import MAINTENANCE_FAILED, MAINTENANCE_SUCCEEDED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

NOT_OWNER: Final = (
    "the maintenance of the repository is owned by {owner}; set spec.repository.maintenance.owner "
    "to it, or change the owner with `kopia maintenance set --owner`"
)
FAILED_AT: Final = "the maintenance of the repository failed at {when}: {message}"
UNKNOWN_CAUSE: Final = "its pod left no message; `kubectl describe job {job}` may say why"

#: Kopia 0.23.1, repo/maintenance/maintenance_run.go (NotOwnedError).
_NOT_OWNED: Final = re.compile(r"maintenance must be run by designated user: (\S+)")


@frozen
class Run:
    """A run that has ended.

    Args:
        ended: When, as Kubernetes writes times.
        result: `MAINTENANCE_SUCCEEDED` or `MAINTENANCE_FAILED`.
        job: Name of its Job.
        uid: Uid of its Job.
        cause: What the Job says of a failure.
    """

    ended: str
    result: str
    job: str
    uid: str
    cause: str = ""


def last(jobs: Iterable[Mapping[str, Any]]) -> Run | None:
    """Return the run that ended last; None if none has.

    Args:
        jobs: Jobs of the CronJob.
    """
    ended = (run for job in jobs if (run := _run(job)) is not None)
    return max(ended, key=lambda run: run.ended, default=None)


def _run(job: Mapping[str, Any]) -> Run | None:
    metadata, conditions = job["metadata"], conditions_of(job)
    if is_true(conditions, "Complete"):
        ended = job["status"].get("completionTime", "")
        return Run(ended, MAINTENANCE_SUCCEEDED, metadata["name"], metadata["uid"])
    for condition in conditions:
        if (condition["type"], condition["status"]) == ("Failed", "True"):
            ended = condition.get("lastTransitionTime", "")
            cause = condition.get("message", "")
            return Run(ended, MAINTENANCE_FAILED, metadata["name"], metadata["uid"], cause)
    return None


def message(run: Run, pods: Sequence[Mapping[str, Any]], setting: failures.Setting) -> str:
    """Return why a run has failed; empty if it has not.

    Args:
        run: The run.
        pods: Pods of its Job.
        setting: What messages about Kopia name.
    """
    if run.result == MAINTENANCE_SUCCEEDED:
        return ""
    ends = [end for pod in pods if (end := _end(pod)) is not None]
    if not ends:
        return run.cause or UNKNOWN_CAUSE.format(job=run.job)
    end = max(ends, key=lambda one: str(one.get("finishedAt", "")))
    output = end.get("message", "")
    if not_owned := _NOT_OWNED.search(output):
        return NOT_OWNER.format(owner=not_owned.group(1))
    out_of_memory = end.get("reason") == "OOMKilled"
    return failures.explain(
        output, end.get("exitCode", 0), setting, out_of_memory=out_of_memory
    ).message


def _end(pod: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        terminated: Mapping[str, Any] | None = (status.get("state") or {}).get("terminated")
        if terminated is not None:
            return terminated
    return None


def status_of(known: Mapping[str, Any], run: Run | None, message_: str) -> dict[str, Any]:
    """Return `status.maintenance` after a run.

    Args:
        known: The same as it is now.
        run: The run that ended last; None if none is there any more.
        message_: Why it has failed; empty if it has not.
    """
    # Jobs are deleted in time, and what is reported of them stays.
    if run is None or run.ended <= known.get("lastRunTime", ""):
        return dict(known)
    succeeded = {"lastSuccessTime": run.ended} if run.result == MAINTENANCE_SUCCEEDED else {}
    return {
        **known,
        "lastRunTime": run.ended,
        "result": run.result,
        "message": message_,
        **succeeded,
    }


def warning(status: Mapping[str, Any]) -> str:
    """Return what to say of the last run; empty if it has not failed, or there was none.

    Args:
        status: What `status_of` returned.
    """
    if status.get("result") != MAINTENANCE_FAILED:
        return ""
    return FAILED_AT.format(when=status["lastRunTime"], message=status["message"])
