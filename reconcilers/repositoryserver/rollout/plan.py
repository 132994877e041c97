"""From one pod to the next: which pod is active, and which have had their time.

Pure functions. A pod that has served goes on serving, with the users that it has; a new one begins
to once it has those of now.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.conditions import conditions_of, get_condition, parse_time
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout import podstatus

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from reconcilers.repositoryserver.children.loaded import WrittenUsers

WHY_SUPERSEDED: Final = "another pod has replaced it"
WHY_DRAINED: Final = "its drain time is over"
WHY_ENDED: Final = "it has ended"
WHY_FAILED: Final = "it keeps failing, and another try is made"
WHY_IN_PLACE: Final = "only one node can mount its claim, and the new pod is on another node"

# Long enough for an image to be pulled and for a volume to be attached where nothing is wrong.
IN_PLACE_AFTER_SECONDS: Final = 60.0
# A claim with one of these and no other is mounted on one node at a time.
_ONE_NODE_MODES: Final = frozenset({"ReadWriteOnce", "ReadWriteOncePod"})

# kube-scheduler, plugins volumerestrictions and volumebinding.
_VOLUME_CONFLICT: Final = re.compile(r"ReadWriteOncePod|volume node affinity conflict")

# A pod on a lost node stays for as long as nobody confirms its end. This long after its time to end
# it counts as ended.
UNCONFIRMED_SECONDS: Final = 60.0

# What a time to drain that nobody can read counts as.
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@frozen
class RolloutState:
    """Where a server stands between two revisions.

    Args:
        update: Hash of the update revision, which the server should be; empty while that is not
            known.
        selected: Hash that the Service selects; empty if there is no Service.
        users: The users that a pod must have.
        kept: Hashes of the revisions that have a pod, or get one.
    """

    update: str
    selected: str
    users: WrittenUsers
    kept: frozenset[str] = frozenset()

    def active(self, pods: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Return the active pod, which the Service is to select; None if clients may reach none.

        Args:
            pods: The server's pods.
        """
        live = [pod for pod in pods if not is_over(pod)]
        live.sort(key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True)
        # A server that works is left only for a newer one that works; a broken one is left for
        # whatever works, for one that has drained as well, whose users may be of before. Where
        # nothing does, what had sessions may come back to them.
        for wanted in (
            lambda pod: podstatus.is_ready(pod) and self._is_update(pod) and self._has_users(pod),
            lambda pod: podstatus.is_ready(pod) and self._is_selected(pod),
            lambda pod: podstatus.is_ready(pod) and self._has_users(pod),
            lambda pod: podstatus.is_ready(pod) and drain_until(pod) is not None,
            self._is_selected,
            lambda pod: self._is_update(pod) and self._has_users(pod),
        ):
            found = next(filter(wanted, live), None)
            if found is not None:
                return found
        return None

    def split(
        self, pods: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """Return the pods that matter to the server, and the others.

        Args:
            pods: The server's pods.
        """
        active = self.active(pods)
        matter = [pod for pod in pods if pod is active or self._is_update(pod)]
        return matter, [pod for pod in pods if not (pod is active or self._is_update(pod))]

    def selects(self, active: Mapping[str, Any] | None, now: datetime) -> str:
        """Return the hash that the Service is to select.

        Args:
            active: What `active` returned.
            now: The time.
        """
        if active is not None:
            return names.hash_of(active)
        # Whoever deletes a pod, its ReplicaSet makes another one with its hash.
        if self.selected in self.kept:
            return self.selected
        # The endpoint then follows the kubelet without our help.
        if self.update in self.kept and self.users.have_settled(now):
            return self.update
        return names.NO_HASH

    def has_clients(self, pod: Mapping[str, Any]) -> bool:
        """Return whether the Service has let clients reach a pod until now."""
        # Somebody has deleted the Service: it may have selected any pod that works.
        unknown = not self.selected and podstatus.is_ready(pod) and drain_until(pod) is None
        return unknown or self._is_selected(pod)

    def _is_update(self, pod: Mapping[str, Any]) -> bool:
        return names.hash_of(pod) == self.update

    def _is_selected(self, pod: Mapping[str, Any]) -> bool:
        return names.hash_of(pod) == self.selected

    def _has_users(self, pod: Mapping[str, Any]) -> bool:
        """Return whether a pod has the users of now."""
        return self.users.exist() and self.users.are_loaded(pod)


@frozen
class Retirement:
    """What is to become of the pods that are no longer wanted.

    Args:
        drain: Pods whose time to drain begins.
        delete: Pods whose time is over, each with the reason.
        stay: Pods that are left to their sessions.
        wait: Seconds until the next one's time is over; None if none drains.
    """

    drain: tuple[Mapping[str, Any], ...]
    delete: tuple[tuple[Mapping[str, Any], str], ...]
    wait: float | None
    stay: tuple[Mapping[str, Any], ...] = ()


def retire(
    pods: Sequence[Mapping[str, Any]],
    legacy: Sequence[Mapping[str, Any]],
    state: RolloutState,
    active: Mapping[str, Any] | None,
    *,
    drain_seconds: int,
    now: datetime,
) -> Retirement:
    """Decide what becomes of the pods that are neither active nor of the update revision.

    Args:
        pods: The server's pods.
        legacy: Pods of the removed controller whose clients have a new server to go to.
        state: Where the server stands, before the Service moves.
        active: What `RolloutState.active` returned.
        drain_seconds: How long a pod that has served is left to its sessions.
        now: The time.
    """
    drain: list[Mapping[str, Any]] = []
    delete: list[tuple[Mapping[str, Any], str]] = []
    stays: list[Mapping[str, Any]] = []
    waits: list[float] = []
    stay = {state.update, "" if active is None else names.hash_of(active)}
    leaves = [pod for pod in pods if names.hash_of(pod) not in stay]
    for pod in [*leaves, *legacy]:
        if is_over(pod):
            continue
        until = drain_until(pod)
        left = None if until is None else (until - now).total_seconds()
        # Ignore a drain deadline of one of ours from before the Service selected it again.
        begins = left is None if pod in legacy else state.has_clients(pod)
        # By a clock that was set back, or a resource that allows less than before.
        has_too_long = left is not None and left > drain_seconds
        if begins or has_too_long:
            if drain_seconds:
                drain.append(pod)
                waits.append(float(drain_seconds))
            else:
                delete.append((pod, WHY_SUPERSEDED))
        elif left is not None:
            if left > 0:
                stays.append(pod)
                waits.append(left)
            else:
                delete.append((pod, WHY_DRAINED))
        elif state.update:
            delete.append((pod, WHY_SUPERSEDED))
    delete += [(pod, WHY_ENDED) for pod in _of_no_use([*pods, *legacy], state.update)]
    return Retirement(tuple(drain), tuple(delete), min(waits, default=None), (*drain, *stays))


def _of_no_use(pods: Sequence[Mapping[str, Any]], update: str) -> Iterable[Mapping[str, Any]]:
    """Return the pods that have ended, and whose end nobody needs to see any more.

    Whoever has made them makes another one, and leaves them.

    Args:
        pods: All pods.
        update: Hash of the revision whose last end is reported until it has another pod.
    """
    live = {names.hash_of(pod) for pod in pods if not is_over(pod)}
    for pod in pods:
        has_ended = pod.get("status", {}).get("phase") in podstatus.ENDED_PHASES
        if not has_ended or pod["metadata"].get("deletionTimestamp"):
            continue
        hash_ = names.hash_of(pod)
        if hash_ in live or hash_ != update:
            yield pod


def is_over(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod is being deleted or has ended for good."""
    return bool(
        pod["metadata"].get("deletionTimestamp")
        or pod.get("status", {}).get("phase") in podstatus.ENDED_PHASES
    )


def may_write(pod: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a pod that does not serve may still have sessions that write."""
    if ending := pod["metadata"].get("deletionTimestamp"):
        return now - parse_time(ending) < timedelta(seconds=UNCONFIRMED_SECONDS)
    return drain_until(pod) is not None


def drain_until(pod: Mapping[str, Any]) -> datetime | None:
    """Return when a pod's time to drain is over; None if it does not drain."""
    text = (pod["metadata"].get("annotations") or {}).get(names.ANNOTATION_DRAIN_UNTIL)
    if text is None:
        return None
    try:
        until = parse_time(text)
    except ValueError:
        return _LONG_AGO
    return until if until.tzinfo else _LONG_AGO


def in_each_others_way(
    update: Mapping[str, Any] | None, holder: Mapping[str, Any], now: datetime
) -> bool:
    """Return whether the pod of the update revision seems to wait for what another one holds.

    That is so for a claim that only one node can mount. Whether the claim is one, see `one_node`.

    Args:
        update: That pod; None while there is none.
        holder: The pod that serves, or one of the removed controller's.
        now: The time.
    """
    if update is None or is_over(update) or is_over(holder):
        return False
    if update["metadata"]["uid"] == holder["metadata"]["uid"]:
        return False
    created = parse_time(update["metadata"]["creationTimestamp"])
    if now - created < timedelta(seconds=IN_PLACE_AFTER_SECONDS):
        return False
    scheduled = get_condition(conditions_of(update), "PodScheduled")
    if scheduled is not None and scheduled["status"] == "False":
        # In the scheduler's words; a wish that no node fulfils is not the holder's fault.
        return bool(_VOLUME_CONFLICT.search(scheduled.get("message", "")))
    elsewhere = update["spec"].get("nodeName") != holder["spec"].get("nodeName")
    return elsewhere and podstatus.container_is_being_created(update)


def one_node(access_modes: Collection[str]) -> bool:
    """Return whether a claim with these access modes can be mounted on one node only."""
    return bool(access_modes) and _ONE_NODE_MODES.issuperset(access_modes)
