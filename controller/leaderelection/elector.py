"""One replica works, the others stand by: leader election on a Lease.

Follows client-go tools/leaderelection/leaderelection.go: the record, its times, who may take it
when, and when a leader gives up. Three things are done beyond it, all of them without a request
more:

* Writes are fenced (`Fence`): a leader that was paused sends nothing when it wakes.
* A candidate follows the Lease by a watch as well, so that it takes over the moment that the Lease
  is given up, and the moment that it expires; asking every few seconds, as client-go does, is the
  fallback.
* A leader that sees another one in the Lease has lost it at once.
"""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from controller.cache.informer import default_trim
from controller.clock import Deadline, DeadlineExceeded
from controller.errors import ClientError, Conflict, NotFound
from controller.events import NORMAL
from controller.leaderelection.lease import JITTER_FACTOR, LEASES
from controller.resource import Object, micro_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock
    from controller.events import EventRecorder
    from controller.leaderelection.fence import Fence
    from controller.leaderelection.lease import LeaseTerms
    from controller.metrics import Metrics
    from controller.rest.client import Client

#: Seconds beyond the lease's end after which a leader's thread that neither renews nor gives up
#: counts as hung (healthzadaptor.go, with the tolerance that kube-controller-manager sets).
HUNG_TOLERANCE: Final = 20.0

EVENT_REASON: Final = "LeaderElection"
BECAME_LEADER: Final = "{identity} became leader"
STOPPED_LEADING: Final = "{identity} stopped leading"
NOT_RENEWED: Final = "lease {lease} was not renewed within {seconds:g} s"
TAKEN: Final = "lease {lease} was taken by {holder}"
RESTORED: Final = "lease {lease} is older than before: etcd was restored from a backup"
HUNG: Final = "{name}: lease {lease} has expired {seconds:.0f} s ago"

EXIT_LOST: Final = 1

_log = structlog.get_logger()


def end_process(reason: str) -> NoReturn:
    """End the process at once: none of its threads may go on."""
    _log.error("leader election lost, ending at once", reason=reason)
    os._exit(EXIT_LOST)


