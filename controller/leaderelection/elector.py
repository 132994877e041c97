"""Leader election on a Lease: one replica works, the others stand by.

Follows client-go tools/leaderelection/leaderelection.go, with its names: `acquire`, `renew`,
`try_acquire_or_renew`, `release`. The content of the Lease, its times, and the rules about who may
take it and when are the same. Four things differ:

* Writes are fenced (`controller.leaderelection.fence`). A leader that was paused sends no write
  when it goes on.
* A renewal has one deadline, the time at which the fence closes. The leader gives up at that time,
  also while a request hangs.
* Candidates watch the Lease. They take it as soon as it is released or has expired. Polling every
  few seconds, as client-go does, is the fallback.
* A leader that observes another holder gives up at once. client-go tries on until the renew
  deadline.
"""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from controller.cache.trim import default_trim
from controller.clock import Deadline, DeadlineExceeded
from controller.errors import ClientError, Conflict, Forbidden, NotFound, Stopped
from controller.events import NORMAL
from controller.health import CheckFailed
from controller.leaderelection.lease import (
    JITTER_FACTOR,
    LEASES,
    ObservedLease,
    held_spec,
    holder_of,
    lease_informer,
    released_spec,
    spec_of,
)
from controller.resource import Object, micro_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.cache.informer import Informer
    from controller.clock import Clock
    from controller.events import EventRecorder
    from controller.leaderelection.fence import Fence
    from controller.leaderelection.lease import LeaseTerms
    from controller.metrics import Metrics
    from controller.rest.client import Client
    from controller.stop import Stop

#: Seconds for which the lease of a leader may have expired before the leader counts as hung
#: (healthzadaptor.go, with the tolerance of kube-controller-manager).
HUNG_TOLERANCE: Final = 20.0

#: The shortest time for a request, in seconds (controller-runtime
#: pkg/leaderelection/leader_election.go).
MIN_REQUEST_SECONDS: Final = 1.0

#: The exit code of a process that has lost its lease.
EXIT_LOST: Final = 1

EVENT_REASON: Final = "LeaderElection"
NOT_SENT: Final = "not sent: told to stop"

_log = structlog.get_logger()


def end_process(reason: str) -> NoReturn:
    """Exit at once: other threads of the process may be about to write.

    Args:
        reason: For the log.
    """
    _log.error("leader election lost, ending at once", reason=reason)
    os._exit(EXIT_LOST)


