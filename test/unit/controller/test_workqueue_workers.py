"""The work queue with workers that wait, and with real threads and real time."""

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from queue import SimpleQueue

import pytest

from controller.clock import SystemClock
from controller.workqueue.queue import PriorityQueue
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
