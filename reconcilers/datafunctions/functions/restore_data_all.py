"""RestoreDataAll: the snapshots that BackupDataAll has made, each to its pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import backupinfo, parallel, places, snapshots, steps
from reconcilers.datafunctions.arguments import Need
from reconcilers.datafunctions.errors import PartlyFailed, Refused
from reconcilers.datafunctions.function import VERSION, DataFunction, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_BACKUP: Final = (
    "argument pods: backupInfo has no backup of {pods}; it has those of {known}. A Deployment's "
    "pods have other names each time: name the pods that were backed up"
)


@frozen
class Arguments:
    """The arguments of RestoreDataAll."""

    namespace: str = common.namespace()
    image: str = common.image(Need.IN_PHASE)
    prefix: str = common.prefix()
    backup_info: str = common.backup_info()
    pods: tuple[str, ...] = common.pods("in a phase those of the workload, else all of backupInfo")
    restore_path: str = common.restore_path()
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def restore(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Restore the snapshot of each pod to its volumes.

    Raises:
        Refused: backupInfo cannot be read, or does not have the pods.
        PartlyFailed: Not all could be restored.
    """
    backups = backupinfo.parse(arguments.backup_info)
    pods = arguments.pods or tuple(backups)
    unknown = [pod for pod in pods if pod not in backups]
    if unknown:
        raise Refused(NO_BACKUP.format(pods=", ".join(unknown), known=", ".join(backups)))
    ids = {pod: snapshots.check_id("backupInfo", backups[pod].backup_id) for pod in pods}

    def one(pod: str) -> None:
        snapshot = run.client.snapshot(ids[pod])
        target = places.target(
            snapshots.path_of(snapshot), restore_path=arguments.restore_path, backup_path=""
        )
        steps.restore(run, snapshot, target, root=run.root / pod, what=pod)

    outcome = parallel.for_each(pods, one, limit=run.parallel)
    if outcome.failed:
        raise PartlyFailed({}, outcome.done, outcome.failed)
    return {}


FUNCTION: Final = DataFunction(
    "RestoreDataAll",
    VERSION,
    "Restores the snapshots that BackupDataAll has made, each to its pod.",
    Arguments,
    (),
    restore,
    {
        "backupInfo": '{"db-0":{"PodName":"db-0",'
        '"BackupID":"8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50","BackupTag":"k3v9x0q2ab"}}'
    },
)
