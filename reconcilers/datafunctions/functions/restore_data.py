"""RestoreData: a snapshot, to where it came from or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import places, snapshots, steps
from reconcilers.datafunctions.arguments import Need, text
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import VERSION, DataFunction, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping

BOTH: Final = "give one of the arguments pod and volumes, not both"


@frozen
class Arguments:
    """The arguments of RestoreData."""

    namespace: str = common.namespace()
    image: str = common.image(Need.IN_PHASE)
    prefix: str = common.prefix()
    backup_identifier: str = text("backupIdentifier", "the id of the snapshot")
    backup_tag: str = text("backupTag", "its tag, in place of the id")
    backup_path: str = text(
        "backupPath",
        "a folder of the snapshot, by its absolute path when it was backed up: its contents go "
        "into restorePath itself",
    )
    restore_path: str = common.restore_path()
    pod: str = common.pod("the pod whose volumes are restored", need=Need.NEVER)
    volumes: Mapping[str, str] = common.volumes()
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def restore(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Restore the snapshot.

    Raises:
        Refused: The arguments do not fit together, or to the snapshot.
        ClientFailed: It cannot be restored.
    """
    snapshots.check_one_of(
        backupIdentifier=arguments.backup_identifier, backupTag=arguments.backup_tag
    )
    if arguments.pod and arguments.volumes:
        raise Refused(BOTH)
    steps.check_mounted(run, arguments.volumes.values(), argument="volumes")
    snapshot = snapshots.find(
        run.client,
        "backupIdentifier",
        snapshot=arguments.backup_identifier,
        tag=arguments.backup_tag,
    )
    target = places.target(
        snapshots.path_of(snapshot),
        restore_path=arguments.restore_path,
        backup_path=arguments.backup_path,
    )
    steps.restore(run, snapshot, target)
    return {}


FUNCTION: Final = DataFunction(
    "RestoreData",
    VERSION,
    "Restores a snapshot below a folder, by the path that it was backed up from.",
    Arguments,
    (),
    restore,
    {
        "backupIdentifier": "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50",
        "backupPath": "/var/lib/data",
        "restorePath": "/var/lib/data",
    },
)
