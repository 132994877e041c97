"""Pods of revisions, for tests of a rollout."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from controller.conditions import timestamp
from fakes import objects
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.children.loaded import WrittenUsers
from reconcilers.repositoryserver.rollout.plan import RolloutState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from controller.resource import Object

NOW = objects.NOW
DRAIN_SECONDS = 300


def pod(
    digest: str,
    of: Object | None = None,
    *,
    users: str = "v2",
    drains_for: float | None = None,
    node: str = "node",
    age: float = 600,
) -> Object:
    """Build a pod; its uid and name are its digest.

    Args:
        digest: Its digest.
        of: Its status; Ready by default.
        users: Version of the users that it has.
        drains_for: Seconds until its time to drain is over.
        node: Where it runs.
        age: Seconds since its creation.
    """
    found = objects.pod(objects.serving() if of is None else of, name=digest, digest=digest)
    found["metadata"]["uid"] = digest
    found["metadata"]["creationTimestamp"] = timestamp(NOW - timedelta(seconds=age))
    found["spec"]["nodeName"] = node
    found["metadata"]["annotations"] = {names.ANNOTATION_USERS: users}
    if drains_for is not None:
        until = timestamp(NOW + timedelta(seconds=drains_for))
        found["metadata"]["annotations"][names.ANNOTATION_DRAIN_UNTIL] = until
    return found


def named(found: Object, other: str) -> Object:
    """Return a pod of the same revision under another name."""
    result: Object = objects.merged(found, {"metadata": {"name": other, "uid": other}})
    return result


def name(obj: Mapping[str, Any] | None) -> str | None:
    return None if obj is None else str(obj["metadata"]["name"])


V2, NO_USERS = WrittenUsers("v2"), WrittenUsers(names.NO_USERS)
FIRST_START = RolloutState("new", selected=names.NO_HASH, users=V2, kept=frozenset({"new"}))
WITHOUT_USERS = RolloutState("new", selected=names.NO_HASH, users=NO_USERS, kept=frozenset({"new"}))
STEADY = RolloutState("new", selected="new", users=V2, kept=frozenset({"new"}))
CHANGING = RolloutState("new", selected="old", users=V2, kept=frozenset({"old", "new"}))
BACK = CHANGING
UNKNOWN = RolloutState("", selected="old", users=V2, kept=frozenset({"old"}))
NO_SERVICE = RolloutState("new", selected="", users=V2, kept=frozenset({"old", "new"}))
# Those of now have just changed.
CHANGED = WrittenUsers("v2", NOW)
