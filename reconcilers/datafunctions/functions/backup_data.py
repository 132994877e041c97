"""BackupData: a folder of one pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions import places, sources, steps, tags
from reconcilers.datafunctions.function import VERSION, DataFunction, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Arguments:
    """The arguments of BackupData."""

    namespace: str = common.namespace()
    pod: str = common.pod("the pod whose data it is")
    container: str = common.container()
    include_path: str = common.include_path()
    prefix: str = common.prefix()
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()


def back_up(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Back the folder up.

    Raises:
        Refused: The folder is not there, or nothing says whose it is.
        ClientFailed: It cannot be backed up.
    """
    path = places.absolute("includePath", arguments.include_path)
    tag = tags.new_backup_tag()
    snapshot = steps.back_up(
        run,
        path,
        argument="includePath",
        source=sources.choose(
            path,
            asked=run.source,
            namespace=arguments.namespace,
            pod=arguments.pod,
            container=arguments.container,
        ),
        tags=tags.of_backup(
            path=path,
            backupTag=tag,
            backupArtifactPrefix=arguments.prefix,
            namespace=arguments.namespace,
            pod=arguments.pod,
            container=arguments.container,
            function=FUNCTION.name,
        ),
    )
    return {
        "backupID": snapshot.id,
        "backupTag": tag,
        **common.sizes(snapshot),
        "version": VERSION,
    }


FUNCTION: Final = DataFunction(
    "BackupData",
    VERSION,
    "Backs up a folder of a pod.",
    Arguments,
    (
        common.BACKUP_ID,
        common.BACKUP_TAG,
        common.FILE_COUNT,
        common.SIZE,
        common.UPLOADED,
        common.VERSION_OUTPUT,
    ),
    back_up,
    {"namespace": "shop", "pod": "db-0", "includePath": "/var/lib/data"},
)
