"""The worker loop: what each outcome does to queue and metrics, and who may run when."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
import structlog
from attrs import define, field
from prometheus_client import CollectorRegistry

import controller.controller
from controller import log
from controller.cache.informer import Handler
from controller.clock import Deadline, DeadlineExceeded
from controller.controller import UNSYNCED_PAUSE_SECONDS, Controller
from controller.errors import Conflict, Forbidden, Stopped, TooManyRequests, TransportError
from controller.handler import enqueue_self
from controller.health import CheckFailed
from controller.metrics import Metrics
from controller.reconcile import Request, Result, TerminalError
from controller.resource import Object, Resource
from controller.stop import Stop
from controller.workqueue.queue import PriorityQueue
from fakes.clock import STUCK_AFTER, FakeClock

# Reconciles that fail log an error.
pytestmark = pytest.mark.usefixtures("logged")

A = Request("default", "a")
B = Request("default", "b")
PODS = Resource("", "v1", "pods", "Pod")

Outcome = Callable[[Request, Deadline], Result]


class RecordingQueue(PriorityQueue[Request]):
    """The real queue, which notes what the controller asks of it."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.calls: list[tuple[object, ...]] = []

    def add(
        self,
        item: Request,
        *,
        priority: int = 0,
        after: float = 0.0,
        rate_limited: bool = False,
        at_least: float = 0.0,
    ) -> None:
        how = ("rate limited", at_least) if rate_limited else (after,)
        self.calls.append(("add", priority, *how))
        super().add(
            item, priority=priority, after=after, rate_limited=rate_limited, at_least=at_least
        )

    def forget(self, item: Request) -> None:
        self.calls.append(("forget",))
        super().forget(item)

    def done(self, item: Request) -> None:
        self.calls.append(("done",))
        super().done(item)


@define
class FakeReconciler:
    outcome: Outcome

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        return self.outcome(request, deadline)


@define
class FakeInformer:
    #: The namespaces that have not synced.
    missing: set[str] = field(factory=set)
    resource: Resource = PODS
    handlers: list[Handler] = field(factory=list)

    def add_handler(self, handler: Handler) -> None:
        self.handlers.append(handler)

    def has_synced(self, namespace: str = "") -> bool:
        return namespace not in self.missing

    def is_own_write(self, obj: Object) -> bool:
        return False


