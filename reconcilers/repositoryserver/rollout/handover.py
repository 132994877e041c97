"""A claim that only one node can mount goes from one revision to the next: pure functions.

The previous revision has no pod meanwhile. Where the new one does not come up within a minute it
gets its pod back, and the new one waits before it tries again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from controller.conditions import conditions_of, get_condition
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import plan, podstatus
from reconcilers.repositoryserver.verdict import (
    REASON_POD_PENDING,
    SERVER_SETUP,
    Problem,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from reconcilers.repositoryserver.rollout.revisions import Revision

#: Seconds for which clients reach nobody while the update revision comes up with the claim.
GIVE_BACK_SECONDS: Final = 60.0
#: Seconds until a revision that has not come up with the claim tries again. Each try is an outage.
TRY_AGAIN_SECONDS: Final = 600.0


REASON_NOT_READY: Final = "ReplacementNotReady"
NOT_READY: Final = (
    "the pod of ReplicaSet {name} has not become Ready within {seconds:.0f} s of getting the "
    "claim, which only one node can mount, so the previous one has it again; another try is made "
    "every {minutes:.0f} minutes, and when something is changed"
)


WAITING_CLAIM: Final = (
    "pod {pod} waits for PersistentVolumeClaim {claim}, which pod {holder} has and gives up after "
    "{seconds:.0f} s"
)
# kube-scheduler, plugin volumerestrictions.
_ONE_POD: Final = "ReadWriteOncePod"


def waits_for_previous(
    update: Mapping[str, Any] | None, pods: Iterable[Mapping[str, Any]], claim: str
) -> Waiting | None:
    """Return the wait of the update revision's pod for a claim that only one pod can mount.

    It has no node until the other pod has gone, which the router sees to.

    Args:
        update: That pod; None while there is none.
        pods: The pods of the server.
        claim: Name of the claim.

    Returns:
        The wait; None if it waits for something else, or no other pod of the server is left.
    """
    if update is None or not _waits_for_claim(update):
        return None
    live = (pod for pod in pods if pod.get("status", {}).get("phase") not in podstatus.ENDED_PHASES)
    holder = next((pod for pod in live if not _waits_for_claim(pod)), None)
    if holder is None:
        return None
    message = WAITING_CLAIM.format(
        pod=update["metadata"]["name"],
        claim=claim,
        holder=holder["metadata"]["name"],
        seconds=plan.IN_PLACE_AFTER_SECONDS,
    )
    return Waiting(SERVER_SETUP, REASON_POD_PENDING, message)


def _waits_for_claim(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod has no node because another one has its claim."""
    scheduled = get_condition(conditions_of(pod), "PodScheduled") or {}
    return scheduled.get("status") == "False" and _ONE_POD in scheduled.get("message", "")


def not_ready(revision: Revision) -> Problem:
    """Return the fault of a revision that has not come up with the claim.

    Args:
        revision: The revision.
    """
    message = NOT_READY.format(
        name=revision.name, seconds=GIVE_BACK_SECONDS, minutes=TRY_AGAIN_SECONDS / 60
    )
    return Problem(SERVER_SETUP, REASON_NOT_READY, message)


def yielded(revisions: Iterable[Revision], update: str) -> Revision | None:
    """Return the revision that has given up its pod for the update revision; None if none has.

    Args:
        revisions: Those of a server.
        update: Hash of the update revision.
    """
    found = (
        one
        for one in revisions
        if one.hash != update and not one.is_kept and one.time(names.ANNOTATION_YIELDED)
    )
    return next(found, None)


def seconds_left(previous: Revision, others: Iterable[Revision], now: datetime) -> float:
    """Return the seconds that those which may have the claim now have to come up.

    Args:
        previous: The revision that has given up its pod.
        others: Those that get a pod.
        now: The time.
    """
    since = previous.time(names.ANNOTATION_YIELDED)
    if since is None:
        return 0.0
    # One that has become the update revision meanwhile has its time as well.
    begun = max([since, *(one.created for one in others)])
    end = begun + timedelta(seconds=GIVE_BACK_SECONDS)
    # A clock that was set back makes nobody wait for longer.
    return min((end - now).total_seconds(), GIVE_BACK_SECONDS)


def seconds_until_next_try(update: Revision, now: datetime) -> float:
    """Return the seconds for which the update revision is to have no pod; 0 if it may have one."""
    since = update.time(names.ANNOTATION_GAVE_BACK)
    if since is None:
        return 0.0
    left = TRY_AGAIN_SECONDS - (now - since).total_seconds()
    return min(max(left, 0.0), TRY_AGAIN_SECONDS)
