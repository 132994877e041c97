"""The work queue: each rule by itself, then all of them against a model and under threads."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import Any

import pytest
from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as CounterMetric

from controller.clock import Clock, SystemClock
from controller.metrics import Metrics
from controller.workqueue.queue import LOW_PRIORITY, MIN_STALE, PriorityQueue
from controller.workqueue.ratelimit import ExponentialRateLimiter
from fakes.clock import STUCK_AFTER, FakeClock


def new_queue(clock: Clock, metrics: Metrics | None = None) -> PriorityQueue[str]:
    return PriorityQueue(
        "queue",
        clock=clock,
        metrics=metrics or Metrics(CollectorRegistry()),
        rate_limiter=ExponentialRateLimiter(base=1),
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def queue(clock: FakeClock, registry: CollectorRegistry) -> PriorityQueue[str]:
    return new_queue(clock, Metrics(registry))


def take_all(queue: PriorityQueue[str]) -> list[tuple[str, int]]:
    """Take and finish what is ready, in the order it comes."""
    taken = []
    while len(queue):
        got = queue.get()
        assert got is not None
        taken.append(got)
        queue.done(got[0])
    return taken


Add = Callable[[PriorityQueue[str]], None]


def add(item: str, **how: Any) -> Add:
    return lambda queue: queue.add(item, **how)


@pytest.mark.parametrize(
    ("adds", "handed_out"),
    [
        pytest.param([add("a"), add("b"), add("c")], ["a", "b", "c"], id="first come, first out"),
        pytest.param([add("a"), add("b"), add("a")], ["a", "b"], id="added twice, out once"),
        pytest.param(
            [add("low", priority=LOW_PRIORITY), add("a"), add("high", priority=5)],
            ["high", "a", "low"],
            id="the highest priority first",
        ),
        pytest.param(
            [add("a"), add("b", priority=5), add("c", priority=5), add("a", priority=5)],
            ["b", "c", "a"],
            id="a raised item goes to the end of its new priority",
        ),
        pytest.param(
            [add("a", priority=5), add("b", priority=1), add("a", priority=0)],
            ["a", "b"],
            id="a lower priority does not lower an item",
        ),
        pytest.param(
            [add("a", after=10), add("b")], ["b"], id="a delayed item is not out before its time"
        ),
        pytest.param(
            [add("a", after=10), add("a")], ["a"], id="an add without delay overrides a delay"
        ),
        pytest.param([add("a"), add("a", after=10)], ["a"], id="a delay does not hold back"),
        pytest.param([add("a", after=-1)], ["a"], id="a negative delay is none"),
    ],
)
def test_what_is_handed_out_now(
    queue: PriorityQueue[str], adds: list[Add], handed_out: list[str]
) -> None:
    for each in adds:
        each(queue)

    assert [item for item, _ in take_all(queue)] == handed_out


@pytest.mark.parametrize(
    ("adds", "ready_at"),
    [
        pytest.param([add("a", after=10)], 10, id="after its delay"),
        pytest.param([add("a", after=10), add("a", after=4)], 4, id="the earlier of two, last"),
        pytest.param([add("a", after=4), add("a", after=10)], 4, id="the earlier of two, first"),
        pytest.param([add("a", rate_limited=True)], 1, id="after the limiter's delay"),
        pytest.param(
            [add("a", after=0.5, rate_limited=True)], 0.5, id="the smaller, here of the caller"
        ),
        pytest.param(
            [add("a", after=60, rate_limited=True)], 1, id="the smaller, here of the limiter"
        ),
        pytest.param(
            [add("a", rate_limited=True, at_least=20)], 20, id="no sooner than somebody asks"
        ),
        pytest.param(
            [add("a", rate_limited=True, at_least=0.5)], 1, id="nor than the limiter says"
        ),
    ],
)
def test_when_a_delayed_item_becomes_ready(
    queue: PriorityQueue[str], clock: FakeClock, adds: list[Add], ready_at: float
) -> None:
    for each in adds:
        each(queue)

    clock.step(ready_at - 0.25)
    assert len(queue) == 0
    clock.step(0.25)
    assert take_all(queue) == [("a", 0)]
    clock.step(3600)
    assert take_all(queue) == []


def test_items_become_ready_in_the_order_of_their_times(
    queue: PriorityQueue[str], clock: FakeClock
) -> None:
    queue.add("late", after=3)
    queue.add("early", after=1)
    queue.add("middle", after=2)

    clock.step(5)

    assert [item for item, _ in take_all(queue)] == ["early", "middle", "late"]


def test_a_delayed_item_keeps_the_priority_it_was_raised_to(
    queue: PriorityQueue[str], clock: FakeClock
) -> None:
    queue.add("a", after=10)
    queue.add("a", after=10, priority=7)
    clock.step(10)

    assert take_all(queue) == [("a", 7)]


class TestLocked:
    def test_an_item_added_while_a_worker_has_it_waits_for_done(
        self, queue: PriorityQueue[str]
    ) -> None:
        queue.add("a")
        queue.get()
        queue.add("a")
        queue.add("b")

        assert queue.get() == ("b", 0), "the locked item is skipped, not waited for"
        queue.done("a")
        assert queue.get() == ("a", 0)

    def test_done_hands_nothing_out_that_was_not_added_meanwhile(
        self, queue: PriorityQueue[str]
    ) -> None:
        queue.add("a")
        queue.get()
        queue.done("a")

        assert len(queue) == 0

    def test_a_skipped_item_keeps_its_place(self, queue: PriorityQueue[str]) -> None:
        queue.add("a")
        queue.get()
        queue.add("a")
        queue.add("b")
        queue.done("a")

        assert [item for item, _ in take_all(queue)] == ["a", "b"]

    def test_a_skipped_item_can_be_raised(self, queue: PriorityQueue[str]) -> None:
        queue.add("a")
        queue.get()
        queue.add("a")
        queue.add("b", priority=1)
        queue.add("a", priority=2)
        queue.done("a")

        assert take_all(queue) == [("a", 2), ("b", 1)]

    def test_an_item_whose_delay_ends_while_a_worker_has_it_waits_for_done(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        queue.add("a")
        queue.get()
        queue.add("a", after=1)
        queue.add("b", after=2)
        clock.step(2)

        assert queue.get() == ("b", 0)
        queue.done("a")
        assert queue.get() == ("a", 0)

    def test_done_without_get_is_refused(self, queue: PriorityQueue[str]) -> None:
        with pytest.raises(KeyError, match="a"):
            queue.done("a")


class TestRateLimit:
    def test_each_retry_waits_longer_until_the_item_is_forgotten(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        def delay() -> float:
            queue.add("a", rate_limited=True)
            started = clock.monotonic()
            while not take_all(queue):
                clock.step(0.5)
            return clock.monotonic() - started

        assert [delay() for _ in range(3)] == [1, 2, 4]

        queue.forget("a")

        assert delay() == 1


class TestBlocking:
    def test_get_waits_for_an_item(self, queue: PriorityQueue[str], clock: FakeClock) -> None:
        with ThreadPoolExecutor() as pool:
            got = pool.submit(queue.get)
            clock.block_until_waiters(1)
            queue.add("a")

            assert got.result(timeout=STUCK_AFTER) == ("a", 0)

    def test_get_waits_for_a_delay_to_end(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        with ThreadPoolExecutor() as pool:
            queue.add("a", after=30)
            got = pool.submit(queue.get)
            clock.block_until_waiters(1)
            clock.step(30)

            assert got.result(timeout=STUCK_AFTER) == ("a", 0)

    def test_get_waits_for_a_delay_of_thousands_of_years(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        """A certificate without an end expires in the year 9999, by RFC 5280."""
        queue.add("late", after=2.5e11)
        with ThreadPoolExecutor() as pool:
            taken = pool.submit(queue.get)
            clock.block_until_waiters(1)
            clock.step(86400)
            clock.block_until_waiters(1)
            queue.add("now")

            assert taken.result(timeout=STUCK_AFTER) == ("now", 0)

    def test_an_earlier_delay_shortens_the_wait_of_every_consumer(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        """Whichever consumer takes "now", the other must be awake when "soon" is due."""
        with ThreadPoolExecutor() as pool:
            queue.add("much later", after=3600)
            consumers = [pool.submit(queue.get), pool.submit(queue.get)]
            clock.block_until_waiters(2)
            queue.add("soon", after=10)
            queue.add("now")
            wait(consumers, STUCK_AFTER, FIRST_COMPLETED)
            clock.step(10)

            taken = {consumer.result(timeout=STUCK_AFTER) for consumer in consumers}
            assert taken == {("now", 0), ("soon", 0)}

    def test_a_shut_down_ends_every_consumer_and_hands_out_nothing_more(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        with ThreadPoolExecutor() as pool:
            consumers = [pool.submit(queue.get) for _ in range(3)]
            clock.block_until_waiters(3)
            queue.shut_down()

            assert [consumer.result(timeout=STUCK_AFTER) for consumer in consumers] == [None] * 3

    def test_what_is_queued_at_a_shut_down_is_dropped(self, queue: PriorityQueue[str]) -> None:
        queue.add("a")
        queue.shut_down()
        queue.add("b")

        assert queue.get() is None
        assert len(queue) == 1

    def test_a_worker_can_finish_after_a_shut_down(self, queue: PriorityQueue[str]) -> None:
        queue.add("a")
        queue.get()
        queue.shut_down()

        queue.done("a")


class TestMetrics:
    @pytest.fixture
    def value(self, registry: CollectorRegistry) -> Callable[..., float | None]:
        labels = {"name": "queue", "controller": "queue"}
        return lambda name, **more: registry.get_sample_value(f"workqueue_{name}", labels | more)

    def test_depth_counts_what_is_ready_by_priority(
        self,
        queue: PriorityQueue[str],
        clock: FakeClock,
        value: Callable[..., float | None],
    ) -> None:
        queue.add("a")
        queue.add("b", priority=5)
        queue.add("c", after=10)
        assert value("depth", priority="0") == 1
        assert value("depth", priority="5") == 1

        clock.step(10)
        assert value("depth", priority="0") == 2, "due items count though no worker has asked"
        queue.add("a", priority=5)
        assert value("depth", priority="0") == 1
        assert value("depth", priority="5") == 2

        take_all(queue)
        assert value("depth", priority="0") == 0
        assert value("depth", priority="5") == 0

    def test_only_so_many_priorities_get_a_series(
        self, queue: PriorityQueue[str], value: Callable[..., float | None]
    ) -> None:
        for priority in range(30):
            queue.add(f"item {priority}", priority=priority)

        assert value("depth", priority="24") == 1
        assert value("depth", priority="25") is None
        assert value("depth", priority="exceeded_cardinality_limit") == 5

    def test_adds_count_items_that_become_ready(
        self,
        queue: PriorityQueue[str],
        clock: FakeClock,
        value: Callable[..., float | None],
    ) -> None:
        queue.add("a")
        queue.add("a")
        queue.add("b", after=1)
        assert value("adds_total") == 1

        clock.step(1)
        take_all(queue)
        assert value("adds_total") == 2

    def test_retries_count_every_add_with_a_delay(
        self, queue: PriorityQueue[str], value: Callable[..., float | None]
    ) -> None:
        queue.add("a")
        assert value("retries_total") == 0

        queue.add("a", after=1)
        queue.add("a", rate_limited=True)
        assert value("retries_total") == 2

    def test_durations_tell_waiting_from_working(
        self,
        queue: PriorityQueue[str],
        clock: FakeClock,
        value: Callable[..., float | None],
    ) -> None:
        queue.add("a", after=100)
        clock.step(103)
        queue.get()
        assert value("queue_duration_seconds_sum") == 3, "from ready to handed out"

        clock.step(5)
        queue.done("a")
        assert value("work_duration_seconds_sum") == 5

    def test_work_in_progress_is_seen_before_it_is_done(
        self,
        queue: PriorityQueue[str],
        clock: FakeClock,
        value: Callable[..., float | None],
    ) -> None:
        queue.add("a")
        queue.add("b")
        queue.get()
        clock.step(10)
        queue.get()
        clock.step(5)
        assert value("unfinished_work_seconds") == 20
        assert value("longest_running_processor_seconds") == 15

        queue.done("a")
        queue.done("b")
        assert value("unfinished_work_seconds") == 0
        assert value("longest_running_processor_seconds") == 0


def test_overridden_delays_leave_no_trail(queue: PriorityQueue[str]) -> None:
    """A reconcile each second that asks to be called again in ten hours must not grow memory."""
    for _ in range(100 * MIN_STALE):
        queue.add("a", after=36000)
        queue.add("a")
        queue.get()
        queue.done("a")

    assert len(queue._waiting._entries) <= MIN_STALE + 1  # noqa: SLF001 - nothing else shows it


def total(counter: CounterMetric) -> float:
    """Return the value of a counter that has one series."""
    return sum(
        sample.value
        for family in counter.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    )


ITEMS = st.sampled_from("abcd")
PRIORITIES = st.sampled_from([LOW_PRIORITY, 0, 7])
DELAYS = st.sampled_from([0, 0, 0, 1, 2, 50])


@define
class Expected:
    """What the model knows of one item in the queue."""

    priority: int
    ready_at: float
    #: Order of becoming ready; None while it is not.
    order: int | None = None


class QueueModel(RuleBasedStateMachine):
    """Any sequence of calls does what a plain dictionary, searched from end to end, says."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.metrics = Metrics(CollectorRegistry())
        self.queue = new_queue(self.clock, self.metrics)
        self.queued: dict[str, Expected] = {}
        self.locked: set[str] = set()
        self.order = 0
        #: Rate limited adds of each item since it was last forgotten.
        self.failures: Counter[str] = Counter()
        self.became_ready = 0
        self.delayed = 0

    def next_order(self) -> int:
        self.order += 1
        return self.order

    def due(self) -> None:
        """Mark what has become ready, the earliest first; equal times keep the order of adding."""
        waiting = [each for each in self.queued.values() if each.order is None]
        for expected in sorted(waiting, key=lambda each: each.ready_at):
            if expected.ready_at <= self.clock.monotonic():
                expected.order = self.next_order()
                self.became_ready += 1

    def candidates(self) -> list[str]:
        return [
            item
            for item, expected in self.queued.items()
            if expected.order is not None and item not in self.locked
        ]

    @rule(adds=st.lists(st.tuples(ITEMS, PRIORITIES, DELAYS), min_size=1, max_size=6))
    def add_some(self, adds: list[tuple[str, int, float]]) -> None:
        for item, priority, delay in adds:
            self.queue.add(item, priority=priority, after=delay)

            self.expect(item, priority, delay)

    @rule(item=ITEMS, priority=PRIORITIES, after=DELAYS, at_least=DELAYS)
    def add_rate_limited(self, item: str, priority: int, after: float, at_least: float) -> None:
        self.queue.add(item, priority=priority, after=after, rate_limited=True, at_least=at_least)

        limit = max(2.0 ** self.failures[item], at_least)
        self.failures[item] += 1
        self.expect(item, priority, min(after, limit) if after else limit)

    @rule(item=ITEMS)
    def forget(self, item: str) -> None:
        self.queue.forget(item)

        self.failures.pop(item, None)

    def expect(self, item: str, priority: int, delay: float) -> None:
        self.delayed += delay > 0
        ready_at = self.clock.monotonic() + delay
        expected = self.queued.get(item)
        if expected is None:
            self.queued[item] = Expected(priority, ready_at)
        else:
            if priority > expected.priority:
                expected.priority = priority
                if expected.order is not None:
                    expected.order = self.next_order()
            if ready_at < expected.ready_at:
                # Equal times keep the order in which they were asked for.
                self.queued[item] = self.queued.pop(item)
                expected.ready_at = ready_at if expected.order is None else expected.ready_at
        self.due()

    @precondition(lambda self: self.candidates())
    @rule()
    def get(self) -> None:
        """The highest priority first, then what was ready first; never a locked item."""
        best = min(
            self.candidates(),
            key=lambda item: (-self.queued[item].priority, self.queued[item].order),
        )
        expected = self.queued.pop(best)

        assert self.queue.get() == (best, expected.priority)

        self.locked.add(best)

    @precondition(lambda self: self.locked)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.locked)))

        self.queue.done(item)

        self.locked.remove(item)

    @rule(seconds=st.sampled_from([1, 3, 60]))
    def wait(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.due()

    @invariant()
    def nothing_is_lost_and_all_is_counted(self) -> None:
        ready = [each for each in self.queued.values() if each.order is not None]

        assert len(self.queue) == len(ready)
        depth = {
            int(sample.labels["priority"]): sample.value
            for family in self.metrics.workqueue_depth.collect()
            for sample in family.samples
        }
        assert Counter(depth) == Counter(each.priority for each in ready), "none is below zero"
        assert total(self.metrics.workqueue_adds_total) == self.became_ready
        assert total(self.metrics.workqueue_retries_total) == self.delayed


QueueModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestQueueModel = QueueModel.TestCase


class TestThreads:
    """The same promises with real threads and real time, which no model can follow."""

    ITEMS = 20
    PRODUCERS = 3
    CONSUMERS = 4
    ADDS = 5000

    @pytest.fixture(autouse=True)
    def frequent_switches(self) -> Iterator[None]:
        """Have the interpreter change threads in the middle of operations, not between them."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        yield
        sys.setswitchinterval(usual)

    def test_no_item_is_lost_or_handed_out_twice_at_once(self) -> None:
        queue = new_queue(SystemClock())
        lock = threading.Lock()
        in_work: set[str] = set()
        # The last add of each item that a hand-out has seen; the adds of an item are numbered. An
        # add that was numbered before a hand-out and made after it may be left in the queue.
        added: Counter[str] = Counter()
        seen: Counter[str] = Counter()
        all_seen = threading.Condition(lock)

        def produce(producer: int) -> None:
            for number in range(self.ADDS):
                item = f"item {(number * (producer + 3)) % self.ITEMS}"
                with lock:
                    added[item] += 1
                queue.add(item, priority=number % 3, after=0.0005 * (number % 4))

        def consume() -> None:
            while (got := queue.get()) is not None:
                item = got[0]
                with lock:
                    assert item not in in_work, f"{item} was handed out twice at once"
                    in_work.add(item)
                    seen_now = added[item]
                with lock:
                    in_work.remove(item)
                    seen[item] = max(seen[item], seen_now)
                    if seen == added:
                        all_seen.notify_all()
                queue.done(item)

        with ThreadPoolExecutor(self.PRODUCERS + self.CONSUMERS) as pool:
            consumers = [pool.submit(consume) for _ in range(self.CONSUMERS)]
            producers = [pool.submit(produce, number) for number in range(self.PRODUCERS)]
            try:
                for producer in producers:
                    producer.result(timeout=STUCK_AFTER)
                with lock:
                    complete = all_seen.wait_for(lambda: seen == added, STUCK_AFTER)
                    assert complete, f"lost: {added - seen}"
            finally:
                queue.shut_down()
            for consumer in consumers:
                consumer.result(timeout=STUCK_AFTER)
