"""Evidence that the removed controller has served a resource. Pure functions.

That controller wrote each user of `spec.server.userAccess` into the repository, where Kopia goes on
accepting the password. Such an entry may be deleted only if it is known to be its own: another
Kopia server may need one of the same name. What shows it stands in the status, and only until this
controller writes its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from controller.conditions import is_true
from reconcilers.repositoryserver.verdict import CLIENT_USER_INITIALIZED

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The pods of the removed controller. The names of this controller's have two more dashes.
_POD: Final = re.compile(r"repo-server-pod-[a-z0-9]{5}")


def has_registered_users(obj: Mapping[str, Any]) -> bool:
    """Return whether the status of a resource shows that the removed controller wrote its users.

    Args:
        obj: The resource as it is before this controller's first write to its status.
    """
    status = obj.get("status") or {}
    pod = (status.get("serverInfo") or {}).get("podName") or ""
    registered = is_true(status.get("conditions") or [], CLIENT_USER_INITIALIZED)
    return registered and _POD.fullmatch(pod) is not None
