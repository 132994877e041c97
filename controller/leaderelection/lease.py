"""The Lease that candidates compete for: its terms, its content, and the informer that follows it.

The content is that of LeaderElectionRecord in client-go
tools/leaderelection/resourcelock/interface.go.
"""

from __future__ import annotations

import socket
import uuid
from typing import TYPE_CHECKING, Final

from attrs import field, frozen

from controller.cache.informer import Informer
from controller.resource import Object, Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock
    from controller.errors import ClientError
    from controller.metrics import Metrics
    from controller.rest.client import Client

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")

#: The default times, in seconds (controller-runtime pkg/manager/internal.go).
DEFAULT_LEASE_DURATION: Final = 15
DEFAULT_RENEW_DEADLINE: Final = 10.0
DEFAULT_RETRY_PERIOD: Final = 2.0

#: Candidates try again after 1 to 2.2 retry periods, so that they do not all try at once
#: (leaderelection.go `JitterFactor`).
JITTER_FACTOR: Final = 1.2

#: The duration of a released lease, in whole seconds. The API server refuses 0 (leaderelection.go
#: `release`).
RELEASED_DURATION: Final = 1


@frozen
class LeaseTerms:
    """The Lease and its times (`LeaderElectionConfig`). They must be equal for all candidates.

    Args:
        namespace: The namespace of the Lease.
        name: The name of the Lease.
        lease_duration: Seconds after the last change that a candidate has observed until it may
            take the Lease from its holder. A whole number. Default: 15.
        renew_deadline: Seconds after its last renewal until the leader gives up. Default: 10.
        retry_period: Seconds between two tries to acquire or renew. Default: 2.

    Raises:
        ValueError: The times do not fit together (leaderelection.go `NewLeaderElector`).
    """

    namespace: str
    name: str
    lease_duration: int = DEFAULT_LEASE_DURATION
    renew_deadline: float = DEFAULT_RENEW_DEADLINE
    retry_period: float = field(default=DEFAULT_RETRY_PERIOD)

    @retry_period.validator
    def _validate(self, _attribute: object, _value: float) -> None:
        duration, deadline, period = self.lease_duration, self.renew_deadline, self.retry_period
        if period <= 0:
            raise ValueError(f"the retry period ({period:g} s) must be above 0")
        if deadline <= JITTER_FACTOR * period:
            raise ValueError(
                f"the renew deadline ({deadline:g} s) must be above {JITTER_FACTOR:g} times the"
                f" retry period ({period:g} s)"
            )
        if duration <= deadline:
            raise ValueError(
                f"the lease duration ({duration:g} s) must be above the renew deadline"
                f" ({deadline:g} s)"
            )

    @property
    def full_name(self) -> str:
        """The namespace and name of the Lease, for messages."""
        return f"{self.namespace}/{self.name}"


@frozen
class ObservedLease:
    """A state of the Lease, and when this process first observed it.

    The counterpart of observedRecord and observedTime in leaderelection.go. The times in the Lease
    come from the clock of its holder. They are not compared with those of this process.

    Args:
        lease: The Lease; empty if none was observed.
        since: When its spec was first observed, in monotonic seconds.
    """

    lease: Object
    since: float

    @property
    def holder(self) -> str:
        """The identity of its holder; "" if it has none."""
        return holder_of(self.lease)

    @property
    def expires(self) -> float:
        """When candidates may take it from its holder, in monotonic seconds."""
        return self.since + (spec_of(self.lease).get("leaseDurationSeconds") or 0)

    def is_newer_than(self, lease: Object) -> bool:
        """Return whether this state is newer than another one of the Lease."""
        return bool(self.lease) and version_of(lease) < version_of(self.lease)

    def followed_by(self, lease: Object, now: float) -> ObservedLease:
        """Return what is observed after one more state of the Lease was seen.

        Args:
            lease: That state. It changes nothing if it is not newer. If its spec is the same, only
                a label for example has changed, and the lease expires when it did before.
            now: When it was seen, in monotonic seconds.
        """
        if self.lease and version_of(lease) <= version_of(self.lease):
            return self
        same = spec_of(lease) == spec_of(self.lease)
        return ObservedLease(lease, self.since if same else now)


def spec_of(lease: Object) -> Object:
    """Return the spec of a Lease, empty if it has none."""
    spec: Object = lease.get("spec") or {}
    return spec


def holder_of(lease: Object) -> str:
    """Return the identity of the holder of a Lease, "" if it has none."""
    return spec_of(lease).get("holderIdentity") or ""


def version_of(lease: Object) -> int:
    """Return the resource version of a Lease. It grows with each change."""
    return int(lease["metadata"]["resourceVersion"])


def held_spec(before: Object, identity: str, terms: LeaseTerms, now: str) -> Object:
    """Return the spec with which a process acquires or renews the Lease.

    Args:
        before: The spec so far; empty for a new Lease. Fields set by others are kept.
        identity: The new holder.
        terms: The lease duration.
        now: The wall-clock time, as a MicroTime.
    """
    renews = before.get("holderIdentity") == identity
    transitions = before.get("leaseTransitions") or 0
    return {
        **before,
        "holderIdentity": identity,
        "leaseDurationSeconds": terms.lease_duration,
        "acquireTime": before.get("acquireTime", now) if renews else now,
        "renewTime": now,
        "leaseTransitions": transitions if renews or not before else transitions + 1,
    }


def released_spec(before: Object, now: str) -> Object:
    """Return the spec with which the holder releases the Lease.

    Args:
        before: The spec so far. Fields set by others are kept.
        now: The wall-clock time, as a MicroTime.
    """
    return {
        **before,
        "holderIdentity": "",
        "leaseDurationSeconds": RELEASED_DURATION,
        "acquireTime": now,
        "renewTime": now,
    }


def new_identity() -> str:
    """Return an identity that no other process has, as `hostname_uuid`."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def lease_informer(
    client: Client,
    terms: LeaseTerms,
    *,
    clock: Clock,
    metrics: Metrics,
    on_watch_error: Callable[[ClientError], None],
) -> Informer:
    """Return an informer of a single Lease.

    Args:
        client: Lists and watches it.
        terms: The Lease.
        clock: The time.
        metrics: Exports the series of the informer.
        on_watch_error: Called with each error that ends list and watch.
    """
    return Informer(
        client,
        LEASES,
        terms.namespace,
        clock=clock,
        metrics=metrics,
        field_selector=f"metadata.name={terms.name}",
        on_watch_error=on_watch_error,
    )
