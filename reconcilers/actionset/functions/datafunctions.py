"""The eleven data functions as functions of the engine, and what else Kanister has of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.functions import dataplaces
from reconcilers.actionset.functions.dataphase import DataPhase, DataPhaseOfPods
from reconcilers.actionset.functions.insidepod import InsidePod
from reconcilers.datafunctions import backupinfo
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.errors import Refused
from reconcilers.datafunctions.function import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.actionset.function import Function
    from reconcilers.actionset.functions.dataplaces import Place
    from reconcilers.actionset.services import Services
    from reconcilers.datafunctions.backupinfo import PodBackup

#: The image of a pod can be overridden, and the workload's own container has its own.
NO_BACKUP: Final = (
    "its program has ended well, but not put out which snapshot is of pod {pod}; have the program"
    " of this controller's image run"
)

_BACKUP_ALL_INFO: Final = "BackupAllInfo"
_VERSION: Final = "version"

#: Where each goes.
_PLACES: Final[Mapping[str, Place]] = {
    "BackupData": dataplaces.beside_pod,
    "BackupDataStats": dataplaces.nowhere,
    "BackupDataUsingKopiaServer": dataplaces.beside_pod,
    "CopyVolumeData": dataplaces.of_claim,
    "DeleteData": dataplaces.nowhere,
    "DeleteDataAll": dataplaces.nowhere,
    "DeleteDataUsingKopiaServer": dataplaces.nowhere,
    "RestoreData": dataplaces.restored,
    "RestoreDataUsingKopiaServer": dataplaces.restored,
}


def _backups_of(done: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the outputs of BackupDataAll by those for each pod, of which each has a backup."""
    backups = [_backup_of(pod, outputs) for pod, outputs in done.items()]
    known = [backup for backup in backups if backup is not None]
    return {_BACKUP_ALL_INFO: backupinfo.render(known), _VERSION: VERSION}


def _backup_of(pod: str, outputs: Mapping[str, Any]) -> PodBackup | None:
    """Return what BackupDataAll has put out of a pod; None if that is nothing."""
    try:
        return backupinfo.parse(str(outputs.get(_BACKUP_ALL_INFO, ""))).get(pod)
    except Refused:
        return None


def _without_backup(pod: str, outputs: Mapping[str, Any]) -> str:
    """Return why nobody could restore a pod; empty if the outputs have its backup."""
    return NO_BACKUP.format(pod=pod) if _backup_of(pod, outputs) is None else ""


def _no_problem(_pod: str, _outputs: Mapping[str, Any]) -> str:
    return ""


def _nothing(_done: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return None


#: Those with a pod for each pod of the workload: where each of these goes, what they put out, and
#: what is wrong with one that has ended well.
_PLACES_OF_PODS: Final[
    Mapping[
        str,
        tuple[
            Place,
            Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Any] | None],
            Callable[[str, Mapping[str, Any]], str],
        ],
    ]
] = {
    "BackupDataAll": (dataplaces.beside_one, _backups_of, _without_backup),
    "RestoreDataAll": (dataplaces.restored_one, _nothing, _no_problem),
}


def functions(services: Services) -> tuple[Function[Any], ...]:
    """Return the data functions.

    Args:
        services: What they work with.
    """
    inside = InsidePod(services)
    found: list[Function[Any]] = []
    for function in FUNCTIONS:
        if function.name in _PLACES_OF_PODS:
            place, outputs, problem = _PLACES_OF_PODS[function.name]
            one = DataPhase(function, services, place, inside)
            found.append(DataPhaseOfPods(one, outputs, problem))
        else:
            found.append(DataPhase(function, services, _PLACES[function.name], inside))
    return tuple(found)
