"""All data functions, by name and version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reconcilers.datafunctions.functions import (
    backup_data,
    backup_data_all,
    backup_data_stats,
    backup_data_using_kopia_server,
    copy_volume_data,
    delete_data,
    delete_data_all,
    delete_data_using_kopia_server,
    restore_data,
    restore_data_all,
    restore_data_using_kopia_server,
)
from reconcilers.datafunctions.registry import Registry

if TYPE_CHECKING:
    from reconcilers.datafunctions.function import AnyFunction

#: The eight of Kanister's on restic, and the three that Kanister has removed.
FUNCTIONS: Final[Registry[AnyFunction]] = Registry(
    (
        backup_data.FUNCTION,
        backup_data_all.FUNCTION,
        backup_data_stats.FUNCTION,
        backup_data_using_kopia_server.FUNCTION,
        copy_volume_data.FUNCTION,
        delete_data.FUNCTION,
        delete_data_all.FUNCTION,
        delete_data_using_kopia_server.FUNCTION,
        restore_data.FUNCTION,
        restore_data_all.FUNCTION,
        restore_data_using_kopia_server.FUNCTION,
    )
)
