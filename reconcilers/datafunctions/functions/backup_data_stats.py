"""BackupDataStats: how much is in a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import snapshots, units
from reconcilers.datafunctions.arguments import Need, text
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import VERSION, DataFunction, Output, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping

RESTORE_SIZE: Final = "restore-size"
OTHER_MODE: Final = (
    "argument statsMode: {mode!r} counts what only restic has; leave it out, for restore-size"
)


@frozen
class Arguments:
    """The arguments of BackupDataStats."""

    namespace: str = common.namespace()
    prefix: str = common.prefix()
    backup_id: str = text("backupID", "the id of the snapshot", need=Need.ALWAYS)
    stats_mode: str = text("statsMode", "what is counted", default=RESTORE_SIZE)
    image: str = common.image()
    encryption_key: str = common.encryption_key()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def count(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Count what is in the snapshot.

    Raises:
        Refused: It is no id of a snapshot, or a mode that only restic has.
        ClientFailed: There is no such snapshot, or the server could not be asked.
    """
    if arguments.stats_mode != RESTORE_SIZE:
        raise Refused(OTHER_MODE.format(mode=arguments.stats_mode))
    snapshot = run.client.snapshot(snapshots.check_id("backupID", arguments.backup_id))
    return {
        "mode": RESTORE_SIZE,
        "fileCount": str(snapshot.files),
        "size": units.binary(snapshot.size),
        "version": VERSION,
    }


FUNCTION: Final = DataFunction(
    "BackupDataStats",
    VERSION,
    "Counts the files of a snapshot and their bytes.",
    Arguments,
    (
        Output("mode", "what is counted: `restore-size`"),
        common.FILE_COUNT,
        common.SIZE,
        common.VERSION_OUTPUT,
    ),
    count,
    {"backupID": "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"},
)
