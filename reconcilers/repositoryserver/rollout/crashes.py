"""Replacing pods that crash again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.conditions import TRUE, conditions_of, get_condition, parse_time
from reconcilers import resources
from reconcilers.repositoryserver.rollout import plan, podstatus, retry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.clock import Clock
    from reconcilers.repositoryserver.children.applier import ChildApplier
    from reconcilers.repositoryserver.context import ReconcileContext


class CrashReplacer:
    """Deletes pods that crash after a pause, so that their ReplicaSets make others.

    The kubelet would leave them for up to five minutes.

    Args:
        applier: Deletes.
        clock: The time.
    """

    def __init__(self, *, applier: ChildApplier, clock: Clock) -> None:
        self._applier = applier
        self._clock = clock

    def ensure_replaced(
        self, current: ReconcileContext, pods: Iterable[Mapping[str, Any] | None]
    ) -> None:
        """Delete those of the pods whose last crash is long enough ago.

        Args:
            current: The reconcile.
            pods: The pods that matter to the server, one of them twice maybe; None for none.

        Raises:
            ClientError: The API server refused or could not be reached.
        """
        pause = retry.pause(self._not_ready_seconds(current))
        for pod in {pod["metadata"]["uid"]: pod for pod in pods if pod is not None}.values():
            crashed = podstatus.failed_since(pod)
            if crashed is None or plan.is_over(pod):
                continue
            # An end that lies ahead is long ago as well: a clock was set back.
            since = abs((self._clock.now() - crashed).total_seconds())
            if since < pause:
                current.look_again(pause - since)
            else:
                self._applier.delete(current, resources.PODS, pod, plan.WHY_FAILED)

    def _not_ready_seconds(self, current: ReconcileContext) -> float:
        ready = get_condition(conditions_of(current.obj), "Ready")
        if ready is None or ready["status"] == TRUE:
            return 0.0
        return (self._clock.now() - parse_time(ready["lastTransitionTime"])).total_seconds()
