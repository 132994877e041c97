"""When a finished ActionSet may be deleted: by its annotation `ANNOTATION_TTL`, and with care.

The status of a backup's ActionSet is the only place that knows its artifacts: who deletes it loses
the backup. So one with output artifacts stays until an ActionSet that deletes just these artifacts
is complete. `kanctl create actionset --action delete --from <backup>` copies them from the status
of one into the spec of the other (Kanister pkg/kanctl/actionset.go), which is how they are matched;
names would not do, a name can be anybody's.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from controller.conditions import parse_time
from reconcilers.actionset.api import State
from reconcilers.actionset.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from controller.resource import Object

#: The name of the actions that delete artifacts, by convention of all public Blueprints.
DELETE_ACTION: Final = "delete"

#: Ours, in the cache only: digests of the artifacts that a finished ActionSet has put out.
PUT_OUT: Final = "putOut"
#: As `PUT_OUT`: of those that a complete ActionSet has deleted.
DELETED: Final = "deleted"

#: Finished ActionSets by what they have put out, those without a time limit left out.
INDEX_PUT_OUT: Final = "put-out"
#: Complete ActionSets by what they have deleted.
INDEX_DELETED: Final = "deleted"

_DIGEST_CHARACTERS: Final = 16


def put_out(obj: Object) -> list[str]:
    """Return the digests of the artifacts that a finished ActionSet has put out, one an action."""
    actions = (obj.get("status") or {}).get("actions") or ()
    return [digest(action["artifacts"]) for action in actions if action.get("artifacts")]


def deleted(obj: Object) -> list[str]:
    """Return the digests of the artifacts that an ActionSet has deleted; none if not complete."""
    if (obj.get("status") or {}).get("state") != State.COMPLETE:
        return []
    actions = (obj.get("spec") or {}).get("actions") or ()
    return [
        digest(action["artifacts"])
        for action in actions
        if action.get("artifacts") and str(action.get("name")).lower() == DELETE_ACTION
    ]


def digest(artifacts: Mapping[str, Any]) -> str:
    """Return a digest of artifacts that does not depend on order or empty fields."""
    content = {
        name: {field: value for field, value in artifact.items() if value}
        for name, artifact in artifacts.items()
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def indexed_put_out(obj: Object) -> Iterable[str]:
    """Return the values of an ActionSet of the cache in `INDEX_PUT_OUT`."""
    has_limit = read_settings(obj["metadata"].get("annotations") or {}).ttl is not None
    found: Iterable[str] = obj.get(PUT_OUT, ()) if has_limit else ()
    return found


def indexed_deleted(obj: Object) -> Iterable[str]:
    """Return the values of an ActionSet of the cache in `INDEX_DELETED`."""
    found: Iterable[str] = obj.get(DELETED, ())
    return found


def seconds_left(obj: Object, *, now: datetime) -> float | None:
    """Return the seconds until a finished ActionSet may go, 0 or less if it may; None if never.

    Args:
        obj: The ActionSet, as the cache has it.
        now: The time.
    """
    ttl = read_settings(obj["metadata"].get("annotations") or {}).ttl
    ended = ((obj.get("status") or {}).get("progress") or {}).get("lastTransitionTime")
    if ttl is None or not ended:
        return None
    return ttl - (now - parse_time(ended)).total_seconds()


def is_needed(
    obj: Object, *, deleting: Mapping[str, Iterable[Object]], backups: Iterable[Object]
) -> bool:
    """Return whether an ActionSet whose time is over must stay nevertheless.

    Args:
        obj: The ActionSet, as the cache has it.
        deleting: By each digest of its `PUT_OUT`, the complete ActionSets that have deleted it.
        backups: The ActionSets with a time limit that have put out what it has deleted. They wait
            for it to be seen, and would be kept for ever without it.
    """
    namespace = obj["metadata"]["namespace"]
    has_artifacts_left = any(
        all(other["metadata"]["namespace"] != namespace for other in deleting.get(one, ()))
        for one in obj.get(PUT_OUT, ())
    )
    return has_artifacts_left or any(
        other["metadata"]["namespace"] == namespace for other in backups
    )
