"""An API server with one Lease, and candidates for it that are threads of the test.

Nothing but the fake clock moves time, so that each test says at which second something happens.
"""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import define, field
from prometheus_client import CollectorRegistry

from controller.clock import DeadlineExceeded
from controller.errors import Conflict, NotFound, Stopped, TransportError
from controller.leaderelection.elector import LeaderElector
from controller.leaderelection.fence import Fence
from controller.leaderelection.lease import LeaseTerms
from controller.metrics import Metrics
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Deadline
    from controller.resource import Object, Resource

TERMS = LeaseTerms("backup", "controller")
REFUSED = TransportError("connection refused", refused=True)

#: Seconds that the transport leaves a request that hangs at the stop.
STOP_GRACE_SECONDS = 1.0


def lease(holder: str, **spec: Any) -> Object:
    """Make a Lease that somebody holds, by a clock that is wrong by years."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"namespace": "backup", "name": "controller", "labels": {"kept": "yes"}},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "acquireTime": "2001-01-01T00:00:00.000000Z",
            "renewTime": "2001-01-01T00:00:00.000000Z",
            "leaseTransitions": 3,
            **spec,
        },
    }


class FakeApi:
    """An API server with one Lease, and the watches on it."""

    def __init__(self) -> None:
        # Guards all fields; notified after each request.
        self._changed = threading.Condition(threading.RLock())
        self._version = 100
        self._lease: Object | None = None
        self._watchers: list[LeaderElector] = []
        self.requests: list[str] = []

    @property
    def spec(self) -> Object:
        with self._changed:
            assert self._lease is not None
            return dict(self._lease["spec"])

    def put(self, obj: Object | None) -> None:
        """Write as somebody else does."""
        with self._changed:
            self._store(obj)

    def restore(self) -> None:
        """Set the lease back to its first version, as when etcd is restored from a backup."""
        with self._changed:
            assert self._lease is not None
            self._version = 0
            self._store(self._lease)

    def watch(self, elector: LeaderElector) -> None:
        with self._changed:
            self._watchers.append(elector)

    def note(self, request: str) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def request(self, verb: str, body: Object | None) -> Object:
        with self._changed:
            self.note(verb)
            return self._carry_out(verb, body)

    def wait_for(self, count: int, request: str) -> None:
        """Return once there were so many requests of a kind."""

        def reached() -> bool:
            return self.requests.count(request) >= count

        with self._changed:
            assert self._changed.wait_for(reached, STUCK_AFTER), self.requests

    def _carry_out(self, verb: str, body: Object | None) -> Object:
        if verb != "create" and self._lease is None:
            raise NotFound(404, "NotFound", "no lease")
        if verb == "get":
            assert self._lease is not None
            return copy.deepcopy(self._lease)
        assert body is not None
        current = None if self._lease is None else self._lease["metadata"]["resourceVersion"]
        if body["metadata"].get("resourceVersion") != current:
            raise Conflict(409, "Conflict", "the object has been modified")
        return copy.deepcopy(self._store(body))

    def _store(self, obj: Object | None) -> Object:
        before, self._lease = self._lease, copy.deepcopy(obj)
        self._version += 1
        if self._lease is not None:
            self._lease["metadata"]["resourceVersion"] = str(self._version)
        for watcher in self._watchers:
            if self._lease is not None:
                watcher.on_update(before or {}, copy.deepcopy(self._lease))
            elif before is not None:
                watcher.on_delete(before)
        return self._lease or {}


@define(slots=False)
class FakeClient:
    """One candidate's way to the API server."""

    api: FakeApi
    #: Raised in place of each request while set.
    trouble: Exception | None = None
    #: Raised by each list and watch: what a watch would show, `FakeApi.watch` does.
    watch_trouble: Exception = REFUSED
    #: Whether requests get no answer, until the deadline or the stop cuts them.
    hangs: bool = False
    #: The same for the answer to a write that is carried out.
    answers_hang: bool = False
    #: Raised after the next update was carried out, as when its answer is lost.
    lost_answer: Exception | None = None
    #: Called when an update was carried out and its answer is under way, the first time.
    before_answer: Callable[[], object] | None = None
    #: Called once a get was answered, the first time.
    after_first_get: Callable[[], object] | None = None
    #: Seconds that each request was given.
    allowed: list[float] = field(factory=list)

    def get(self, resource: Resource, namespace: str, name: str, *, deadline: Deadline) -> Object:
        assert (namespace, name) == ("backup", "controller")
        found = self._request("get", None, deadline)
        if self.after_first_get is not None:
            meet, self.after_first_get = self.after_first_get, None
            meet()
        return found

    def create(
        self, resource: Resource, namespace: str, body: Object, *, deadline: Deadline
    ) -> Object:
        return self._request("create", body, deadline)

    def update(
        self, resource: Resource, namespace: str, name: str, body: Object, *, deadline: Deadline
    ) -> Object:
        assert "managedFields" not in body["metadata"]
        answer = self._request("update", body, deadline)
        if self.before_answer is not None:
            meet, self.before_answer = self.before_answer, None
            meet()
        if self.lost_answer is not None:
            error, self.lost_answer = self.lost_answer, None
            raise error
        return answer

    def list(self, resource: Resource, namespace: str, **options: Any) -> NoReturn:
        self.api.note("failed list")
        raise self.watch_trouble

    def watch(self, resource: Resource, namespace: str, **options: Any) -> NoReturn:
        assert options["field_selector"] == "metadata.name=controller"
        raise self.watch_trouble

    def _request(self, verb: str, body: Object | None, deadline: Deadline) -> Object:
        self.allowed.append(deadline.remaining())
        trouble = self.trouble
        if trouble is not None:
            self.api.note(f"failed {verb}")
            raise trouble
        if self.hangs:
            self.api.note(f"hanging {verb}")
            self._hang(deadline)
        answer = self.api.request(verb, body)
        if self.answers_hang and body is not None:
            self._hang(deadline)
        return answer

    def _hang(self, deadline: Deadline) -> NoReturn:
        """Wait for what ends a request that hangs, and raise what the transport then does."""
        clock, stop = deadline.clock, deadline.stop
        if not clock.wait_event(stop or threading.Event(), deadline.remaining()):
            raise DeadlineExceeded("the deadline has passed")
        self.api.note("stopping")
        clock.wait_event(threading.Event(), STOP_GRACE_SECONDS)
        raise Stopped("cut off, since the process ends")