class Loop:
    """A controller on a clock that stands still, with a queue that remembers."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.stop = Stop()

    def controller(self, outcome: Outcome, **options: Any) -> Controller:
        made = Controller(
            "loop",
            FakeReconciler(outcome),
            clock=self.clock,
            metrics=self.metrics,
            **options,
        )
        self.queue = made._queue  # noqa: SLF001 - the seam that the outcomes are about
        return made

    @property
    def calls(self) -> list[tuple[object, ...]]:
        assert isinstance(self.queue, RecordingQueue)
        return self.queue.calls

    def reconcile_once(self, outcome: Outcome, *, priority: int = 0, **options: Any) -> None:
        """Run a controller for one reconcile; what it adds anew is delayed, so it stays queued."""

        def stopping(request: Request, deadline: Deadline) -> Result:
            self.stop.set()
            return outcome(request, deadline)

        made = self.controller(stopping, **options)
        made.enqueue(A, priority)
        self.calls.clear()
        made.run(self.stop)

    def counts(self) -> dict[str, float]:
        """Return the controller's counters that are not zero, by name and result."""
        return {
            sample.labels.get("result", sample.name.removeprefix("controller_runtime_")): value
            for family in self.registry.collect()
            if family.type == "counter" and family.name.startswith("controller_runtime_")
            for sample in family.samples
            if (value := sample.value)
        }

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"controller_runtime_{name}", {"controller": "loop"})


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr(controller.controller, "PriorityQueue", RecordingQueue)
    made = Loop()
    yield made
    made.stop.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as made:
        yield made


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged, as it is written."""
    stream = io.StringIO()
    log.configure("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


def returns(result: Result) -> Outcome:
    return lambda _request, _deadline: result


def raises(error: BaseException) -> Outcome:
    def outcome(_request: Request, _deadline: Deadline) -> Result:
        raise error

    return outcome


RETRIED = [("add", 3, "rate limited", 0.0), ("done",)]


@pytest.mark.parametrize(
    ("outcome", "calls", "counts"),
    [
        pytest.param(
            returns(Result()),
            [("forget",), ("done",)],
            {"success": 1},
            id="success is forgotten and not repeated",
        ),
        pytest.param(
            returns(Result(requeue_after=60)),
            [("forget",), ("add", 3, 60), ("done",)],
            {"requeue_after": 1},
            id="a repetition after a time is a success: forgotten, then added with its delay",
        ),
        pytest.param(
            returns(Result(requeue_after=60, requeue=True)),
            [("forget",), ("add", 3, 60), ("done",)],
            {"requeue_after": 1},
            id="a time beats the rate limiter",
        ),
        pytest.param(
            returns(Result(requeue=True)),
            RETRIED,
            {"requeue": 1},
            id="a repetition without a time is rate limited and not forgotten",
        ),
        pytest.param(
            returns(Result(requeue_after=60, priority=-7)),
            [("forget",), ("add", -7, 60), ("done",)],
            {"requeue_after": 1},
            id="the reconciler may change the priority of a repetition after a time",
        ),
        pytest.param(
            returns(Result(requeue=True, priority=9)),
            [("add", 9, "rate limited", 0.0), ("done",)],
            {"requeue": 1},
            id="the reconciler may change the priority of a rate limited repetition",
        ),
        pytest.param(
            raises(TransportError("connection refused")),
            RETRIED,
            {"error": 1, "reconcile_errors_total": 1},
            id="no answer of the API server is an error and retried",
        ),
        pytest.param(
            raises(Conflict(409, "Conflict", "the object has been modified")),
            RETRIED,
            {"error": 1, "reconcile_errors_total": 1},
            id="a refusal of the API server is an error and retried",
        ),
        pytest.param(
            raises(TooManyRequests(429, "TooManyRequests", "busy", 20.0)),
            [("add", 3, "rate limited", 20.0), ("done",)],
            {"error": 1, "reconcile_errors_total": 1},
            id="one that asks for a pause is retried no sooner",
        ),
        pytest.param(
            raises(TerminalError("no such region")),
            [("done",)],
            {"error": 1, "reconcile_errors_total": 1, "terminal_reconcile_errors_total": 1},
            id="a terminal error is neither retried nor forgotten",
        ),
        pytest.param(
            raises(DeadlineExceeded("of a pass")),
            RETRIED,
            {"error": 1, "reconcile_errors_total": 1, "reconcile_timeouts_total": 1},
            id="a deadline of the reconciler's own, which leaves it time to tell, is a timeout too",
        ),
        pytest.param(
            raises(Stopped("PATCH /api/v1: cut off")),
            [("done",)],
            {},
            id="what the stop has cut is no error, and another process goes on from there",
        ),
        pytest.param(
            raises(KeyError("spec")),
            RETRIED,
            {"error": 1, "reconcile_errors_total": 1, "reconcile_panics_total": 1},
            id="an exception that nobody means to raise is a panic and retried",
        ),
    ],
)
def test_outcome(
    loop: Loop, outcome: Outcome, calls: list[tuple[object, ...]], counts: dict[str, float]
) -> None:
    loop.reconcile_once(outcome, priority=3)

    assert loop.calls == calls
    assert loop.counts() == counts


@pytest.mark.parametrize("left", [0.0, -1.0])
def test_a_repetition_whose_time_has_come_is_made_at_once(
    loop: Loop, pool: ThreadPoolExecutor, left: float
) -> None:
    results = iter([Result(requeue_after=left), Result()])
    made = loop.controller(lambda _request, _deadline: next(results))
    made.enqueue(A)
    running = pool.submit(made.run, loop.stop)

    loop.clock.block_until_waiters(1)
    loop.stop.set()
    running.result(timeout=STUCK_AFTER)

    assert loop.clock.monotonic() == 0
    assert loop.counts() == {"requeue_after": 1, "success": 1}


def test_a_reconcile_beyond_its_deadline_is_an_error_and_a_timeout(loop: Loop) -> None:
    def outcome(_request: Request, deadline: Deadline) -> Result:
        loop.clock.step(deadline.remaining())
        deadline.check()
        return Result()

    loop.reconcile_once(outcome, priority=3, reconcile_timeout=45)

    assert loop.clock.monotonic() == 45
    assert loop.calls == RETRIED
    assert loop.counts() == {"error": 1, "reconcile_errors_total": 1, "reconcile_timeouts_total": 1}


def test_the_end_of_the_interpreter_is_no_panic(loop: Loop) -> None:
    with pytest.raises(SystemExit):
        loop.reconcile_once(raises(SystemExit()))

    assert loop.counts() == {}


class TestMetrics:
    def test_all_series_are_there_before_the_first_reconcile(self, loop: Loop) -> None:
        loop.controller(returns(Result()), workers=4)

        assert loop.value("max_concurrent_reconciles") == 4
        assert loop.value("active_workers") == 0
        assert loop.value("reconcile_panics_total") == 0
        for result in ("success", "error", "requeue", "requeue_after"):
            labels = {"controller": "loop", "result": result}
            name = "controller_runtime_reconcile_total"
            assert loop.registry.get_sample_value(name, labels) == 0

    @pytest.mark.parametrize(
        "ending",
        [
            pytest.param(returns(Result()), id="of a success"),
            pytest.param(raises(KeyError("spec")), id="of a panic"),
        ],
    )
    def test_the_duration_is_observed(self, loop: Loop, ending: Outcome) -> None:
        active: list[float | None] = []

        def outcome(request: Request, deadline: Deadline) -> Result:
            active.append(loop.value("active_workers"))
            loop.clock.step(1.5)
            return ending(request, deadline)

        loop.reconcile_once(outcome)

        assert active == [1]
        assert loop.value("active_workers") == 0
        assert loop.value("reconcile_time_seconds_count") == 1
        assert loop.value("reconcile_time_seconds_sum") == 1.5


class TestLog:
    def test_every_line_of_a_reconcile_names_the_object_and_the_reconcile(
        self, loop: Loop, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        def outcome(_request: Request, _deadline: Deadline) -> Result:
            structlog.get_logger().info("working")
            raise TransportError("connection refused")

        loop.reconcile_once(outcome)

        working, failed = lines()
        context = {"controller": "loop", "namespace": "default", "name": "a"}
        assert context.items() <= working.items()
        assert context.items() <= failed.items()
        assert len(working["reconcileID"]) == 36
        assert working["reconcileID"] == failed["reconcileID"]
        assert failed["error"] == "connection refused"

    def test_a_panic_is_logged_with_its_traceback(
        self, loop: Loop, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        loop.reconcile_once(raises(KeyError("spec")))

        (line,) = lines()
        assert line["level"] == "error"
        assert "in outcome" in line["exception"]
        assert "KeyError: 'spec'" in line["exception"]


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
        running: Future[None] = pool.submit(made.run, loop.stop)
        wait([running], STUCK_AFTER, FIRST_COMPLETED)
        assert not may_end.is_set()
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


class TestMisuse:
    def test_two_controllers_of_one_name_are_refused(self, loop: Loop) -> None:
        made = loop.controller(returns(Result()))

        with pytest.raises(ValueError, match="a controller named 'loop' already"):
            Controller(
                "loop", FakeReconciler(returns(Result())), clock=loop.clock, metrics=loop.metrics
            )
        assert made.name == "controller loop"

    def test_a_controller_runs_once(self, loop: Loop) -> None:
        loop.stop.set()
        made = loop.controller(returns(Result()))
        made.run(loop.stop)

        with pytest.raises(RuntimeError, match="controller loop was started before"):
            made.run(loop.stop)

    def test_a_controller_without_workers_is_refused(self, loop: Loop) -> None:
        with pytest.raises(ValueError, match="workers is 0, must be 1 or more"):
            loop.controller(returns(Result()), workers=0)
