"""The queue between informers and workers: deduplicated, delayed, rate limited, by priority.

What it promises, after client-go's util/workqueue and controller-runtime's
pkg/controller/priorityqueue:

* Stingy: an item added many times before a worker takes it is handed out once.
* An item is never handed out to two workers at once; one added while a worker has it is handed
  out again once that worker is done.
* The highest priority comes first, and within one priority what became ready first.
* Added twice with different delays, an item takes the earlier one; with different priorities,
  the higher one.
* Any number of producers and consumers. A shut-down ends all consumers at once.

All operations are O(log n) in the number of items.
"""

import heapq
import threading
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from attrs import define

from controller.clock import Clock
from controller.metrics import Metrics
from controller.workqueue.ratelimit import ExponentialRateLimiter, RateLimiter

#: Of work that can wait for what users change: the first listing after a start, and resyncs.
LOW_PRIORITY: Final = -100

#: Distinct priorities that get a series of `workqueue_depth` of their own; the rest share one.
MAX_PRIORITY_SERIES: Final = 25
OTHER_PRIORITIES: Final = "exceeded_cardinality_limit"

#: Seconds after which a wait looks again: the operating system takes no wait of some hundred years.
LONGEST_WAIT: Final = 86400.0

#: Fewer stale entries than this are not worth rebuilding a heap for.
MIN_STALE: Final = 64

T = TypeVar("T", bound=Hashable)


@define(eq=False)
class _Record(Generic[T]):
    """An item that is to be handed out."""

    item: T
    priority: int
    #: Monotonic seconds at which the item becomes ready, or did.
    ready_at: float
    #: Whether `ready_at` has come.
    ready: bool = False
    #: Orders records that are ready, within a priority.
    sequence: int = 0
    #: The record's place in the one heap that holds it; None while no heap does.
    entry: "tuple[float, int, _Record[T]] | None" = None


