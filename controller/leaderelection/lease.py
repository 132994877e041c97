"""The Lease that candidates agree on."""

from __future__ import annotations

import socket
import uuid
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from controller.cache.informer import Informer
from controller.resource import Resource

if TYPE_CHECKING:
    from controller.clock import Clock
    from controller.metrics import Metrics
    from controller.rest.client import Client

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

# controller-runtime pkg/manager/internal.go, in seconds.
DEFAULT_LEASE_DURATION: Final = 15
DEFAULT_RENEW_DEADLINE: Final = 10.0
DEFAULT_RETRY_PERIOD: Final = 2.0

#: Candidates ask after 1 to 2.2 retry periods, so that they do not all ask at once.
JITTER_FACTOR: Final = 1.2

DEADLINE_TOO_LONG: Final = (
    "the lease duration ({duration:g} s) must be above the renew deadline ({deadline:g} s)"
)
RETRY_TOO_LONG: Final = (
    "the renew deadline ({deadline:g} s) must be above {factor:g} times the retry period"
    " ({period:g} s)"
)
NOT_POSITIVE: Final = "the retry period ({period:g} s) must be above 0"


def new_identity() -> str:
    """Return a name for this process that no other one has: `hostname_uuid`."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@frozen
class LeaseTerms:
    """What all candidates for a Lease agree on.

    Attributes:
        namespace: The Lease's.
        name: Its name.
        lease_duration: Whole seconds after its last renewal was seen that others leave it alone.
        renew_deadline: Seconds after its last renewal that the leader gives up.
        retry_period: Seconds between two tries.

    Raises:
        ValueError: The times do not fit together.
    """

    namespace: str
    name: str
    lease_duration: int = DEFAULT_LEASE_DURATION
    renew_deadline: float = DEFAULT_RENEW_DEADLINE
    retry_period: float = field(default=DEFAULT_RETRY_PERIOD)

    @retry_period.validator
    def _fits(self, _attribute: object, _value: float) -> None:
        duration, deadline, period = self.lease_duration, self.renew_deadline, self.retry_period
        if period <= 0:
            raise ValueError(NOT_POSITIVE.format(period=period))
        if deadline <= JITTER_FACTOR * period:
            raise ValueError(
                RETRY_TOO_LONG.format(deadline=deadline, period=period, factor=JITTER_FACTOR)
            )
        if duration <= deadline:
            raise ValueError(DEADLINE_TOO_LONG.format(duration=duration, deadline=deadline))

    @property
    def full_name(self) -> str:
        """Namespace and name, for messages."""
        return f"{self.namespace}/{self.name}"


def lease_informer(
    client: Client, terms: LeaseTerms, *, clock: Clock, metrics: Metrics
) -> Informer:
    """Return an informer of the Lease that candidates agree on, and of no other.

    Args:
        client: Whom to ask; not one that the elector's fence stops.
        terms: Which Lease.
        clock: For the informer's pauses.
        metrics: Where its size and age are shown.
    """
    return Informer(
        client,
        LEASES,
        terms.namespace,
        clock=clock,
        metrics=metrics,
        field_selector=f"metadata.name={terms.name}",
    )
