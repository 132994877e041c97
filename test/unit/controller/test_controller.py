"""The worker loop: what each outcome of a reconcile does to queue, metrics and log."""

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog

from controller import log
from controller.clock import Deadline, DeadlineExceeded
from controller.controller import Controller
from controller.errors import Conflict, Stopped, TooManyRequests, TransportError
from controller.reconcile import Request, Result, TerminalError
from fakes.clock import STUCK_AFTER
from fakes.loop import (
    A,
    FakeReconciler,
    Loop,
    Outcome,
    raises,
    returns,
)

# Reconciles that fail log an error.
pytestmark = pytest.mark.usefixtures("logged")


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged, as it is written."""
    stream = io.StringIO()
    log.configure("debug", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    structlog.reset_defaults()


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
            id="an earlier deadline that leaves time for the status is a timeout as well",
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
        pytest.param(
            lambda _request, _deadline: None,
            RETRIED,
            {"error": 1, "reconcile_errors_total": 1, "reconcile_panics_total": 1},
            id="a reconciler that forgets its result is a bug of it, and the worker goes on",
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