class LeaderElector:
    """Acquires the lease, renews it until the stop is set, and releases it.

    A runnable. Its informer is another runnable (see `informer`); the elector works without it.

    Args:
        client: Reads and writes the Lease. Not fenced, since the elector opens the fence.
        terms: The Lease and its times.
        identity: The name of this process in the Lease (see `new_identity`).
        fence: Open while this process leads.
        recorder: Records an event when this process begins to lead and when it stops. Its client is
            not fenced: the last event is written after the fence was closed.
        clock: The time.
        metrics: Exports `leader_election_master_status`.
        uniform: Draws a number between two. Default: `random.uniform`.
        on_lost: Called with the reason when this process has lost the lease. It must not return.
            Default: `end_process`.
    """

    #: Its name in logs, errors and probes.
    name = "leader election"

    def __init__(
        self,
        client: Client,
        terms: LeaseTerms,
        *,
        identity: str,
        fence: Fence,
        recorder: EventRecorder,
        clock: Clock,
        metrics: Metrics,
        uniform: Callable[[float, float], float] = random.uniform,
        on_lost: Callable[[str], NoReturn] = end_process,
    ) -> None:
        self._client = client
        self._terms = terms
        self._identity = identity
        self._fence = fence
        self._recorder = recorder
        self._clock = clock
        self._uniform = uniform
        self._on_lost = on_lost
        #: Called once, on the elector's thread, when this process begins to lead.
        self.on_started_leading: Callable[[], None] = lambda: None
        #: Follows the Lease. Run it beside the elector, and do not wait for it: without the right
        #: to list and watch leases it never syncs.
        self.informer: Informer = lease_informer(
            client, terms, clock=clock, metrics=metrics, on_watch_error=self._on_watch_error
        )
        self.informer.add_handler(self)

        self._status = metrics.leader_election_master_status.labels(name=terms.name)
        self._status.set(0)
        # True from acquiring the lease until the stop. Written by the elector's thread alone.
        self._leading = False
        # Whether a write was sent. If its answer was lost, the Lease may name this process.
        self._written = False
        # Ends a pause. Set if the Lease is released or taken by another process, and at the stop.
        self._woken = threading.Event()
        # Guards `_observed`, which the informer's thread writes as well, and the fence. Invariant:
        # the fence is open only while the Lease as observed names this process.
        self._lock = threading.RLock()
        self._observed = ObservedLease({}, clock.monotonic())
        # Whether the missing right to watch was logged. The informer's thread alone uses it.
        self._warned = False

    def run(self, stop: Stop) -> None:
        """Acquire the lease, renew it until the stop is set, and release it.

        Args:
            stop: Ends this after the request that is under way, which is cut if it hangs, and the
                two requests of the release. It takes the renew deadline at most, plus the grace of
                the transport for a request that hangs.
        """
        stop.call_back(self._woken.set)
        if self._acquire(stop):
            self._leading = True
            self._record_event("became leader")
            self._status.set(1)
            self.on_started_leading()
            self._renew(stop)
            self._leading = False
            self._record_event("stopped leading")
            self._status.set(0)
        if self._written:
            self._release()

    def is_leader(self) -> bool:
        """Return whether the Lease as last observed names this process."""
        return self._observed.holder == self._identity

    def check_alive(self) -> None:
        """Return if the elector does not hang. A check of the liveness probe (`Check`).

        Raises:
            CheckFailed: This process leads, and its lease has expired for longer than
                `HUNG_TOLERANCE`.
        """
        # A candidate does not hang. The Lease may name it if the answer to its write was lost.
        if not (self._leading and self.is_leader()):
            return
        expired_for = self._clock.monotonic() - self._observed.expires
        if expired_for > HUNG_TOLERANCE:
            raise CheckFailed(f"lease {self._terms.full_name} has expired {expired_for:.0f} s ago")

    def on_add(self, obj: Object, *, initial: bool) -> None:  # noqa: ARG002 - a handler's signature
        """Observe the Lease."""
        self._watched(obj)

    def on_update(self, old: Object, new: Object) -> None:  # noqa: ARG002 - a handler's signature
        """Observe a change of the Lease."""
        self._watched(new)

    def on_delete(self, obj: Object) -> None:
        """Do nothing: the holder creates a Lease again that somebody has deleted."""

    def _acquire(self, stop: Stop) -> bool:
        """Try to acquire the lease until that succeeds.

        Returns:
            True if this process leads, False if the stop was set.
        """
        _log.info("waiting to lead", lease=self._terms.full_name, identity=self._identity)
        while not stop.is_set():
            deadline = Deadline.after(self._clock, self._terms.renew_deadline, stop=stop)
            # The fence is closed if the write was answered after the renew deadline.
            if self._try_acquire_or_renew(deadline) and self._fence.remaining:
                return True
            pause = self._terms.retry_period * self._uniform(1.0, 1.0 + JITTER_FACTOR)
            expires_in = self._observed.expires - self._clock.monotonic()
            self._pause(min(pause, expires_in) if expires_in > 0 else pause, stop)
        return False

    def _renew(self, stop: Stop) -> None:
        """Renew the lease every retry period until the stop is set.

        Losing the lease ends the process.
        """
        terms = self._terms
        while not self._pause(min(terms.retry_period, self._fence.remaining), stop):
            if self._fence.remaining:
                deadline = Deadline.after(self._clock, self._fence.remaining, stop=stop)
                self._try_acquire_or_renew(deadline)
            if stop.is_set():
                return
            if not self.is_leader():
                holder = self._observed.holder
                what = f"was taken by {holder}" if holder else "was released by somebody else"
                self._lose(f"lease {terms.full_name} {what}")
            if not self._fence.remaining:
                self._lose(
                    f"lease {terms.full_name} was not renewed within {terms.renew_deadline:g} s"
                )

    def _release(self) -> None:
        """Release the lease, so that the next leader need not wait until it expires.

        The fence is closed first: after a failure, or a stop that took too long, reconciles may
        still be under way.
        """
        self._fence.close()
        deadline = Deadline.after(self._clock, self._terms.renew_deadline)
        while True:
            try:
                lease = self._get(deadline)
                if holder_of(lease) != self._identity:
                    return
                spec = released_spec(spec_of(lease), self._now())
                self._set_observed(self._update(lease, spec, deadline))
            except Conflict:
                # A renewal that was cut has reached the server after all.
                continue
            except NotFound:
                return
            except (ClientError, DeadlineExceeded) as error:
                _log.warning("lease not released, it will expire", error=str(error))
                return
            _log.info("lease released", lease=self._terms.full_name)
            return

    def _try_acquire_or_renew(self, deadline: Deadline) -> bool:
        """Acquire the lease if it is free or has expired, or renew it if this process holds it.

        Args:
            deadline: For all requests together.

        Returns:
            Whether this process holds it now. Errors are logged.
        """
        try:
            # 1. Renew the lease as it was last observed: one request in place of two. Read the
            # field once. The watch may replace it by the lease of another process, which this write
            # would then overwrite.
            observed = self._observed
            if observed.holder == self._identity and self._is_lease_valid(observed):
                try:
                    return self._write(observed.lease, deadline)
                except (ClientError, DeadlineExceeded) as error:
                    _log.info("lease not renewed, reading it anew", error=str(error))

            # 2. Read it.
            lease = self._read(deadline)

            # 3. Leave it alone while another process holds it. A deleted Lease counts as last
            # observed: its holder may still be at work.
            observed = self._observed
            if observed.holder not in ("", self._identity) and self._is_lease_valid(observed):
                return False

            # 4. Write this process into it.
            return self._write(lease, deadline)
        except (ClientError, DeadlineExceeded) as error:
            _log.info("lease not acquired or renewed", error=str(error))
            return False

    def _is_lease_valid(self, observed: ObservedLease) -> bool:
        """Return whether a lease has not expired by the clock of this process."""
        return self._clock.monotonic() < observed.expires

    def _read(self, deadline: Deadline) -> Object:
        """Return the Lease of the API server, empty if there is none, and observe it.

        A Lease that is older than the observed one ends the process: etcd was restored from a
        backup. Resource versions begin anew then, and watches from later versions stay silent. The
        caches of this process would go on to hold objects that the API server has lost.
        """
        known = self._observed
        try:
            lease = self._get(deadline)
        except NotFound:
            return {}
        if known.is_newer_than(lease):
            name = self._terms.full_name
            self._lose(f"lease {name} is older than before: etcd was restored from a backup")
        self._set_observed(lease)
        return lease

    def _write(self, lease: Object, deadline: Deadline) -> bool:
        """Write this process into the Lease, and open the fence.

        Args:
            lease: The state to replace; empty to create the Lease.
            deadline: For the request.

        Returns:
            Whether this process holds the lease. False if the watch has shown another holder
            meanwhile.

        Raises:
            Conflict: The Lease is no longer in this state.
        """
        # Before the request: other candidates count from when they observe the result.
        sent = self._clock.monotonic()
        spec = held_spec(spec_of(lease), self._identity, self._terms, self._now())
        written = self._update(lease, spec, deadline) if lease else self._create(spec, deadline)
        with self._lock:
            self._set_observed(written)
            if self.is_leader():
                self._fence.open_until(sent + self._terms.renew_deadline)
            return self.is_leader()

    def _get(self, deadline: Deadline) -> Object:
        terms = self._terms
        bounded = self._request_deadline(deadline)
        return self._client.get(LEASES, terms.namespace, terms.name, deadline=bounded)

    def _create(self, spec: Object, deadline: Deadline) -> Object:
        terms = self._terms
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"namespace": terms.namespace, "name": terms.name},
            "spec": spec,
        }
        bounded = self._request_deadline(deadline)
        self._written = True
        return self._client.create(LEASES, terms.namespace, body, deadline=bounded)

    def _update(self, lease: Object, spec: Object, deadline: Deadline) -> Object:
        """Replace the spec of a Lease.

        Raises:
            Conflict: The Lease is no longer in this state.
        """
        terms = self._terms
        body = default_trim({**lease, "metadata": dict(lease["metadata"]), "spec": spec})
        bounded = self._request_deadline(deadline)
        self._written = True
        return self._client.update(LEASES, terms.namespace, terms.name, body, deadline=bounded)

    def _request_deadline(self, deadline: Deadline) -> Deadline:
        """Return the deadline for the next request.

        It is half the renew deadline at most, so that a single request that hangs does not cost the
        lease (controller-runtime pkg/leaderelection/leader_election.go).

        Raises:
            NotLeading: This process leads, and its fence is closed.
            Stopped: The stop was set. The release comes next, not a second try of a renewal.
            DeadlineExceeded: No time is left.
        """
        if self._leading:
            self._fence.check()
        if deadline.stop is not None and deadline.stop.is_set():
            raise Stopped(NOT_SENT)
        deadline.check()
        return deadline.within(max(MIN_REQUEST_SECONDS, self._terms.renew_deadline / 2))

    def _set_observed(self, lease: Object) -> None:
        """Record a state of the Lease, if it is newer. Close the fence if the lease is lost."""
        with self._lock:
            before = self._observed
            after = self._observed = before.followed_by(lease, self._clock.monotonic())
            if before.holder == self._identity != after.holder:
                self._fence.close()
        if after.holder not in ("", before.holder):
            _log.info("new leader", lease=self._terms.full_name, leader=after.holder)

    def _watched(self, lease: Object) -> None:
        """Record what the watch shows. End the pause if the lease is free or lost."""
        led = self.is_leader()
        self._set_observed(lease)
        if not self._observed.holder or (led and not self.is_leader()):
            self._woken.set()

    def _on_watch_error(self, error: ClientError) -> None:
        """Log the error that ended list and watch. A missing right is logged once."""
        if not isinstance(error, Forbidden):
            _log.warning("list and watch failed", resource=LEASES.full_name, error=str(error))
        elif not self._warned:
            self._warned = True
            _log.warning(
                "polling the lease: the right to list and watch it is missing",
                lease=self._terms.full_name,
                resource=LEASES.full_name,
                verbs="list, watch",
                every_seconds=self._terms.retry_period,
                error=str(error),
            )

    def _lose(self, reason: str) -> NoReturn:
        self._fence.close()
        self._status.set(0)
        self._on_lost(reason)

    def _record_event(self, what: str) -> None:
        note = f"{self._identity} {what}"
        _log.info(note, lease=self._terms.full_name)
        self._recorder.event(self._observed.lease, NORMAL, EVENT_REASON, note, EVENT_REASON)

    def _pause(self, seconds: float, stop: Stop) -> bool:
        """Wait for some seconds, or until woken. Return whether the stop was set."""
        self._clock.wait_event(self._woken, seconds)
        self._woken.clear()
        return stop.is_set()

    def _now(self) -> str:
        return micro_time(self._clock.now())
