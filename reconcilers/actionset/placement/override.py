"""As whom a pod is asked to run by the overrides of its author."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.placement.podspec import CONTAINER
from reconcilers.actionset.placement.workload import User
from reconcilers.pods import strategicmerge

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD: Final = "podOverride"


def user_of(blueprint: Mapping[str, Any], action: Mapping[str, Any]) -> User | None:
    """Return as whom the pod is to run; None if nothing says it.

    A pod that runs as somebody else than root must not have what root has, or a namespace of the
    restricted Pod Security profile refuses it.

    Args:
        blueprint: The argument `podOverride`.
        action: The ActionSet's `podOverride`, which counts more.

    Raises:
        InvalidInput: One is no part of a PodSpec.
    """
    spec = strategicmerge.merged({}, blueprint, field=_FIELD)
    spec = strategicmerge.merged(spec, action, field=_FIELD)
    own: Mapping[str, Any] = next(
        (one for one in spec.get("containers") or () if one.get("name") == CONTAINER), {}
    )
    context = {**(spec.get("securityContext") or {}), **(own.get("securityContext") or {})}
    uid = context.get("runAsUser")
    return User(uid, context.get("runAsGroup")) if isinstance(uid, int) else None
