"""What a reconciler is asked, and what it answers."""

from typing import Protocol

from attrs import frozen

from controller.clock import Deadline

#: All that a reconciler needs, the deadline that it is given among them.
__all__ = ["Deadline", "Reconciler", "Request", "Result", "TerminalError"]


@frozen(cache_hash=True)
class Request:
    """The object to reconcile: its name only, the state is read when the work begins.

    Args:
        namespace: The object's; "" for a cluster-scoped one.
        name: The object's.
    """

    namespace: str
    name: str


@frozen
class Result:
    """When a reconcile without an error is to be repeated, if no event comes before.

    Args:
        requeue_after: Seconds until then; None means not at all, unless `requeue` is set. 0 or
            less is at once, and not never as in controller-runtime: what is left until a time can
            be just that.
        requeue: Repeat it after the rate limiter's delay.
        priority: Priority of the repetition; None keeps the one that this reconcile had.
    """

    requeue_after: float | None = None
    requeue: bool = False
    priority: int | None = None


class TerminalError(Exception):
    """A failure that no retry can mend, until somebody changes the object or what it refers to.

    Raised by a reconciler in place of a result (controller-runtime pkg/reconcile: TerminalError).
    The worker logs it as an error, counts it in `reconcile_total{result="error"}`,
    `reconcile_errors_total` and `terminal_reconcile_errors_total`, and does not add the request
    again: it returns with the next event that maps to it, or with a resync. The rate limiter does
    not forget it either: if a later reconcile fails with another error, the delay goes on from
    where it was.
    """


class Reconciler(Protocol):
    """Brings one object to its desired state."""

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        """Compare what is with what should be and act on the difference.

        Called by several threads, but never by two at once for the same request. An object that is
        gone is no error.

        Args:
            request: The object's namespace and name.
            deadline: When the work must have ended. Pass it to each request: nothing else
                interrupts it.

        Returns:
            Whether to come back without an event.

        Raises:
            TerminalError: Retrying is of no use.
            ClientError: The API server refused or did not answer; the request is retried.
            DeadlineExceeded: Time was up; the request is retried.
        """
