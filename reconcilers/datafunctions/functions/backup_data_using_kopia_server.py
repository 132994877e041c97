"""BackupDataUsingKopiaServer: a folder of one pod, as before Kanister removed the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions import places, sources, steps, tags, units
from reconcilers.datafunctions.arguments import text
from reconcilers.datafunctions.function import DataFunction, Output, Run
from reconcilers.datafunctions.functions import common
from reconcilers.datafunctions.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Arguments:
    """The arguments of BackupDataUsingKopiaServer."""

    namespace: str = common.namespace()
    pod: str = common.pod("the pod whose data it is")
    container: str = common.container()
    include_path: str = common.include_path()
    snapshot_tags: str = text(
        "snapshotTags", "tags of the snapshot, name:value, several apart by commas"
    )
    user_hostname: str = common.user_hostname()


def back_up(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Back the folder up.

    Raises:
        Refused: The folder is not there, a tag cannot be kept, or nothing says whose it is.
        ClientFailed: It cannot be backed up.
    """
    path = places.absolute("includePath", arguments.include_path)
    own = tags.of_backup(
        path=path,
        namespace=arguments.namespace,
        pod=arguments.pod,
        container=arguments.container,
        function=FUNCTION.name,
    )
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
        tags=tags.parse(arguments.snapshot_tags) | own,
    )
    return {
        "backupID": snapshot.id,
        "size": units.decimal(snapshot.size),
        "phySize": units.decimal(snapshot.uploaded or 0),
    }


FUNCTION: Final = DataFunction(
    "BackupDataUsingKopiaServer",
    DEFAULT_VERSION,
    "Backs up a folder of a pod.",
    Arguments,
    (
        common.BACKUP_ID,
        Output("size", "bytes of the files, such as `1.2 MB`"),
        Output("phySize", "bytes that were sent to the server, such as `1.2 MB`"),
    ),
    back_up,
    {"namespace": "shop", "pod": "db-0", "includePath": "/var/lib/data"},
)
