"""Which claim of a file store the pods of a revision mount: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.kopia.storage.filestore import VOLUME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SOURCE: Final = "persistentVolumeClaim"


def trimmed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a pod's specification what `in_use` reads: empty where there is no file store.

    Args:
        spec: The specification in the template of a ReplicaSet.
    """
    volumes = [one for one in spec.get("volumes") or () if _SOURCE in one]
    kept = [one for one in volumes if one.get("name") == VOLUME]
    return {"volumes": kept} if kept else {}


def in_use(replica_sets: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names of the claims that hold the repository of a server, in order.

    There are two while the server moves from one to the other.

    Args:
        replica_sets: Those of the server. Only those that have a pod count.
    """
    found = {
        volume[_SOURCE].get("claimName") or ""
        for replica_set in replica_sets
        if replica_set["spec"].get("replicas") != 0
        for volume in trimmed(replica_set["spec"]["template"].get("spec") or {}).get("volumes", ())
    }
    return sorted(found - {""})
