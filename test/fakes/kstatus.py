"""What kstatus makes of a custom resource: kubernetes-sigs/cli-utils pkg/kstatus/status.

As of generic.go, checkGenericProperties, and of Compute for a kind without rules of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.conditions import TRUE, conditions_of

if TYPE_CHECKING:
    from controller.resource import Object


def compute(obj: Object) -> str:
    """Return Terminating, InProgress, Failed or Current."""
    metadata = obj["metadata"]
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    observed = (obj.get("status") or {}).get("observedGeneration")
    if observed is not None and observed != metadata.get("generation"):
        return "InProgress"
    for condition in conditions_of(obj):
        if condition["status"] == TRUE and condition["type"] == "Reconciling":
            return "InProgress"
        if condition["status"] == TRUE and condition["type"] == "Stalled":
            return "Failed"
    return "Current"
