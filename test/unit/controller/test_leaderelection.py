"""Who leads, for how long, and what is written into the Lease; candidates are threads of the test.

Nothing but the fake clock moves time, so that each test says at which second something happens.
"""

from __future__ import annotations

import copy
import itertools
import random
import socket
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry

from controller.errors import Conflict, Forbidden, NotFound, TransportError
from controller.leaderelection.elector import HUNG_TOLERANCE, LeaderElector
from controller.leaderelection.fence import Fence
from controller.leaderelection.lease import LeaseTerms, new_identity
from controller.metrics import Metrics
from fakes.clock import STUCK_AFTER, FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.clock import Deadline
    from controller.resource import Object, Resource

TERMS = LeaseTerms("backup", "controller")
REFUSED = TransportError("connection refused", refused=True)


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
    #: Raised after the next update was carried out, as when its answer is lost.
    lost_answer: Exception | None = None
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
        if self.lost_answer is not None:
            error, self.lost_answer = self.lost_answer, None
            raise error
        return answer

    def _request(self, verb: str, body: Object | None, deadline: Deadline) -> Object:
        self.allowed.append(deadline.remaining())
        trouble = self.trouble
        if trouble is not None:
            self.api.note(f"failed {verb}")
            raise trouble
        return self.api.request(verb, body)


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
        self.stop = threading.Event()
        self.lost = ""
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

    def settle(self) -> None:
        """Return once all wait for time to pass."""
        self.clock.block_until_waiters(len(self.candidates))

    def renew(self, times: int = 1) -> None:
        """Let the leader renew its lease, every two seconds."""
        for _ in range(times):
            updates = self.api.requests.count("update")
            self.step(2)
            self.api.wait_for(updates + 1, "update")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for candidate in made.candidates:
        candidate.finish()
    made.clock.step(3600)