class _Heap(Generic[T]):
    """A heap of records that forgets a removed one when it reaches the top.

    `heapq` runs in C but cannot remove from the middle. What is removed stays as a stale entry,
    and the heap is rebuilt once the stale ones are the majority, so that an item which is added
    again and again before a long delay ends leaves no trail.
    """

    def __init__(self) -> None:
        # In heap order. An entry is live while it is its record's `entry`, and stale otherwise.
        # Keys are unique, so that a comparison never gets as far as the records.
        self._entries: list[tuple[float, int, _Record[T]]] = []
        # How many of the entries are stale.
        self._stale = 0

    def push(self, key: float, tie: int, record: _Record[T]) -> None:
        record.entry = (key, tie, record)
        heapq.heappush(self._entries, record.entry)

    def remove(self, record: _Record[T]) -> None:
        record.entry = None
        self._stale += 1
        if self._stale > max(MIN_STALE, len(self._entries) // 2):
            self._entries = [entry for entry in self._entries if entry[2].entry is entry]
            heapq.heapify(self._entries)
            self._stale = 0

    def peek(self) -> _Record[T] | None:
        entries = self._entries
        while entries:
            record = entries[0][2]
            if record.entry is entries[0]:
                return record
            heapq.heappop(entries)
            self._stale -= 1
        return None

    def pop(self) -> _Record[T] | None:
        record = self.peek()
        if record is not None:
            heapq.heappop(self._entries)
            record.entry = None
        return record


class PriorityQueue(Generic[T]):
    """A queue of distinct items, by priority and readiness.

    Args:
        name: Labels the queue's metrics; the name of its controller.
        clock: Times delays.
        metrics: Counts; see the `workqueue_*` families.
        rate_limiter: Decides on the delays of rate limited adds. Default: exponential for each
            item, from 5 ms to 1000 s, as controller-runtime does for its priority queue.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        metrics: Metrics,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._rate_limiter = rate_limiter or ExponentialRateLimiter()

        # Guards all fields below. Whoever waits does so until the first waiting record becomes
        # ready at the latest: a record that becomes the first wakes all, so that none oversleeps.
        self._changed = threading.Condition(threading.Lock())
        self._shut_down = False
        # Every item that is to be handed out, ready or not, once.
        self._records: dict[T, _Record[T]] = {}
        # The items that are handed out and not done, with the time they were handed out. One that
        # is added meanwhile is in `_records` too, but not in `_ready`.
        self._locked: dict[T, float] = {}
        # The records that are ready and not locked: the highest priority first, then the lowest
        # sequence number.
        self._ready: _Heap[T] = _Heap()
        # The records that are not ready, locked or not: the earliest first.
        self._waiting: _Heap[T] = _Heap()
        # The number of the next record that becomes ready or starts to wait.
        self._sequence = 0
        # Records that are ready, locked or not, by the value of the priority label.
        self._depth: dict[str, int] = {}
        # The value of the priority label for each priority that has been seen.
        self._labels: dict[int, str] = {}

        self._depth_metric = metrics.workqueue_depth
        self._adds = metrics.workqueue_adds_total.labels(name, name)
        self._retries = metrics.workqueue_retries_total.labels(name, name)
        self._queue_duration = metrics.workqueue_queue_duration_seconds.labels(name, name)
        self._work_duration = metrics.workqueue_work_duration_seconds.labels(name, name)
        metrics.workqueue_unfinished_work_seconds.labels(name, name).set_function(
            lambda: sum(self._work_in_progress())
        )
        metrics.workqueue_longest_running_processor_seconds.labels(name, name).set_function(
            self.longest_running
        )

    def add(
        self,
        item: T,
        *,
        priority: int = 0,
        after: float = 0.0,
        rate_limited: bool = False,
        at_least: float = 0.0,
    ) -> None:
        """Have the item handed out, once more if a worker has it now.

        If the item is in the queue already, it gets the higher of the two priorities, at the end
        of it if that is new, and becomes ready at the earlier of the two times. After a shut-down
        nothing is added.

        Args:
            item: What to hand out.
            priority: Higher ones are handed out first.
            after: Seconds until the item is ready; 0 or less means now.
            rate_limited: Ask the rate limiter for the delay. With `after`, the smaller one counts.
            at_least: Seconds that the rate limiter's delay is raised to if it is below them.
        """
        delay = max(0.0, after)
        if rate_limited:
            limit = max(self._rate_limiter.when(item), at_least)
            delay = min(delay, limit) if delay else limit
        if delay:
            self._retries.inc()

        with self._changed:
            if self._shut_down:
                return
            now = self._clock.monotonic()
            self._promote_due(now)
            record = self._records.get(item)
            if record is None:
                record = self._records[item] = _Record(item, priority, now + delay)
                self._place(record, now)
                return
            if priority > record.priority:
                self._raise_priority(record, priority)
            if not record.ready and now + delay < record.ready_at:
                self._waiting.remove(record)
                record.ready_at = now + delay
                self._place(record, now)

    def get(self) -> tuple[T, int] | None:
        """Wait for an item that is ready and take it; the caller owes a `done` for it.

        Returns:
            The item and its priority, or None once the queue is shut down.
        """
        with self._changed:
            while not self._shut_down:
                now = self._clock.monotonic()
                self._promote_due(now)
                record = self._ready.pop()
                if record is not None:
                    del self._records[record.item]
                    self._locked[record.item] = now
                    self._depth[self._label(record.priority)] -= 1
                    self._queue_duration.observe(now - record.ready_at)
                    return record.item, record.priority
                first = self._waiting.peek()
                left = None if first is None else min(first.ready_at - now, LONGEST_WAIT)
                self._clock.wait(self._changed, left)
            return None

    def done(self, item: T) -> None:
        """Give back an item that `get` returned; if it was added meanwhile, it is due again.

        Raises:
            KeyError: No worker has the item.
        """
        with self._changed:
            self._work_duration.observe(self._clock.monotonic() - self._locked.pop(item))
            record = self._records.get(item)
            if record is not None and record.ready:
                self._offer(record)

    def forget(self, item: T) -> None:
        """Tell the rate limiter that the item succeeded, or that nobody will retry it."""
        self._rate_limiter.forget(item)

    def longest_running(self) -> float:
        """Return the seconds since the oldest item was handed out that is not done; 0.0 if none."""
        return max(self._work_in_progress(), default=0.0)

    def shut_down(self) -> None:
        """End every `get`, now and later. What is still in the queue is not handed out."""
        with self._changed:
            self._shut_down = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return how many items are ready, without those that wait for their time."""
        with self._changed:
            self._promote_due(self._clock.monotonic())
            return sum(self._depth.values())

    def _place(self, record: _Record[T], now: float) -> None:
        """Put a record that no heap holds where it belongs by its `ready_at`."""
        if record.ready_at <= now:
            self._make_ready(record)
            return
        first = self._waiting.peek()
        self._waiting.push(record.ready_at, self._next_sequence(), record)
        if first is None or record.ready_at < first.ready_at:
            self._changed.notify_all()

    def _promote_due(self, now: float) -> None:
        """Make the records ready whose time has come, in the order of their times."""
        while (record := self._waiting.peek()) is not None and record.ready_at <= now:
            self._waiting.pop()
            self._make_ready(record)

    def _make_ready(self, record: _Record[T]) -> None:
        record.ready = True
        record.sequence = self._next_sequence()
        self._depth[self._label(record.priority)] += 1
        self._adds.inc()
        if record.item not in self._locked:
            self._offer(record)

    def _offer(self, record: _Record[T]) -> None:
        """Let the next `get` have a record that is ready and not locked."""
        self._ready.push(-record.priority, record.sequence, record)
        self._changed.notify()

    def _raise_priority(self, record: _Record[T], priority: int) -> None:
        """Move a record to the end of a higher priority."""
        old, record.priority = record.priority, priority
        if not record.ready:
            return
        record.sequence = self._next_sequence()
        self._depth[self._label(old)] -= 1
        self._depth[self._label(priority)] += 1
        if record.entry is not None:
            self._ready.remove(record)
            self._ready.push(-priority, record.sequence, record)

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _label(self, priority: int) -> str:
        """Return the value of the priority label, with a series of `workqueue_depth` behind it."""
        label = self._labels.get(priority)
        if label is None:
            label = str(priority) if len(self._labels) < MAX_PRIORITY_SERIES else OTHER_PRIORITIES
            self._labels[priority] = label
            if label not in self._depth:
                self._depth[label] = 0
                series = self._depth_metric.labels(self.name, self.name, label)
                series.set_function(self._depth_reader(label))
        return label

    def _depth_reader(self, label: str) -> Callable[[], float]:
        def read() -> float:
            # A scrape counts what is due, even while all workers are too busy to ask for it.
            with self._changed:
                self._promote_due(self._clock.monotonic())
                return self._depth[label]

        return read

    def _work_in_progress(self) -> list[float]:
        """Return for each item that is handed out the seconds since it was."""
        with self._changed:
            now = self._clock.monotonic()
            return [now - since for since in self._locked.values()]
