"""Which requests are reconciled, by how many workers, and when."""

import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import pytest

from controller.clock import Deadline
from controller.controller import UNSYNCED_PAUSE_SECONDS, Controller
from controller.errors import Forbidden
from controller.handler import enqueue_self
from controller.health import CheckFailed
from controller.reconcile import Request, Result, TerminalError
from controller.resource import Object
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.loop import A, B, FakeInformer, Loop, Outcome, raises, returns

# Reconciles that fail log an error.
pytestmark = pytest.mark.usefixtures("logged")


def obj(name: str, version: str = "1") -> Object:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": version}}


class TestSync:
    """What an informer does not know yet must not be decided on."""

    def test_nothing_is_reconciled_before_every_informer_has_synced(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        informers = [FakeInformer(), FakeInformer(missing={"default"})]
        synced_when_reconciled: list[bool] = []

        def outcome(_request: Request, _deadline: Deadline) -> Result:
            synced_when_reconciled.append(not informers[1].missing)
            loop.stop.set()
            return Result()

        made = loop.controller(outcome)
        for informer in informers:
            made.watch(informer, enqueue_self)
        made.enqueue(A)
        running = pool.submit(made.run, loop.stop)
        loop.clock.block_until_waiters(1)
        informers[1].missing.clear()
        loop.clock.step(UNSYNCED_PAUSE_SECONDS)
        running.result(timeout=STUCK_AFTER)

        assert synced_when_reconciled == [True]

    def test_a_namespace_that_cannot_be_listed_does_not_hold_up_another(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        reconciled: list[Request] = []

        def outcome(request: Request, _deadline: Deadline) -> Result:
            reconciled.append(request)
            loop.stop.set()
            return Result()

        made = loop.controller(outcome)
        made.watch(FakeInformer(missing={"default"}), enqueue_self)
        made.enqueue(A)
        made.enqueue(other := Request("other", "a"))
        pool.submit(made.run, loop.stop).result(timeout=STUCK_AFTER)

        assert reconciled == [other]

    def test_thousands_that_wait_for_a_namespace_cost_one_look_a_second(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        informer = FakeInformer(missing={"default"})
        requests = [Request("default", str(number)) for number in range(1000)]
        reconciled: list[Request] = []

        def outcome(request: Request, _deadline: Deadline) -> Result:
            reconciled.append(request)
            if len(reconciled) == len(requests):
                loop.stop.set()
            return Result()

        made = loop.controller(outcome)
        made.watch(informer, enqueue_self)
        for request in requests:
            made.enqueue(request)
        running = pool.submit(made.run, loop.stop)
        loop.clock.block_until_waiters(1)
        loop.calls.clear()

        for _ in range(3):
            loop.clock.step(UNSYNCED_PAUSE_SECONDS)
            loop.clock.block_until_waiters(1)
        assert [call[0] for call in loop.calls] == ["add", "done"] * 3
        informer.missing.clear()
        loop.clock.step(UNSYNCED_PAUSE_SECONDS)
        running.result(timeout=STUCK_AFTER)

        assert sorted(reconciled, key=lambda one: int(one.name)) == requests

    def test_a_namespace_that_has_to_sync_again_is_waited_for_again(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        """As one that was removed and added, or a kind whose CRD comes later."""
        informer = FakeInformer()
        synced_when_reconciled: list[bool] = []

        def outcome(_request: Request, _deadline: Deadline) -> Result:
            synced_when_reconciled.append(not informer.missing)
            if len(synced_when_reconciled) == 2:
                loop.stop.set()
            informer.missing.add("default")
            return Result(requeue_after=0)

        made = loop.controller(outcome)
        made.watch(informer, enqueue_self)
        made.enqueue(A)
        running = pool.submit(made.run, loop.stop)
        loop.clock.block_until_waiters(1)
        informer.missing.clear()
        loop.clock.step(UNSYNCED_PAUSE_SECONDS)
        running.result(timeout=STUCK_AFTER)

        assert synced_when_reconciled == [True, True]

    def test_a_stop_ends_the_wait(self, loop: Loop, pool: ThreadPoolExecutor) -> None:
        made = loop.controller(raises(AssertionError("must not be called")))
        made.watch(FakeInformer(missing={"default"}), enqueue_self)
        made.enqueue(A)
        running = pool.submit(made.run, loop.stop)
        loop.clock.block_until_waiters(1)
        loop.stop.set()

        running.result(timeout=STUCK_AFTER)
        assert loop.counts() == {}


class TestWorkers:
    def test_as_many_objects_as_workers_are_reconciled_at_once(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        all_there = threading.Barrier(3, action=loop.stop.set)

        def outcome(_request: Request, _deadline: Deadline) -> Result:
            all_there.wait(STUCK_AFTER)
            return Result()

        made = loop.controller(outcome, workers=3)
        for name in "abc":
            made.enqueue(Request("default", name))

        pool.submit(made.run, loop.stop).result(timeout=STUCK_AFTER)
        assert loop.counts() == {"success": 3}

    def test_one_object_is_never_reconciled_twice_at_once(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        trace: list[str] = []
        again = iter([True, False])

        def outcome(_request: Request, _deadline: Deadline) -> Result:
            trace.append("begin")
            if next(again):
                made.enqueue(A)
                # Both workers have had their chance: one is here, the other waits for work.
                loop.clock.block_until_waiters(1)
            else:
                loop.stop.set()
            trace.append("end")
            return Result()

        made = loop.controller(outcome, workers=2)
        made.enqueue(A)

        pool.submit(made.run, loop.stop).result(timeout=STUCK_AFTER)
        assert trace == ["begin", "end", "begin", "end"]

    def test_a_stop_waits_for_the_reconcile_under_way_and_starts_no_other(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        begun, may_end = threading.Event(), threading.Event()
        reconciled: list[Request] = []

        def outcome(request: Request, _deadline: Deadline) -> Result:
            reconciled.append(request)
            begun.set()
            may_end.wait(STUCK_AFTER)
            return Result()

        made = loop.controller(outcome, workers=2)
        made.enqueue(A)
        made.enqueue(B, after=1)
        running = pool.submit(made.run, loop.stop)
        begun.wait(STUCK_AFTER)
        loop.stop.set()
        assert loop.queue.get() is None, "the queue is shut down while the reconcile goes on"
        loop.clock.step(1)
        assert not running.done()
        may_end.set()

        running.result(timeout=STUCK_AFTER)
        assert reconciled == [A]

    def test_a_worker_that_fails_ends_the_controller_while_others_are_at_work(
        self, loop: Loop, pool: ThreadPoolExecutor
    ) -> None:
        both_there = threading.Barrier(2)
        may_end = threading.Event()

        def outcome(request: Request, _deadline: Deadline) -> Result:
            both_there.wait(STUCK_AFTER)
            if request == A:
                raise SystemExit("spec")
            may_end.wait(STUCK_AFTER)
            return Result()

        made = loop.controller(outcome, workers=2)
        made.enqueue(A)
        made.enqueue(B)
        made.enqueue(Request("default", "c"))
        running: Future[None] = pool.submit(made.run, loop.stop)
        wait([running], STUCK_AFTER, FIRST_COMPLETED)
        assert not may_end.is_set()
        assert loop.queue.get() is None, "they begin no other reconcile"
        may_end.set()

        with pytest.raises(SystemExit, match="spec"):
            running.result(timeout=0)


def overrun(_request: Request, deadline: Deadline) -> Result:
    clock = deadline.clock
    assert isinstance(clock, FakeClock)
    clock.step(deadline.remaining())
    deadline.check()
    return Result()


@pytest.mark.parametrize(
    ("failing", "counter"),
    [
        pytest.param(raises(KeyError("spec")), "reconcile_panics_total", id="panics"),
        pytest.param(overrun, "reconcile_timeouts_total", id="takes longer than it may"),
        pytest.param(
            raises(Forbidden(403, "Forbidden", "secrets is forbidden")),
            "reconcile_errors_total",
            id="is refused",
        ),
        pytest.param(
            raises(TerminalError("no such region")),
            "terminal_reconcile_errors_total",
            id="can never succeed",
        ),
    ],
)
def test_others_go_on_while_the_reconcile_of_one(
    loop: Loop, pool: ThreadPoolExecutor, failing: Outcome, counter: str
) -> None:
    others = [Request("default", f"other-{number}") for number in range(20)]
    done: list[Request] = []

    def outcome(request: Request, deadline: Deadline) -> Result:
        if request == A:
            return failing(request, deadline)
        done.append(request)
        if request == others[-1]:
            loop.stop.set()
        else:
            # The bad one comes up again before each of the others.
            made.enqueue(A)
            made.enqueue(others[len(done)])
        return Result()

    made = loop.controller(outcome, reconcile_timeout=45)
    made.enqueue(A)
    made.enqueue(others[0])

    pool.submit(made.run, loop.stop).result(timeout=STUCK_AFTER)

    assert done == others
    counts = loop.counts()
    assert counts["success"] == len(others)
    assert counts[counter] == counts["error"] > 1


def test_a_thousand_changes_of_one_object_are_two_reconciles(
    loop: Loop, pool: ThreadPoolExecutor
) -> None:
    begun, may_end = threading.Event(), threading.Event()
    reconciled: list[Request] = []

    def outcome(request: Request, _deadline: Deadline) -> Result:
        reconciled.append(request)
        if len(reconciled) == 1:
            begun.set()
            may_end.wait(STUCK_AFTER)
        else:
            # The other worker has had its chance to take it as well.
            loop.clock.block_until_waiters(1)
            loop.stop.set()
        return Result()

    informer = FakeInformer()
    made = loop.controller(outcome, workers=2)
    made.watch(informer, enqueue_self)
    running = pool.submit(made.run, loop.stop)
    informer.handlers[0].on_add(obj("a"), initial=False)
    assert begun.wait(STUCK_AFTER)

    for version in range(1, 1001):
        informer.handlers[0].on_update(obj("a", str(version)), obj("a", str(version + 1)))
    may_end.set()

    running.result(timeout=STUCK_AFTER)
    assert reconciled == [A, A]


class TestHung:
    @pytest.fixture
    def reconciling(self, loop: Loop, pool: ThreadPoolExecutor) -> Iterator[Controller]:
        """A controller with two workers, one of which never comes back from its reconcile of A."""
        entered, leave = threading.Event(), threading.Event()
        done = threading.Event()

        def outcome(request: Request, _deadline: Deadline) -> Result:
            if request == A:
                entered.set()
                leave.wait(STUCK_AFTER)
            else:
                done.set()
            return Result()

        made = loop.controller(outcome, workers=2, reconcile_timeout=45)
        running = pool.submit(made.run, loop.stop)
        made.enqueue(A)
        assert entered.wait(STUCK_AFTER)
        made.enqueue(B)
        # The other worker goes on.
        assert done.wait(STUCK_AFTER)
        yield made
        loop.stop.set()
        leave.set()
        running.result(STUCK_AFTER)

    @pytest.mark.parametrize(
        ("seconds", "reason"),
        [
            pytest.param(90, "", id="an end that is late may still come"),
            pytest.param(
                91,
                "controller loop: a reconcile has run for 91 s, its deadline is 45 s",
                id="twice the deadline is a hang",
            ),
        ],
    )
    def test_a_reconcile_beyond_its_deadline(
        self, loop: Loop, reconciling: Controller, seconds: float, reason: str
    ) -> None:
        loop.clock.step(seconds)

        if not reason:
            reconciling.check_alive()
            return
        with pytest.raises(CheckFailed, match=reason):
            reconciling.check_alive()

    def test_no_work_is_no_hang(self, loop: Loop) -> None:
        made = loop.controller(returns(Result()))
        loop.clock.step(3600)

        made.check_alive()
