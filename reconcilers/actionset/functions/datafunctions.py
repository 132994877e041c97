"""The eleven data functions as functions of the engine, and what else Kanister has of the kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reconcilers.actionset.functions import dataplaces
from reconcilers.actionset.functions.dataphase import DataPhase, DataPhaseOfPods
from reconcilers.actionset.functions.insidepod import InsidePod
from reconcilers.datafunctions import backupinfo
from reconcilers.datafunctions.catalogue import FUNCTIONS
from reconcilers.datafunctions.function import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconcilers.actionset.function import Function
    from reconcilers.actionset.functions.dataplaces import Place
    from reconcilers.actionset.services import Services

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
    """Return the outputs of BackupDataAll by those for each pod."""
    # Each has put out its own; where somebody else's image has not, there is nothing to hand on.
    texts = [outputs[_BACKUP_ALL_INFO] for outputs in done.values() if _BACKUP_ALL_INFO in outputs]
    backups = [backup for text in texts for backup in backupinfo.parse(text).values()]
    return {_BACKUP_ALL_INFO: backupinfo.render(backups), _VERSION: VERSION}


def _nothing(_done: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return None


#: Those with a pod for each pod of the workload: where each of these goes, and what they put out.
_PLACES_OF_PODS: Final[
    Mapping[
        str,
        tuple[Place, Callable[[Mapping[str, Mapping[str, Any]]], Mapping[str, Any] | None]],
    ]
] = {
    "BackupDataAll": (dataplaces.beside_one, _backups_of),
    "RestoreDataAll": (dataplaces.restored_one, _nothing),
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
            place, outputs = _PLACES_OF_PODS[function.name]
            one = DataPhase(function, services, place, inside)
            found.append(DataPhaseOfPods(one, outputs))
        else:
            found.append(DataPhase(function, services, _PLACES[function.name], inside))
    return tuple(found)
