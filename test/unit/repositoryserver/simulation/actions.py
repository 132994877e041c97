"""What may happen to a cluster: each action does one thing, at any moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unit.repositoryserver.simulation import edits, outages, tampering

if TYPE_CHECKING:
    from collections.abc import Callable

    from fakes.simulation.cluster import Cluster

# Seconds between two of them: at once, within what a request or a pod takes, or when all is quiet.
PAUSES = (0.0, 0.01, 0.1, 1.0, 1.0, 5.0, 5.0, 20.0, 20.0, 100.0, 300.0)

# A seed takes some of them by their place here: a new one goes to the end.
ACTIONS: tuple[Callable[[Cluster], None], ...] = (
    edits.change_users,
    edits.edit_accesses,
    edits.edit_time_to_drain,
    edits.renew_certificate,
    edits.change_administrator,
    edits.change_users_and_administrator,
    edits.edit_pod,
    edits.edit_maintenance,
    edits.change_owner,
    edits.move_to_another_repository,
    edits.edit_labels,
    edits.edit_peers,
    edits.edit_publication,
    edits.spoil_secret,
    edits.mistake_repository_password,
    edits.delete_secret,
    edits.recreate_server,
    tampering.orphan_children,
    tampering.delete_child,
    tampering.leave_pods_behind,
    tampering.change_child,
    tampering.delete_pod,
    tampering.take_label_off,
    tampering.take_label_off_child,
    tampering.lose_pod,
    outages.kill_kopia,
    outages.fail_probe,
    outages.evict_pod,
    outages.lose_node,
    outages.take_storage_away,
    outages.take_registry_away,
    outages.kill_controller,
    outages.kill_controller_while_users_change,
    outages.change_users_twice,
    outages.upgrade_controller,
    outages.fail_requests,
    outages.take_right_away,
    outages.fill_quota,
    tampering.scale_replica_set,
    outages.stall_watch,
    outages.cut_watch,
)
