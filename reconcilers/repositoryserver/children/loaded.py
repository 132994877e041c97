"""Which users the server in a pod has: pure functions.

A process reads the users when it starts, and again when it is refreshed; then its pod is marked
with their version. The ReplicaSet controller makes pods without a mark, at any time. Such a pod has
the users as they are if these last changed before it was made.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from controller.conditions import parse_time
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

#: Seconds after a change of the users in which a node may still know those of before: its kubelet
#: follows the Secret, and a pod's time of creation is cut to whole seconds.
SETTLE_SECONDS: Final = 5.0

_NONE: Final = frozenset({"", names.NO_USERS})


@frozen
class WrittenUsers:
    """The users as they were written for a server.

    Args:
        version: Their version; empty while it is not known.
        changed: When they last changed; None if no pod can have had others.
    """

    version: str
    changed: datetime | None = None

    @classmethod
    def of(cls, version: str, secret: Mapping[str, Any] | None) -> WrittenUsers:
        """Return the users that a Secret holds.

        Args:
            version: Their version.
            secret: The Secret, without its data; None if there is none.
        """
        annotations = {} if secret is None else secret["metadata"].get("annotations") or {}
        text = annotations.get(names.ANNOTATION_CHANGED)
        return cls(version, None if text is None else _time(text))

    def exist(self) -> bool:
        """Return whether there are any."""
        return self.version not in _NONE

    def are_loaded(self, pod: Mapping[str, Any]) -> bool:
        """Return whether the server in a pod has them, or starts with them."""
        loaded = names.users_of(pod)
        if loaded or not self.version:
            return loaded == self.version
        if self.changed is None:
            return True
        created = parse_time(pod["metadata"]["creationTimestamp"])
        return created >= self.changed + timedelta(seconds=SETTLE_SECONDS)

    def have_settled(self, now: datetime) -> bool:
        """Return whether a pod that is made now starts with them."""
        if not self.exist():
            return False
        return self.changed is None or now >= self.changed + timedelta(seconds=SETTLE_SECONDS)


def _time(text: str) -> datetime | None:
    """Return a time that an annotation holds; None if somebody has made it unreadable."""
    try:
        found = parse_time(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
