"""`BackupAllInfo`: which snapshot is of which pod, as BackupDataAll hands it on.

A JSON text whose values have exactly these three names (Kanister pkg/function/backup_data_all.go,
BackupInfo).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from reconcilers.datafunctions.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable

INVALID: Final = (
    "argument backupInfo is not what BackupDataAll has put out as BackupAllInfo: {reason}; pass "
    "that output on as it is"
)


@frozen
class PodBackup:
    """The snapshot of one pod.

    Args:
        pod: Name of the pod.
        backup_id: Id of the snapshot.
        backup_tag: Its tag; empty if it has none.
    """

    pod: str
    backup_id: str
    backup_tag: str = ""


def render(backups: Iterable[PodBackup]) -> str:
    """Return the text for backups."""
    return json.dumps(
        {
            one.pod: {
                "PodName": one.pod,
                "BackupID": one.backup_id,
                "BackupTag": one.backup_tag,
            }
            for one in backups
        }
    )


def parse(text: str) -> dict[str, PodBackup]:
    """Return the backups of a text by pod.

    Raises:
        Refused: It is no such text, or has no pod.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(INVALID.format(reason="it is not JSON")) from None
    if not isinstance(content, dict) or not content:
        raise Refused(INVALID.format(reason="it has no pod"))
    return {pod: _backup(pod, value) for pod, value in content.items()}


def _backup(pod: str, value: Any) -> PodBackup:  # noqa: ANN401 - JSON
    if not isinstance(value, dict):
        raise Refused(INVALID.format(reason=f"pod {pod} has no map"))
    backup_id, tag = value.get("BackupID"), value.get("BackupTag", "")
    if not isinstance(backup_id, str) or not backup_id:
        raise Refused(INVALID.format(reason=f"pod {pod} has no BackupID"))
    return PodBackup(pod, backup_id, tag if isinstance(tag, str) else "")
