"""RestoreDataUsingKopiaServer: a snapshot into a folder, as before Kanister removed the function.

Unlike RestoreData it puts what the snapshot has into `restorePath` itself, whatever path that was
backed up from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions import places, snapshots, steps
from reconcilers.datafunctions.arguments import Need, text
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import DataFunction, Run
from reconcilers.datafunctions.functions import common
from reconcilers.datafunctions.functions.restore_data import BOTH
from reconcilers.datafunctions.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Arguments:
    """The arguments of RestoreDataUsingKopiaServer."""

    namespace: str = common.namespace()
    image: str = common.image(Need.IN_PHASE)
    backup_identifier: str = text("backupIdentifier", "the id of the snapshot", need=Need.ALWAYS)
    restore_path: str = text(
        "restorePath", "the folder that gets what the snapshot has", need=Need.ALWAYS
    )
    pod: str = common.pod("the pod whose volumes are restored", need=Need.NEVER)
    volumes: Mapping[str, str] = common.volumes()
    user_hostname: str = common.user_hostname()
    pod_override: Mapping[str, Any] = common.pod_override()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def restore(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Restore the snapshot.

    Raises:
        Refused: The arguments do not fit together, or one is no id of a snapshot.
        ClientFailed: It cannot be restored.
    """
    if arguments.pod and arguments.volumes:
        raise Refused(BOTH)
    snapshot = snapshots.check_id("backupIdentifier", arguments.backup_identifier)
    steps.check_mounted(run, arguments.volumes.values(), argument="volumes")
    into = places.absolute("restorePath", arguments.restore_path)
    steps.restore(run, snapshot, places.Target("", into))
    return {}


FUNCTION: Final = DataFunction(
    "RestoreDataUsingKopiaServer",
    DEFAULT_VERSION,
    "Restores a snapshot into a folder.",
    Arguments,
    (),
    restore,
    {
        "backupIdentifier": "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50",
        "restorePath": "/var/lib/data",
    },
)
