"""A fault that can pass by itself is a wait first, and a fault once it has lasted.

`kubectl replace --force` deletes a Secret and makes it again; `kubectl apply` makes an account
after the resource that names it; a claim is bound a moment after the scheduler has seen the pod; a
registry fails once. Nobody is to be woken by that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.repositoryserver import verdict
from reconcilers.repositoryserver.verdict import Problem, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: How long such a fault is a wait.
SECONDS: Final = 5.0

#: The reasons of such faults, with the reason that each has while it is a wait.
BRIEF: Final[Mapping[str, str]] = {
    "SecretMissing": verdict.REASON_WAITING_FOR_SECRET,
    "ServiceAccountMissing": verdict.REASON_POD_PENDING,
    "ClaimMissing": verdict.REASON_POD_PENDING,
    "PodUnschedulable": verdict.REASON_POD_PENDING,
    "QuotaExceeded": verdict.REASON_POD_PENDING,
    "ContainerNotCreated": verdict.REASON_POD_PENDING,
    "ImagePullFailed": verdict.REASON_IMAGE_PULLING,
}
#: Those that say nothing of what is in effect: a Secret that is gone has not changed yet.
_CHANGES_NOTHING: Final = frozenset({"SecretMissing"})


@frozen
class Judged:
    """What becomes of the verdicts of a reconcile.

    Args:
        verdicts: The verdicts, in their order, with waits in place of brief faults.
        since: When each of those faults was first seen, by step and reason, for the next reconcile.
        seconds: When the first of them is a fault; None if there is none.
    """

    verdicts: tuple[Problem | Waiting, ...]
    since: Mapping[tuple[str, str], float]
    seconds: float | None


def judge(
    verdicts: Sequence[Problem | Waiting],
    since: Mapping[tuple[str, str], float],
    *,
    reported: str,
    now: float,
) -> Judged:
    """Return the verdicts as they are to be reported.

    Args:
        verdicts: What the steps have found.
        since: As the reconcile before returned it; empty at first.
        reported: Reason of the condition Ready as it stands. A fault that it reports stays one,
            whatever this process remembers.
        now: Monotonic seconds.
    """
    seen = {
        (one.step, one.reason): since.get((one.step, one.reason), now)
        for one in verdicts
        if isinstance(one, Problem) and one.reason in BRIEF and one.reason != reported
    }
    left = {key: first + SECONDS - now for key, first in seen.items()}
    return Judged(
        verdicts=tuple(
            _wait(one) if left.get((one.step, one.reason), 0) > 0 else one for one in verdicts
        ),
        since=seen,
        seconds=min((seconds for seconds in left.values() if seconds > 0), default=None),
    )


def _wait(fault: Problem | Waiting) -> Waiting:
    keeps_ready = fault.reason in _CHANGES_NOTHING
    return Waiting(fault.step, BRIEF[fault.reason], fault.message, keeps_ready=keeps_ready)