class TestAcquire:
    def test_the_first_makes_the_lease(self, world: World) -> None:
        first = world.candidate("first")
        world.clock.step(30)
        first.lead()

        assert world.api.requests == ["get", "create"]
        assert world.api.spec == {
            "holderIdentity": "first",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:30.000000Z",
            "renewTime": "2026-01-01T00:00:30.000000Z",
            "leaseTransitions": 0,
        }
        assert first.recorder.notes == ["first became leader"]
        assert first.status == 1

    @pytest.mark.parametrize(
        ("found", "transitions"),
        [
            pytest.param(lease(""), 4, id="a lease that was given up"),
            pytest.param(lease("", leaseTransitions=None), 1, id="one without a history"),
        ],
    )
    def test_a_free_lease_is_taken_at_once(
        self, world: World, found: Object, transitions: int
    ) -> None:
        world.api.put(found)
        world.candidate("first").lead()

        assert world.api.requests == ["get", "update"]
        assert world.api.spec["leaseTransitions"] == transitions
        assert world.api.spec["acquireTime"] == "2026-01-01T00:00:00.000000Z"

    def test_what_others_wrote_into_a_lease_is_kept(self, world: World) -> None:
        world.api.put(lease("", strategy="OldestEmulationVersion"))
        world.candidate("first").lead()

        assert world.api.spec["strategy"] == "OldestEmulationVersion"

    @pytest.mark.parametrize(
        "renewed",
        [
            pytest.param("2001-01-01T00:00:00.000000Z", id="its clock is behind"),
            pytest.param("2099-01-01T00:00:00.000000Z", id="its clock is ahead"),
        ],
    )
    def test_a_lease_expires_by_the_candidates_own_clock(self, world: World, renewed: str) -> None:
        world.api.put(lease("dead", renewTime=renewed))
        second = world.candidate("second", watching=False)
        second.start()
        for asked in range(1, 8):
            world.api.wait_for(asked, "get")
            world.step(2)
        world.api.wait_for(8, "get")
        assert not second.leads.is_set()

        world.step(1)

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 15
        assert world.api.spec["leaseTransitions"] == 4

    def test_a_lease_expires_by_the_duration_of_its_holder(self, world: World) -> None:
        world.api.put(lease("dead", leaseDurationSeconds=5))
        second = world.candidate("second", watching=False)
        second.start()
        for asked in (1, 2, 3):
            world.api.wait_for(asked, "get")
            world.step(min(2, 5 - world.clock.monotonic()))

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 5

    def test_a_change_that_only_the_watch_has_shown_counts_from_then(self, world: World) -> None:
        world.api.put(lease("first"))
        second = world.candidate("second")
        second.start()
        world.api.wait_for(1, "get")
        world.step(1)
        # The last sign of life, between two times that the candidate asks.
        world.api.put(lease("first", renewTime="2001-01-01T00:00:01.000000Z"))

        for second_of_test in (2, 4, 6, 8, 10, 12, 14, 15):
            world.step(second_of_test - world.clock.monotonic())
        world.settle()
        assert not second.leads.is_set()
        world.step(1)

        assert second.leads.wait(STUCK_AFTER)

    def test_a_lease_that_somebody_deletes_is_its_holders_until_it_expires(
        self, world: World
    ) -> None:
        world.api.put(lease("first"))
        second = world.candidate("second")
        second.start()
        world.api.wait_for(1, "get")
        world.api.put(None)
        for _ in range(7):
            world.step(2)
        world.settle()
        assert "create" not in world.api.requests

        world.step(1)

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 15

    def test_a_label_on_a_lease_does_not_renew_it(self, world: World) -> None:
        world.api.put(lease("dead"))
        second = world.candidate("second")
        second.start()
        for _ in range(7):
            world.step(2)
            world.api.put(lease("dead"))
        world.step(1)

        assert second.leads.wait(STUCK_AFTER)

    def test_two_that_find_a_free_lease_do_not_both_get_it(self, world: World) -> None:
        world.api.put(lease(""))
        first, second = [world.candidate(name, watching=False) for name in ("first", "second")]
        # Both have read the Lease before either writes.
        read = threading.Barrier(2)
        for one in (first, second):
            one.client.after_first_get = lambda: read.wait(STUCK_AFTER)
            one.start()
        world.api.wait_for(2, "update")

        world.settle()
        assert [first.leads.is_set(), second.leads.is_set()].count(True) == 1

    def test_a_candidate_without_the_right_keeps_asking(self, world: World) -> None:
        first = world.candidate("first")
        first.client.trouble = Forbidden(403, "Forbidden", "no")
        first.start()
        world.api.wait_for(1, "failed get")
        first.client.trouble = None

        world.step(2)

        assert first.leads.wait(STUCK_AFTER)

    def test_one_that_is_stopped_while_it_waits_leaves_the_lease_alone(self, world: World) -> None:
        world.api.put(lease("first"))
        second = world.candidate("second")
        second.start()
        world.api.wait_for(1, "get")

        assert second.finish() == ""
        assert world.api.requests == ["get"]
        assert second.recorder.notes == []
        assert second.status == 0

    def test_candidates_ask_after_one_to_two_retry_periods(self, world: World) -> None:
        drawn: list[tuple[float, float]] = []
        world.api.put(lease("first"))
        second = world.candidate("second")

        def draw(low: float, high: float) -> float:
            drawn.append((low, high))
            return low

        second.elector._uniform = draw  # noqa: SLF001 - the one thing that chance decides
        second.start()
        world.api.wait_for(1, "get")
        world.settle()

        assert drawn == [(1.0, 2.2)]


