"""The ReplicaSet controller: keeps as many pods as wanted, some time later.

As kubernetes pkg/controller/replicaset/replica_set.go: it counts the pods that are neither ending
nor over, adopts those that nobody owns, releases those that have lost a label, and tries ever more
seldom what the API server refuses, unless the ReplicaSet or one of its pods changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

from controller.conditions import conditions_of, is_true, timestamp
from reconcilers import resources

if TYPE_CHECKING:
    from random import Random

    from controller.clock import Clock
    from controller.resource import Object
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer, Change

#: Seconds by which it is behind.
SECONDS = (0.005, 0.5)
#: The first and the longest pause after a refusal.
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1000.0
ENDED = ("Failed", "Succeeded")
QUOTA = 'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: 2'


@define
class _State:
    """What is remembered of a ReplicaSet: refusals in a row, and whether a look is planned."""

    refusals: int = 0
    planned: bool = False


class ReplicaSetController:
    """Makes and deletes the pods of ReplicaSets.

    Attributes:
        refused: Whether a quota keeps it from making pods.
    """

    def __init__(self, api: ApiServer, agenda: Agenda, random: Random, clock: Clock) -> None:
        self._api = api
        self._agenda = agenda
        self._random = random
        self._clock = clock
        self._states: dict[str, _State] = {}
        self.refused = False
        api.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.resource == resources.REPLICA_SETS and change.new is not None:
            self._look_at(change.new)
        elif change.resource == resources.PODS:
            for replica_set in self._api.list(resources.REPLICA_SETS):
                if any(_concerns(replica_set, pod) for pod in (change.old, change.new) if pod):
                    self._look_at(replica_set)

    def _look_at(self, replica_set: Object, pause: float | None = None) -> None:
        uid = replica_set["metadata"]["uid"]
        state = self._states.setdefault(uid, _State())
        if pause is not None:
            self._agenda.after(pause, lambda: self._sync(replica_set))
        elif not state.planned:
            state.planned = True
            seconds = self._random.uniform(*SECONDS)
            self._agenda.after(seconds, lambda: self._sync_planned(replica_set, state))

    def _sync_planned(self, replica_set: Object, state: _State) -> None:
        state.planned = False
        self._sync(replica_set)

    def _sync(self, known: Object) -> None:
        metadata = known["metadata"]
        found = self._api.find(resources.REPLICA_SETS, metadata["namespace"], metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            return
        active = self._claim(found)
        wanted = found["spec"]["replicas"]
        state = self._states[metadata["uid"]]
        failure = ""
        if len(active) < wanted:
            if self.refused:
                failure = QUOTA
                pause = min(FIRST_PAUSE * 2**state.refusals, LONGEST_PAUSE)
                state.refusals += 1
                self._look_at(found, pause)
            else:
                state.refusals = 0
                self._api.create(resources.PODS, self._pod(found))
        # Those that are not Ready go first, and the younger.
        active.sort(
            key=lambda pod: (
                bool(pod["spec"].get("nodeName")),
                is_true(conditions_of(pod), "Ready"),
                -int(pod["metadata"]["resourceVersion"]),
            )
        )
        for pod in active[: max(len(active) - wanted, 0)]:
            self._api.delete(resources.PODS, pod["metadata"]["namespace"], pod["metadata"]["name"])
        self._write_status(found, failure)

    def _claim(self, replica_set: Object) -> list[Object]:
        """Adopt and release pods; return those that count."""
        uid = replica_set["metadata"]["uid"]
        active = []
        for pod in self._api.list(resources.PODS):
            owners = pod["metadata"].get("ownerReferences") or []
            owned, matches = any(one["uid"] == uid for one in owners), _matches(replica_set, pod)
            if owned and not matches:
                self._change(pod, [])
            elif matches and not owners and _is_active(pod):
                self._change(pod, [_reference(replica_set)])
                owned = True
            if owned and matches and _is_active(pod):
                active.append(pod)
        return active

    def _change(self, pod: Object, owners: list[Object]) -> None:
        metadata = pod["metadata"]
        patch = {"metadata": {"ownerReferences": owners or None}}
        self._api.merge_patch(resources.PODS, metadata["namespace"], metadata["name"], patch)

    def _pod(self, replica_set: Object) -> Object:
        metadata, template = replica_set["metadata"], replica_set["spec"]["template"]
        suffix = "".join(self._random.choices("bcdfghjklmnpqrstvwxz", k=5))
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "generateName": f"{metadata['name']}-",
                "name": f"{metadata['name']}-{suffix}",
                "namespace": metadata["namespace"],
                "ownerReferences": [_reference(replica_set)],
            },
            "spec": template["spec"],
        }

    def _write_status(self, replica_set: Object, failure: str) -> None:
        conditions = [one for one in conditions_of(replica_set) if one["type"] != "ReplicaFailure"]
        before = [one for one in conditions_of(replica_set) if one not in conditions]
        if failure:
            new = {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate",
                "message": failure,
                "lastTransitionTime": timestamp(self._clock.now()),
            }
            # One that is there stays as it is, whatever the cause is by now.
            conditions += before or [new]
        self._api.write_status(resources.REPLICA_SETS, replica_set, {"conditions": conditions})


def _concerns(replica_set: Object, pod: Object) -> bool:
    uids = {one["uid"] for one in pod["metadata"].get("ownerReferences") or ()}
    return replica_set["metadata"]["uid"] in uids or (not uids and _matches(replica_set, pod))


def _matches(replica_set: Object, pod: Object) -> bool:
    wanted = replica_set["spec"]["selector"]["matchLabels"].items()
    same: bool = pod["metadata"]["namespace"] == replica_set["metadata"]["namespace"]
    return same and wanted <= (pod["metadata"].get("labels") or {}).items()


def _is_active(pod: Object) -> bool:
    ended = pod.get("status", {}).get("phase") in ENDED
    return not ended and "deletionTimestamp" not in pod["metadata"]


def _reference(replica_set: Object) -> Object:
    return {
        "apiVersion": resources.REPLICA_SETS.api_version,
        "kind": resources.REPLICA_SETS.kind,
        "name": replica_set["metadata"]["name"],
        "uid": replica_set["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