@define
class FakeRecorder:
    notes: list[str] = field(factory=list)

    def event(self, obj: Object, type_: str, reason: str, note: str, action: str) -> None:
        assert (obj["kind"], type_, reason) == ("Lease", "Normal", "LeaderElection")
        self.notes.append(note)


class Lost(Exception):
    """The end of a process that lost its lease."""


class Candidate:
    """One replica: its elector, on a thread, and what became of it."""

    def __init__(self, api: FakeApi, clock: FakeClock, identity: str, *, watching: bool) -> None:
        self.client = FakeClient(api)
        self.recorder = FakeRecorder()
        self.registry = CollectorRegistry()
        self.fence = Fence(clock)
        self.leads = threading.Event()
        self.stop = Stop()
        self.lost = ""
        self.before_end: Callable[[], object] = lambda: None
        self._clock = clock
        self._ended = threading.Event()
        self._ended.set()
        self.elector = LeaderElector(
            self.client,  # type: ignore[arg-type]  # the fake has what is called
            TERMS,
            identity=identity,
            fence=self.fence,
            recorder=self.recorder,  # type: ignore[arg-type]  # as above
            clock=clock,
            metrics=Metrics(self.registry),
            uniform=lambda low, _high: low,
            on_lost=self._end,
        )
        self.elector.on_started_leading = self.leads.set
        if watching:
            api.watch(self.elector)

    def start(self) -> None:
        self._ended.clear()
        threading.Thread(target=self._run, daemon=True).start()

    def lead(self) -> None:
        """Start, and return once it leads."""
        self.start()
        assert self.leads.wait(STUCK_AFTER)

    def ended(self) -> str:
        """Wait for the end and return why it came, "" if it was told to."""
        assert self._ended.wait(STUCK_AFTER)
        return self.lost

    @property
    def has_ended(self) -> bool:
        return self._ended.is_set()

    def finish(self) -> str:
        self.stop.set()
        return self.ended()

    @property
    def status(self) -> float | None:
        labels = {"name": "controller"}
        return self.registry.get_sample_value("leader_election_master_status", labels)

    def _run(self) -> None:
        try:
            self.elector.run(self.stop)
        except Lost as error:
            self.lost = str(error)
        self._ended.set()
        # Whether it has ended or not, it waits for the clock.
        self._clock.wait_event(threading.Event(), 3600)

    def _end(self, reason: str) -> NoReturn:
        self.before_end()
        raise Lost(reason)


class World:
    """An API server, the time, and candidates."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.api = FakeApi()
        self.candidates: list[Candidate] = []

    def candidate(self, identity: str, *, watching: bool = True) -> Candidate:
        made = Candidate(self.api, self.clock, identity, watching=watching)
        self.candidates.append(made)
        return made

    def step(self, seconds: float) -> None:
        """Let time pass once all wait for it."""
        self.settle()
        self.clock.step(seconds)

    def end(self) -> None:
        """Stop all candidates and let their threads end."""
        for one in self.candidates:
            one.client.hangs = one.client.answers_hang = False
            one.stop.set()
        while not all(one.has_ended for one in self.candidates):
            self.step(STOP_GRACE_SECONDS)
        self.clock.step(3600)

    def settle(self) -> None:
        """Return once all wait for time to pass."""
        self.clock.block_until_waiters(len(self.candidates))

    def renew(self, times: int = 1) -> None:
        """Let the leader renew its lease, every two seconds."""
        for _ in range(times):
            updates = self.api.requests.count("update")
            self.step(2)
            self.api.wait_for(updates + 1, "update")