class TestKeep:
    def test_a_renewal_is_one_request_that_changes_one_field(self, world: World) -> None:
        world.api.put(lease(""))
        first = world.candidate("first")
        first.lead()
        before = world.api.spec

        world.renew(3)

        assert world.api.requests == ["get", "update"] + ["update"] * 3
        assert world.api.spec == {**before, "renewTime": "2026-01-01T00:00:06.000000Z"}

    def test_a_second_one_waits_as_long_as_the_lease_is_renewed(self, world: World) -> None:
        world.candidate("first").lead()
        second = world.candidate("second")
        second.start()
        world.api.wait_for(2, "get")

        world.renew(20)

        assert not second.leads.is_set()
        assert world.api.spec["holderIdentity"] == "first"

    def test_the_fence_is_open_from_one_renewal_to_the_next(self, world: World) -> None:
        first = world.candidate("first")
        assert first.fence.remaining == 0
        first.lead()
        assert first.fence.remaining == 10

        world.step(1.5)
        assert first.fence.remaining == 8.5
        world.renew()

        world.settle()
        assert first.fence.remaining == 10

    def test_a_lost_answer_is_no_lost_lease(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.lost_answer = TransportError("reset")

        world.step(2)
        world.settle()

        assert world.api.requests[2:] == ["update", "get", "update"]
        assert first.fence.remaining == 10

    def test_a_lease_that_was_deleted_is_made_again(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        world.api.put(None)
        world.step(2)
        world.api.wait_for(2, "create")

        world.settle()
        assert world.api.spec["holderIdentity"] == "first"
        assert first.fence.remaining == 10

    def test_a_history_that_was_set_back_ends_all(self, world: World) -> None:
        """What they know may never have been, and their watches stay silent until it comes again.

        Who waits for a higher version would see the lease expire while its holder renews it.
        """
        first, second = world.candidate("a"), world.candidate("b")
        first.lead()
        second.start()
        world.renew()

        world.api.restore()
        world.step(2)

        reason = "lease backup/controller is older than before: etcd was restored from a backup"
        assert first.ended() == reason
        assert second.ended() == reason
        assert not first.fence.remaining
        assert not second.leads.is_set()

    def test_a_lease_that_cannot_be_renewed_is_lost_at_the_deadline(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED
        for failed in range(1, 5):
            world.step(2)
            world.api.wait_for(failed, "failed get")
        assert first.fence.remaining == 2

        world.step(2)

        assert first.ended() == "lease backup/controller was not renewed within 10 s"
        assert world.clock.monotonic() == 10
        assert first.status == 0

    def test_no_request_lasts_beyond_the_deadline(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED
        first.client.allowed.clear()
        for failed in range(1, 5):
            world.step(2)
            world.api.wait_for(failed, "failed get")

        assert first.client.allowed == [5, 5, 5, 5, 4, 4, 2, 2]

    def test_one_that_was_paused_beyond_the_deadline_sends_nothing(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        sent = list(world.api.requests)

        world.step(20)

        assert first.ended() == "lease backup/controller was not renewed within 10 s"
        assert first.fence.remaining == 0
        assert world.api.requests == sent

    def test_another_holder_whom_the_watch_shows_ends_it_at_once(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        world.settle()

        world.api.put(lease("second"))

        assert first.ended() == "lease backup/controller was taken by second"
        assert first.fence.remaining == 0

    def test_another_holder_whom_a_renewal_meets_ends_it(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        world.settle()

        world.api.put(lease("second"))
        world.step(2)

        assert first.ended() == "lease backup/controller was taken by second"
        assert first.fence.remaining == 0


class TestGiveUp:
    def test_the_next_one_leads_at_once(self, world: World) -> None:
        first, second = world.candidate("first"), world.candidate("second")
        first.lead()
        second.start()
        world.api.wait_for(2, "get")
        world.settle()

        assert first.finish() == ""

        assert second.leads.wait(STUCK_AFTER)
        assert world.clock.monotonic() == 0
        assert world.api.spec["leaseTransitions"] == 1
        assert first.recorder.notes == ["first became leader", "first stopped leading"]
        assert first.status == 0

    def test_nothing_is_written_any_more_before_another_one_can_lead(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        left: list[float] = []
        first.client.after_first_get = lambda: left.append(first.fence.remaining)

        first.finish()

        assert left == [0]
        assert world.api.requests[-2:] == ["get", "update"]

    def test_a_lease_given_up_names_nobody_and_lasts_a_second(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        world.step(1)
        first.finish()

        assert world.api.spec == {
            "holderIdentity": "",
            "leaseDurationSeconds": 1,
            "acquireTime": "2026-01-01T00:00:01.000000Z",
            "renewTime": "2026-01-01T00:00:01.000000Z",
            "leaseTransitions": 0,
        }

    def test_a_lease_of_somebody_else_is_left_alone(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        world.api.put(lease("second"))
        first.finish()

        assert world.api.spec["holderIdentity"] == "second"

    def test_a_change_in_between_is_read_and_tried_again(self, world: World) -> None:
        first = world.candidate("first", watching=False)
        first.lead()
        first.client.lost_answer = Conflict(409, "Conflict", "the object has been modified")
        first.finish()

        assert world.api.requests[2:] == ["get", "update", "get"]
        assert world.api.spec["holderIdentity"] == ""

    def test_an_api_server_that_is_away_is_not_waited_for(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        first.client.trouble = REFUSED

        assert first.finish() == ""
        assert world.api.requests[2:] == ["failed get"]


class TestHung:
    def test_a_leader_whose_thread_has_stopped_turning(self, world: World) -> None:
        first = world.candidate("first")
        first.lead()
        asked, gate = threading.Event(), threading.Event()

        def hang(*_arguments: Any, **_options: Any) -> NoReturn:
            asked.set()
            gate.wait(STUCK_AFTER)
            raise REFUSED

        first.client.update = hang  # type: ignore[method-assign]
        world.step(2)
        assert asked.wait(STUCK_AFTER)
        world.clock.step(13 + HUNG_TOLERANCE)
        assert first.elector.hung() == ""

        world.clock.step(1)

        assert first.elector.hung() == (
            "leader election: lease backup/controller has expired 21 s ago"
        )
        gate.set()

    def test_one_that_waits_is_well(self, world: World) -> None:
        second = world.candidate("second")
        world.api.put(lease("dead", leaseDurationSeconds=1))
        second.client.trouble = REFUSED
        second.start()
        world.api.wait_for(1, "failed get")
        world.clock.step(3600)

        assert second.elector.hung() == ""


@pytest.mark.parametrize("seed", range(5))
def test_never_two_at_once(world: World, seed: int) -> None:
    """Whatever fails and however long anybody sleeps: at most one may write."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    numbers = itertools.count()
    leaders: set[int] = set()
    for _ in range(3):
        world.candidate(f"replica-{next(numbers)}", watching=draw.random() < 0.5).start()
    for _ in range(200):
        world.settle()
        for candidate in world.candidates:
            candidate.client.trouble = REFUSED if draw.random() < 0.1 else None
        if draw.random() < 0.1:
            draw.choice(world.candidates).finish()
        world.step(draw.choice([0.1, 1, 2, 2, 2, 2, 4, 11, 16]))

        working = [one for one in world.candidates if one.fence.remaining and not one.has_ended]
        assert len(working) <= 1
        leaders.update(id(one) for one in working)
        for ended in [one for one in world.candidates if one.has_ended]:
            world.candidates.remove(ended)
            world.candidate(f"replica-{next(numbers)}").start()

    assert len(leaders) > 3, "the lease has gone round"


def test_identities_are_unique_and_name_the_host() -> None:
    first, second = new_identity(), new_identity()

    assert first != second
    assert first.startswith(f"{socket.gethostname()}_")


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        pytest.param((15, 10.0, 2.0), "", id="the defaults"),
        pytest.param(
            (10, 10.0, 2.0),
            r"the lease duration \(10 s\) must be above the renew deadline \(10 s\)",
            id="a leader must give up before others take over",
        ),
        pytest.param(
            (15, 2.4, 2.0),
            r"the renew deadline \(2.4 s\) must be above 1.2 times the retry period \(2 s\)",
            id="a leader must be able to try twice",
        ),
        pytest.param(
            (15, 10.0, 0.0),
            r"the retry period \(0 s\) must be above 0",
            id="a period of zero would be a busy loop",
        ),
    ],
)
def test_terms(times: tuple[int, float, float], problem: str) -> None:
    if not problem:
        assert LeaseTerms("backup", "controller", *times).full_name == "backup/controller"
        return
    with pytest.raises(ValueError, match=problem):
        LeaseTerms("backup", "controller", *times)
