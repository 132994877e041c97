"""No worker sleeps while there is an item for it, and few wake up without one."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from prometheus_client import CollectorRegistry

from controller.metrics import Metrics
from controller.workqueue.queue import LONGEST_WAIT, PriorityQueue
from fakes.clock import FakeClock
from fakes.queues import Workers, new_queue


class CountingClock(FakeClock):
    """Counts how often a thread woke up."""

    def __init__(self) -> None:
        super().__init__()
        self.wakeups = 0

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        try:
            return super().wait(condition, timeout)
        finally:
            # The caller has the queue's lock.
            self.wakeups += 1


class TestWakeups:
    """What an item costs while many workers sleep. 256 of them are as in a large installation."""

    WORKERS = 256
    ROUNDS = 20

    @pytest.mark.parametrize(
        ("delay", "wakeups"),
        [
            pytest.param(0, 1, id="an item that is ready wakes one worker"),
            pytest.param(
                5,
                3,
                id="an item that is the first to become ready wakes the worker with the timer when"
                " it is added and when it is ready, and one that takes the timer over",
            ),
        ],
    )
    def test_an_item_wakes_few_of_many_workers(self, delay: float, wakeups: int) -> None:
        clock = CountingClock()
        queue = new_queue(clock)
        queue.add("much later", after=86400)
        workers = Workers(queue, self.WORKERS)
        clock.block_until_waiters(self.WORKERS)

        for number in range(self.ROUNDS):
            queue.add(f"item {number}", after=delay)
            clock.step(delay)
            for item in workers.held(1):
                workers.finish(item)
            clock.block_until_waiters(self.WORKERS)
        counted = clock.wakeups
        workers.end()

        assert counted <= wakeups * self.ROUNDS

    def test_items_that_become_ready_together_wake_a_worker_each(self) -> None:
        clock = CountingClock()
        queue = new_queue(clock)
        items = {f"item {number}" for number in range(10)}
        for item in items:
            queue.add(item, after=5)
        queue.add("much later", after=86400)
        workers = Workers(queue, self.WORKERS)
        clock.block_until_waiters(self.WORKERS)

        clock.step(5)
        held = workers.held(len(items))
        clock.block_until_waiters(self.WORKERS - len(items))
        counted = clock.wakeups
        workers.end()

        assert held == items
        assert counted <= len(items) + 1, "one more takes the timer over"


class LateClock(FakeClock):
    """No wait ends by itself: the system is busy, and its timers late."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        return super().wait(condition, None)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda queue, _: len(queue), id="a look at the length"),
        pytest.param(lambda _, metrics: list(metrics.workqueue.collect()), id="a scrape"),
        pytest.param(
            lambda queue, _: queue.add("another", after=3600),
            id="an add of another item, even if that is not ready",
        ),
    ],
)
def test_who_sees_first_that_an_item_is_ready_wakes_a_worker(
    call: Callable[[PriorityQueue[str], Metrics], object],
) -> None:
    clock, metrics = LateClock(), Metrics(CollectorRegistry())
    queue = new_queue(clock, metrics)
    queue.add("delayed", after=10)
    workers = Workers(queue, 2)
    clock.block_until_waiters(2)
    clock.step(10)

    call(queue, metrics)

    assert workers.held(1) == {"delayed"}
    workers.end()


def test_an_item_that_is_done_and_due_again_wakes_a_worker() -> None:
    """The worker that is done with it may not come back at once."""
    clock = FakeClock()
    queue = new_queue(clock)
    queue.add("a")
    queue.get()
    workers = Workers(queue, 1)
    clock.block_until_waiters(1)
    queue.add("a")

    queue.done("a")

    assert workers.held(1) == {"a"}
    workers.end()


class RestlessClock(FakeClock):
    """Every other wait ends for no reason, as `Clock.wait` may."""

    def __init__(self) -> None:
        super().__init__()
        self._waits = 0

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        # The caller has the queue's lock.
        self._waits += 1
        return bool(self._waits % 2) or super().wait(condition, timeout)


@pytest.mark.parametrize(
    "delay",
    [
        pytest.param(0, id="of a worker that waits to be woken"),
        pytest.param(10, id="of the worker with the timer"),
    ],
)
def test_a_wait_that_ends_for_no_reason_does_no_harm(delay: float) -> None:
    clock = RestlessClock()
    queue = new_queue(clock)
    workers = Workers(queue, 1)
    for item in "abcdef":
        clock.block_until_waiters(1)
        queue.add(item, after=delay)
        clock.step(delay)

        assert workers.held(1) == {item}
        # What is added while the worker is busy finds nobody to wake.
        queue.add(f"{item} again")
        workers.finish(item)
        assert workers.held(1) == {f"{item} again"}
        workers.finish(f"{item} again")
    workers.end()


ITEMS = st.sampled_from("abcdef")
DELAYS = st.sampled_from([0, 0, 1, 2, 5, 2 * LONGEST_WAIT])


class WorkersModel(RuleBasedStateMachine):
    """After any sequence of calls no worker sleeps while there is an item for it.

    Each rule waits until as many items are with workers as can be: a wake-up that is lost makes it
    wait in vain.
    """

    WORKERS = 3

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.metrics = Metrics(CollectorRegistry())
        self.queue = new_queue(self.clock, self.metrics)
        self.workers = Workers(self.queue, self.WORKERS)
        #: When each item that is to be handed out becomes ready.
        self.dirty: dict[str, float] = {}
        self.processing: set[str] = set()

    def due(self) -> set[str]:
        now = self.clock.monotonic()
        return {
            item for item, at in self.dirty.items() if at <= now and item not in self.processing
        }

    @rule(item=ITEMS, delay=DELAYS)
    def add(self, item: str, delay: float) -> None:
        self.queue.add(item, after=delay)

        ready_at = self.clock.monotonic() + delay
        self.dirty[item] = min(ready_at, self.dirty.get(item, ready_at))
        self.settle()

    @precondition(lambda self: self.processing)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.processing)))

        self.workers.finish(item)

        self.processing.remove(item)
        self.settle()

    @rule(seconds=st.sampled_from([1, 3, LONGEST_WAIT]))
    def wait(self, seconds: float) -> None:
        self.clock.step(seconds)

        self.settle()

    @rule(seconds=st.sampled_from([1, 3]), scrape=st.booleans())
    def look(self, seconds: float, *, scrape: bool) -> None:
        """A look makes ready what is due, maybe before the worker with the timer has noticed."""
        self.clock.step(seconds)
        if scrape:
            list(self.metrics.workqueue.collect())
        else:
            len(self.queue)

        self.settle()

    def settle(self) -> None:
        due = self.due()
        idle = self.WORKERS - len(self.processing)
        held = self.workers.held(len(self.processing) + min(idle, len(due)))

        taken = held - self.processing
        assert taken <= due, "an item is with a worker that is not due"
        for item in taken:
            del self.dirty[item]
        self.processing = held

    def teardown(self) -> None:
        self.workers.end()


WorkersModel.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestWorkersModel = WorkersModel.TestCase
