"""DeleteDataAll: the snapshots that BackupDataAll has made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import backupinfo, parallel, snapshots, units
from reconcilers.datafunctions.errors import PartlyFailed
from reconcilers.datafunctions.function import VERSION, DataFunction, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Arguments:
    """The arguments of DeleteDataAll."""

    namespace: str = common.namespace()
    prefix: str = common.prefix()
    backup_info: str = common.backup_info()
    reclaim_space: bool = common.reclaim_space()
    image: str = common.image()
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def delete(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Delete the snapshot of each pod; one that is gone is no failure.

    Raises:
        Refused: backupInfo cannot be read, or has what is no id of a snapshot.
        PartlyFailed: Not all could be deleted.
    """
    backups = backupinfo.parse(arguments.backup_info)
    ids = {pod: snapshots.check_id("backupInfo", one.backup_id) for pod, one in backups.items()}
    outcome = parallel.for_each(ids, lambda pod: run.client.delete([ids[pod]]), limit=run.parallel)
    outputs = {"spaceFreed": units.binary(0)}
    if outcome.failed:
        raise PartlyFailed(outputs, outcome.done, outcome.failed)
    return outputs


FUNCTION: Final = DataFunction(
    "DeleteDataAll",
    VERSION,
    "Deletes the snapshots that BackupDataAll has made.",
    Arguments,
    (common.SPACE_FREED,),
    delete,
    {
        "backupInfo": '{"db-0":{"PodName":"db-0",'
        '"BackupID":"8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50","BackupTag":"k3v9x0q2ab"}}'
    },
)
