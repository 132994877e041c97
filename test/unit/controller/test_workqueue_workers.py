"""The work queue with workers that sleep: none sleeps while there is work for it."""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from queue import SimpleQueue

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from prometheus_client import CollectorRegistry

from controller.clock import SystemClock
from controller.metrics import Metrics
from controller.workqueue.queue import LONGEST_WAIT, PriorityQueue
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.queues import new_queue


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> PriorityQueue[str]:
    return new_queue(clock)


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

    def test_a_shut_down_ends_the_consumer_with_the_timer(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        queue.add("later", after=60)
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


class Workers:
    """Threads that take items and keep each until they are told to finish it."""

    def __init__(self, queue: PriorityQueue[str], number: int) -> None:
        self._queue = queue
        self._threads = [threading.Thread(target=self._work) for _ in range(number)]
        # Guards the fields below; notified when an item is taken.
        self._changed = threading.Condition()
        # What is with a worker, and what lets that worker finish it.
        self._held: dict[str, threading.Event] = {}
        self._ends = False
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while (got := self._queue.get()) is not None:
            finish = threading.Event()
            with self._changed:
                assert got[0] not in self._held, "an item was handed out to two workers at once"
                self._held[got[0]] = finish
                self._changed.notify_all()
                if self._ends:
                    finish.set()
            finish.wait()
            self._queue.done(got[0])

    def held(self, number: int) -> set[str]:
        """Return the items that are with workers, once there are so many."""
        with self._changed:
            enough = self._changed.wait_for(lambda: len(self._held) >= number, STUCK_AFTER)
            assert enough, f"{number} items should be with workers, {set(self._held)} are"
            return set(self._held)

    def finish(self, item: str) -> None:
        """Have the worker of an item finish it and ask for the next one."""
        with self._changed:
            self._held.pop(item).set()

    def end(self) -> None:
        """Shut the queue down and wait until all workers have left it."""
        self._queue.shut_down()
        with self._changed:
            self._ends = True
            for finish in self._held.values():
                finish.set()
        for thread in self._threads:
            thread.join(STUCK_AFTER)
            assert not thread.is_alive(), "a worker sleeps though the queue is shut down"


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

    def test_an_item_added_while_all_sleep_is_taken(self) -> None:
        """Nothing else happens that could make up for a lost wake-up."""
        queue = new_queue(SystemClock())
        queue.add("much later", after=3600)
        taken: SimpleQueue[str] = SimpleQueue()

        def consume() -> None:
            while (got := queue.get()) is not None:
                queue.done(got[0])
                taken.put(got[0])

        with ThreadPoolExecutor(self.CONSUMERS) as pool:
            consumers = [pool.submit(consume) for _ in range(self.CONSUMERS)]
            try:
                for number in range(self.ADDS):
                    item = f"item {number}"
                    # The first one to become ready, and sometimes overridden before it is.
                    queue.add(item, after=0.00005 * (number % 5))
                    if number % 7 == 0:
                        queue.add(item)
                    # One that was overridden too late comes twice.
                    while taken.get(timeout=STUCK_AFTER) != item:
                        pass
            finally:
                queue.shut_down()
            for consumer in consumers:
                consumer.result(timeout=STUCK_AFTER)
