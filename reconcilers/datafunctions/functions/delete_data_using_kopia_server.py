"""DeleteDataUsingKopiaServer: one snapshot, as before Kanister removed the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from attrs import frozen

from reconcilers.datafunctions import snapshots
from reconcilers.datafunctions.arguments import Need, text
from reconcilers.datafunctions.function import DataFunction, Run
from reconcilers.datafunctions.functions import common
from reconcilers.datafunctions.versions import DEFAULT_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Arguments:
    """The arguments of DeleteDataUsingKopiaServer."""

    namespace: str = common.namespace()
    image: str = common.image(Need.IN_PHASE)
    backup_id: str = text("backupID", "the id of the snapshot", need=Need.ALWAYS)
    user_hostname: str = common.user_hostname()
    pod_annotations: Mapping[str, str] = common.pod_annotations()
    pod_labels: Mapping[str, str] = common.pod_labels()


def delete(run: Run, arguments: Arguments) -> Mapping[str, str]:
    """Delete the snapshot; one that is gone is no failure.

    Raises:
        Refused: It is no id of a snapshot.
        ClientFailed: It cannot be deleted.
    """
    run.client.delete([snapshots.check_id("backupID", arguments.backup_id)])
    return {}


FUNCTION: Final = DataFunction(
    "DeleteDataUsingKopiaServer",
    DEFAULT_VERSION,
    "Deletes a snapshot.",
    Arguments,
    (),
    delete,
    {"backupID": "8f2b3b4d0c7b1d9b5f0e6a1c2d3e4f50"},
)
