"""The garbage collector: deletes what a deleted object has owned, some time later.

With `--cascade=foreground` it does so while the object is still there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from random import Random

    from controller.resource import Object, Resource
    from fakes.simulation.agenda import Agenda
    from fakes.simulation.apiserver import ApiServer, Change

#: Seconds after which the children of a deleted object are deleted, one of these.
SECONDS = (0.01, 1.0, 8.0, 60.0)

#: What may be owned.
RESOURCES = (
    resources.REPLICA_SETS,
    resources.PODS,
    resources.SECRETS,
    resources.SERVICES,
    resources.NETWORK_POLICIES,
    resources.CRON_JOBS,
    resources.ENDPOINT_SLICES,
    resources.PROFILES,
)

#: What may own.
OWNERS = (
    api.REPOSITORY_SERVERS,
    ACTION_SETS,
    resources.SERVICES,
    resources.REPLICA_SETS,
    resources.STATEFUL_SETS,
    resources.PODS,
)


#: On an object that is deleted with `--cascade=foreground`, until it owns nothing any more.
FOREGROUND = "foregroundDeletion"


class GarbageCollector:
    """Deletes orphans."""

    def __init__(self, api: ApiServer, agenda: Agenda, random: Random) -> None:
        self._api = api
        self._agenda = agenda
        self._random = random
        api.listen(self._on_change)

    def _on_change(self, change: Change) -> None:
        if change.new is None and change.old is not None:
            uid = change.old["metadata"]["uid"]
            self._agenda.after(self._random.choice(SECONDS), lambda: self._collect(uid))
        elif change.new is not None and (
            change.old is None or _owner_uids(change.old) != _owner_uids(change.new)
        ):
            # One that has got an owner that is gone already.
            resource, obj = change.resource, change.new
            self._agenda.after(max(SECONDS), lambda: self._collect_orphan(resource, obj))
        if change.new is not None and _begins_in_foreground(change):
            resource, obj = change.resource, change.new
            self._agenda.after(
                self._random.choice(SECONDS), lambda: self._collect_in_foreground(resource, obj)
            )

    def _collect(self, uid: str) -> None:
        for resource in RESOURCES:
            for obj in self._api.list(resource):
                if uid in _owner_uids(obj):
                    self._delete(resource, obj)

    def _collect_in_foreground(self, resource: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        self._collect(metadata["uid"])
        place = (resource, metadata["namespace"], metadata["name"])
        found = self._api.find(*place)
        if found is not None and found["metadata"]["uid"] == metadata["uid"]:
            kept = [one for one in found["metadata"]["finalizers"] if one != FOREGROUND]
            self._api.merge_patch(*place, {"metadata": {"finalizers": kept or None}})

    def _collect_orphan(self, resource: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        now = self._api.find(resource, metadata["namespace"], metadata["name"])
        owners = set() if now is None else _owner_uids(now)
        there = (owner["metadata"]["uid"] for kind in OWNERS for owner in self._api.list(kind))
        if owners and not owners & set(there):
            self._delete(resource, obj)

    def _delete(self, resource: Resource, obj: Object) -> None:
        metadata = obj["metadata"]
        # It may have been changed meanwhile, or be gone.
        found = self._api.find(resource, metadata["namespace"], metadata["name"])
        if found is not None and found["metadata"]["uid"] == metadata["uid"]:
            self._api.delete(resource, metadata["namespace"], metadata["name"])


def _owner_uids(obj: Object) -> set[str]:
    return {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or ()}


def _begins_in_foreground(change: Change) -> bool:
    return _is_in_foreground(change.new) and not _is_in_foreground(change.old)


def _is_in_foreground(obj: Object | None) -> bool:
    metadata = {} if obj is None else obj["metadata"]
    return "deletionTimestamp" in metadata and FOREGROUND in (metadata.get("finalizers") or ())