class LeaderElector:
    """Waits to lead, and keeps leading until it is told to stop.

    A runnable, and a handler for an informer of the Lease.
    """

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
        """Make a candidate; `run` lets it stand.

        Args:
            client: Reads and writes the Lease; not fenced.
            terms: Which Lease, and its times.
            identity: What the Lease calls this process; see `new_identity`.
            fence: Open while this process leads.
            recorder: Told of the beginning and the end; its client is not fenced either, or the
                end would go untold.
            clock: For all times but those written into the Lease.
            metrics: Where the state is shown.
            uniform: Draws a number between two, as `random.uniform`.
            on_lost: Called with the reason when this process must not go on; must not return.
        """
        self._client = client
        self._terms = terms
        self._identity = identity
        self._fence = fence
        self._recorder = recorder
        self._clock = clock
        self._uniform = uniform
        self._on_lost = on_lost
        #: Called once, on the elector's thread, when this process leads.
        self.on_started_leading: Callable[[], None] = lambda: None

        self._status = metrics.leader_election_master_status.labels(name=terms.name)
        self._status.set(0)
        # Ends a pause: the Lease has become free, another one holds it now, or this is to stop.
        self._woken = threading.Event()
        # Guards the two fields below, which the informer's thread writes as well.
        self._lock = threading.Lock()
        # The newest state seen, empty if there was none, and since when, in monotonic seconds.
        self._observed: Object = {}
        self._observed_at = clock.monotonic()

    def hung(self) -> str:
        """Tell whether the lease has expired and this process has not ended.

        Returns:
            For how long; "" while it leads, or waits to.
        """
        with self._lock:
            expired_for = self._clock.monotonic() - self._expires_locked()
            leading = _holder(self._observed) == self._identity
        if not leading or expired_for <= HUNG_TOLERANCE:
            return ""
        return HUNG.format(name=self.name, lease=self._terms.full_name, seconds=expired_for)

    def on_add(self, obj: Object, *, initial: bool) -> None:  # noqa: ARG002 - a handler's signature
        """Take note of the Lease."""
        self._see(obj)

    def on_update(self, old: Object, new: Object) -> None:  # noqa: ARG002 - a handler's signature
        """Take note of a change of the Lease."""
        self._see(new)

    def on_delete(self, obj: Object) -> None:
        """Do nothing: who holds a Lease that somebody deletes makes it again."""

    def run(self, stop: threading.Event) -> None:
        """Wait to lead, lead, and give the lease up when told to.

        Another process leads at once then, so the fence closes first.

        Args:
            stop: Ends this.
        """
        threading.Thread(target=self._wake_at, args=(stop,), name="wake", daemon=True).start()
        if not self._acquire(stop):
            return
        self._tell(BECAME_LEADER)
        self._status.set(1)
        self.on_started_leading()
        self._keep(stop)
        self._tell(STOPPED_LEADING)
        self._status.set(0)
        self._release()

    def _acquire(self, stop: threading.Event) -> bool:
        """Try until this process leads (True), or it is told to stop (False)."""
        _log.info("waiting to lead", lease=self._terms.full_name, identity=self._identity)
        while not stop.is_set():
            if self._try_acquire_or_renew() and self._fence.remaining:
                return True
            period = self._terms.retry_period
            self._pause(self._until_free(period * self._uniform(1.0, 1.0 + JITTER_FACTOR)), stop)
        return False

    def _keep(self, stop: threading.Event) -> None:
        """Renew the lease until told to stop; losing it ends the process."""
        terms = self._terms
        while not stop.is_set():
            self._pause(min(terms.retry_period, self._fence.remaining), stop)
            if self._fence.remaining and not stop.is_set():
                self._try_acquire_or_renew()
            if not self._is_leader():
                self._lose(TAKEN.format(lease=terms.full_name, holder=_holder(self._seen())))
            if not self._fence.remaining:
                reason = NOT_RENEWED.format(lease=terms.full_name, seconds=terms.renew_deadline)
                self._lose(reason)

    def _lose(self, reason: str) -> NoReturn:
        self._fence.open_until(self._clock.monotonic())
        self._status.set(0)
        self._on_lost(reason)

    def _release(self) -> None:
        """Make the Lease free, so that the next leader need not wait until it expires."""
        # A reconcile may be under way even now, where the process ends because a worker has failed.
        self._fence.open_until(self._clock.monotonic())
        deadline = Deadline.after(self._clock, self._terms.renew_deadline)
        while True:
            try:
                lease = self._get(deadline)
                if _holder(lease) != self._identity:
                    return
                now = micro_time(self._clock.now())
                free = {
                    "holderIdentity": "",
                    "leaseDurationSeconds": 1,
                    "acquireTime": now,
                    "renewTime": now,
                }
                self._update(lease, {**_spec(lease), **free}, deadline)
            except Conflict:
                continue
            except (ClientError, DeadlineExceeded) as error:
                _log.warning("lease not released, it will expire", error=str(error))
                return
            _log.info("lease released", lease=self._terms.full_name)
            return

    def _try_acquire_or_renew(self) -> bool:
        """Write this process into the Lease if that may be; return whether it was written."""
        try:
            return self._renewed() or self._acquired()
        except (ClientError, DeadlineExceeded) as error:
            _log.info("lease not acquired or renewed", error=str(error))
            return False

    def _renewed(self) -> bool:
        """Renew the Lease as it was seen last, with one request instead of two.

        Returns:
            False if it is not this process's, has changed since, or the answer was lost.
        """
        # Looked at once: to the next look the watch may show the Lease in another's hand.
        lease = self._seen()
        if _holder(lease) != self._identity:
            return False
        try:
            self._write(lease)
        except (ClientError, DeadlineExceeded) as error:
            _log.info("lease not renewed, reading it anew", error=str(error))
            return False
        return True

    def _acquired(self) -> bool:
        """Take the Lease if it is free, expired, or this process's own.

        One that is gone is as it was seen last: its holder may still be at work. One that is older
        than what was known before it was read ends the process: versions begin anew, watches from
        later ones stay silent, and so all that this process knows may be of a time that never was.
        """
        known = self._seen()
        try:
            lease = self._get(self._deadline())
        except NotFound:
            lease = {}
        else:
            if known and _version(lease) < _version(known):
                self._lose(RESTORED.format(lease=self._terms.full_name))
            self._observe(lease)
        if self._is_held():
            return False
        self._write(lease)
        return True

    def _write(self, lease: Object) -> None:
        """Write this process into a Lease that is in this state; an empty one is made."""
        # Before the request: whoever takes over counts from the time at which it sees the result.
        started = self._clock.monotonic()
        deadline = self._deadline()
        record = self._record(_spec(lease))
        if lease:
            written = self._update(lease, record, deadline)
        else:
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"namespace": self._terms.namespace, "name": self._terms.name},
                "spec": record,
            }
            written = self._client.create(LEASES, self._terms.namespace, body, deadline=deadline)
        self._observe(written)
        self._fence.open_until(started + self._terms.renew_deadline)

    def _record(self, before: Object) -> Object:
        """Return a Lease's new content; the fields of others are kept."""
        leading = before.get("holderIdentity") == self._identity
        now = micro_time(self._clock.now())
        transitions = before.get("leaseTransitions") or 0
        return {
            **before,
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._terms.lease_duration,
            "acquireTime": before.get("acquireTime", now) if leading else now,
            "renewTime": now,
            "leaseTransitions": transitions if leading or not before else transitions + 1,
        }

    def _get(self, deadline: Deadline) -> Object:
        terms = self._terms
        return self._client.get(LEASES, terms.namespace, terms.name, deadline=deadline)

    def _update(self, lease: Object, spec: Object, deadline: Deadline) -> Object:
        """Replace the content; a `Conflict` if the Lease is no longer in this state."""
        terms = self._terms
        body = default_trim({**lease, "metadata": dict(lease["metadata"]), "spec": spec})
        return self._client.update(LEASES, terms.namespace, terms.name, body, deadline=deadline)

    def _deadline(self) -> Deadline:
        """Return the deadline for one request.

        Half of the time for renewing (controller-runtime pkg/leaderelection), so that one request
        that hangs does not cost the lease; a leader's ends with its time.
        """
        seconds = max(1.0, self._terms.renew_deadline / 2)
        if self._is_leader():
            seconds = min(seconds, self._fence.remaining or seconds)
        return Deadline.after(self._clock, seconds)

    def _see(self, lease: Object) -> None:
        """Take note of what the watch shows; a Lease that is free or lost ends the pause."""
        if not self._is_ours(lease):
            return
        led = self._is_leader()
        self._observe(lease)
        if not _holder(lease) or (led and not self._is_leader()):
            self._woken.set()

    def _is_ours(self, lease: Object) -> bool:
        metadata = lease["metadata"]
        return (metadata["namespace"], metadata["name"]) == (
            self._terms.namespace,
            self._terms.name,
        )

    def _observe(self, lease: Object) -> None:
        """Take note of a state of the Lease, if it is newer than what is known.

        What counts is when its content was first seen, by this process's clock: the times written
        in it are the holder's, and clocks differ.
        """
        with self._lock:
            before = _holder(self._observed)
            if self._observed and _version(lease) <= _version(self._observed):
                return
            if _spec(lease) != _spec(self._observed):
                self._observed_at = self._clock.monotonic()
            self._observed = lease
        holder = _holder(lease)
        if holder and holder != before:
            _log.info("new leader", lease=self._terms.full_name, leader=holder)

    def _seen(self) -> Object:
        with self._lock:
            return self._observed

    def _is_leader(self) -> bool:
        return _holder(self._seen()) == self._identity

    def _is_held(self) -> bool:
        """Tell whether another process holds the Lease, and it has not expired."""
        with self._lock:
            holder = _holder(self._observed)
            valid = self._clock.monotonic() < self._expires_locked()
        return valid and holder not in ("", self._identity)

    def _until_free(self, seconds: float) -> float:
        """Return so many seconds, or fewer if the Lease expires before."""
        with self._lock:
            left = self._expires_locked() - self._clock.monotonic()
        return min(seconds, left) if left > 0 else seconds

    def _expires_locked(self) -> float:
        return self._observed_at + (_spec(self._observed).get("leaseDurationSeconds") or 0)

    def _tell(self, note: str) -> None:
        told = note.format(identity=self._identity)
        _log.info(told, lease=self._terms.full_name)
        self._recorder.event(self._seen(), NORMAL, EVENT_REASON, told, EVENT_REASON)

    def _pause(self, seconds: float, stop: threading.Event) -> None:
        self._clock.wait_event(self._woken, seconds)
        if not stop.is_set():
            self._woken.clear()

    def _wake_at(self, stop: threading.Event) -> None:
        stop.wait()
        self._woken.set()


def _spec(lease: Object) -> Object:
    spec: Object = lease.get("spec") or {}
    return spec


def _holder(lease: Object) -> str:
    return _spec(lease).get("holderIdentity") or ""


def _version(lease: Object) -> int:
    return int(lease["metadata"]["resourceVersion"])
