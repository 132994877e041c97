"""Whether somebody else has changed a specification of which the caches hold a part only.

The API server counts the changes of a specification in `metadata.generation`, from 1 on
(kubernetes pkg/registry/apps/replicaset, rsStrategy; pkg/registry/batch/cronjob, cronJobStrategy).
An annotation has the generation that the controller's last write has made. Pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers import resources
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Those whose templates are not in the caches.
COUNTED: Final = frozenset({resources.REPLICA_SETS, resources.CRON_JOBS})

# A new object has it, and no annotation.
_FIRST: Final = 1


def of(obj: Mapping[str, Any]) -> int:
    """Return the generation of an observed object; that of a new one if it has none."""
    generation: int = obj["metadata"].get("generation", _FIRST)
    return generation


def is_as_written(obj: Mapping[str, Any]) -> bool:
    """Return whether the last change of an observed object's specification is the controller's.

    One that is being deleted counts as such: nothing is put back on it.
    """
    metadata = obj["metadata"]
    if "deletionTimestamp" in metadata:
        return True
    known = (metadata.get("annotations") or {}).get(names.ANNOTATION_GENERATION, str(_FIRST))
    return bool(known == str(of(obj)))


def annotation(generation: int) -> dict[str, str]:
    """Return the annotation of an object whose specification the controller has written.

    Args:
        generation: The one that the write makes.
    """
    return {names.ANNOTATION_GENERATION: str(generation)}
