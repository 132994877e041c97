"""DeleteData: snapshots by their ids or tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import snapshots, tags, units
from reconcilers.datafunctions.arguments import words
from reconcilers.datafunctions.function import VERSION, DataFunction, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Arguments:
    """The arguments of DeleteData."""

    namespace: str = common.namespace()
    prefix: str = common.prefix()
    backup_id: tuple[str, ...] = words("backupID", "the ids of the snapshots")
    backup_tag: tuple[str, ...] = words("backupTag", "their tags, in place of the ids")
    reclaim_space: bool = common.reclaim_space()
    image: str = common.image()
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def delete(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Delete the snapshots; one that is gone is no failure.

    Raises:
        Refused: Not exactly one of ids and tags is given, or one is no id of a snapshot.
        ClientFailed: They cannot be deleted.
    """
    snapshots.check_one_of(backupID=arguments.backup_id, backupTag=arguments.backup_tag)
    ids = [snapshots.check_id("backupID", one) for one in arguments.backup_id]
    for tag in arguments.backup_tag:
        ids += [found.id for found in run.client.snapshots(tags={tags.BACKUP_TAG: tag})]
    run.client.delete(ids)
    return {"spaceFreed": units.binary(0)}


FUNCTION: Final = DataFunction(
    "DeleteData",
    VERSION,
    "Deletes snapshots.",
    Arguments,
    (common.SPACE_FREED,),
    delete,
    {"backupID": "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"},
)
