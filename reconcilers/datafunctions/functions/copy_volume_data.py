"""CopyVolumeData: all of a claim's volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import places, sources, steps, tags
from reconcilers.datafunctions.arguments import Need, text
from reconcilers.datafunctions.function import VERSION, DataFunction, Output, Run
from reconcilers.datafunctions.functions import common

if TYPE_CHECKING:
    from collections.abc import Mapping

# Kanister pkg/function/copy_volume_data.go, CopyVolumeDataMountPoint.
DEFAULT_MOUNT_PATH: Final = "/mnt/vol_data/{volume}"


@frozen
class Arguments:
    """The arguments of CopyVolumeData."""

    namespace: str = common.namespace()
    volume: str = text("volume", "the name of the claim", need=Need.ALWAYS)
    prefix: str = common.prefix("dataArtifactPrefix")
    mount_path: str = text(
        "mountPath", "where the claim is mounted; by default /mnt/vol_data/ and its name"
    )
    image: str = common.image()
    encryption_key: str = common.encryption_key()
    insecure_tls: bool = common.insecure_tls()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def copy(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Back the volume up.

    Raises:
        Refused: It is not mounted, or nothing says of which namespace it is.
        ClientFailed: It cannot be backed up.
    """
    default = DEFAULT_MOUNT_PATH.format(volume=arguments.volume)
    path = places.absolute("mountPath", arguments.mount_path or default)
    tag = tags.new_backup_tag()
    snapshot = steps.back_up(
        run,
        path,
        argument="mountPath",
        source=sources.choose(
            path, asked=run.source, namespace=arguments.namespace, claim=arguments.volume
        ),
        tags=tags.of_backup(
            path=path,
            backupTag=tag,
            backupArtifactPrefix=arguments.prefix,
            namespace=arguments.namespace,
            volume=arguments.volume,
            function=FUNCTION.name,
        ),
        what=arguments.volume,
    )
    return {
        "backupID": snapshot.id,
        "backupRoot": path,
        "backupArtifactLocation": arguments.prefix,
        "backupTag": tag,
        **common.sizes(snapshot),
        "version": VERSION,
    }


FUNCTION: Final = DataFunction(
    "CopyVolumeData",
    VERSION,
    "Backs up all of a claim's volume.",
    Arguments,
    (
        common.BACKUP_ID,
        Output(
            "backupRoot", "the path that the volume was mounted at: the `backupPath` to restore"
        ),
        Output("backupArtifactLocation", "the argument dataArtifactPrefix, as it was given"),
        common.BACKUP_TAG,
        common.FILE_COUNT,
        common.SIZE,
        common.UPLOADED,
        common.VERSION_OUTPUT,
    ),
    copy,
    {"namespace": "shop", "volume": "data-db-0", "mountPath": "/data"},
)
