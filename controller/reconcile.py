"""The interface of a reconciler: the request, the result, and the protocol.

Follows controller-runtime pkg/reconcile/reconcile.go.
"""

from typing import Protocol

from attrs import frozen

from controller.clock import Deadline

#: All that a reconciler needs, the deadline that it is given among them.
__all__ = ["Deadline", "Reconciler", "Request", "Result", "TerminalError"]


@frozen(cache_hash=True)
class Request:
    """The key of the object to reconcile. Its state is read when the reconcile begins.

    Args:
        namespace: The namespace of the object; "" for a cluster-scoped one.
        name: The name of the object.
    """

    namespace: str
    name: str


@frozen
class Result:
    """The result of a reconcile that succeeded: whether and when to reconcile again.

    An event for the object may bring it back earlier.

    Args:
        requeue_after: Seconds until the next reconcile. 0 or less means at once: the time until
            something is due may have passed. controller-runtime reads 0 as never. Default: None,
            no next reconcile unless `requeue` is set.
        requeue: Reconcile again after the delay of the rate limiter. Default: False.
        priority: The priority of the next reconcile. Default: None, that of this one.
    """

    requeue_after: float | None = None
    requeue: bool = False
    priority: int | None = None


class TerminalError(Exception):
    """A failure that no retry can mend. Somebody must change the object or what it refers to.

    A reconciler raises it (controller-runtime `reconcile.TerminalError`). The worker logs it as an
    error and counts it in `reconcile_total{result="error"}`, `reconcile_errors_total` and
    `terminal_reconcile_errors_total`. It does not add the request again: the next event that maps
    to it, or a resync, does. The rate limiter does not forget the request. If a later reconcile
    fails with another error, its delay continues from the last one.
    """


class Reconciler(Protocol):
    """Brings one object to its desired state."""

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        """Compare the actual state with the desired one, and act on the difference.

        Called on several threads, never on two at once for one request. It is no error if the
        object does not exist any more.

        Args:
            request: The namespace and name of the object.
            deadline: When the reconcile must have ended. Pass it to each request to the API server:
                nothing else interrupts one.

        Returns:
            Whether and when to reconcile again without an event.

        Raises:
            TerminalError: No retry can help.
            ClientError: The API server refused or did not answer. The reconcile is retried.
            DeadlineExceeded: No time was left. The reconcile is retried.
        """
