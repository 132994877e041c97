"""The queue between informers and workers, after client-go's util/workqueue.

It is

* fair: items come out by priority, and within one priority in the order in which they became ready;
* stingy: an item that is added many times before a worker takes it comes out once;
* for many producers and many workers; no item is with two workers at once, and one that is added
  while a worker has it comes out again after that worker's `done`;
* delaying: of two adds of an item the earlier time counts, and the higher priority;
* shut down at once: no worker gets an item after that, and none waits.

Priorities, delays and rate limits are one queue, as in controller-runtime's
pkg/controller/priorityqueue. Each call takes O(log n) in the number of items.
"""

import heapq
import threading
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from attrs import define

from controller.clock import Clock
from controller.workqueue.metrics import QueueMetrics, Snapshot, WorkqueueCollector
from controller.workqueue.ratelimit import ExponentialRateLimiter, RateLimiter

#: The priority of work that can wait for what users change: the first listing after a start, and
#: resyncs (controller-runtime pkg/handler/eventhandler.go: LowPriority).
LOW_PRIORITY: Final = -100

#: Seconds after which a wait is renewed: the operating system takes none of some hundred years.
LONGEST_WAIT: Final = 86400.0

#: Fewer stale entries than this are not worth rebuilding a heap for.
MIN_STALE: Final = 64

T = TypeVar("T", bound=Hashable)


@define(eq=False)
class _Record(Generic[T]):
    """An item that is to be handed out.

    Args:
        item: The item.
        priority: Higher ones come first.
        ready_at: Monotonic seconds at which the item becomes ready, or did.
        ready: Whether `ready_at` has come.
        sequence: Orders records that are ready, within a priority.
        entry: The record's place in the one heap that holds it; None while no heap does.
    """

    item: T
    priority: int
    ready_at: float
    ready: bool = False
    sequence: int = 0
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

    def __len__(self) -> int:
        return len(self._entries) - self._stale

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
        name: Labels the queue's metrics: the name of its controller.
        clock: Times delays.
        metrics: Exports the queue's `workqueue_*` series.
        rate_limiter: Decides on the delays of rate limited adds. Default: exponential for each
            item, from 5 ms to 1000 s, as controller-runtime has for its priority queue.

    Raises:
        ValueError: Another queue with the same metrics has that name.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        metrics: WorkqueueCollector,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        #: The name.
        self.name = name
        self._clock = clock
        self._rate_limiter = rate_limiter or ExponentialRateLimiter()

        # Guards all fields below.
        self._lock = threading.Lock()
        self._shutting_down = False
        self._metrics = QueueMetrics()

        # Every item that is to be handed out, ready or not.
        self._dirty: dict[T, _Record[T]] = {}
        # Every item that is handed out and not done, with the time when it was handed out. One
        # that is added meanwhile is in `_dirty` too.
        self._processing: dict[T, float] = {}
        # The records of `_dirty` that are ready and not in `_processing`: the highest priority
        # first, then the lowest sequence number.
        self._ready: _Heap[T] = _Heap()
        # The records of `_dirty` that are not ready, in `_processing` or not: the earliest first.
        self._waiting: _Heap[T] = _Heap()
        # The number of the last record that became ready or began to wait.
        self._sequence = 0

        # A worker that finds nothing ready waits on a condition of its own, which is in one of the
        # three fields below: a leader with followers, as in Java's DelayQueue. While nobody holds
        # the lock:
        # * Either at least as many workers are woken as `_ready` has items, or no worker sleeps.
        # * If `_waiting` has items and a worker sleeps, either the leader wakes up in time for the
        #   first of them, or a worker is woken, which will then lead or find an item.
        #
        # The sleeping worker that holds the timer, and the monotonic seconds at which it ends.
        self._leader: threading.Condition | None = None
        self._timer = 0.0
        # The sleeping workers without a timer, in the order in which they went to sleep.
        self._followers: dict[threading.Condition, None] = {}
        # The workers that have been woken, and do not have the lock yet.
        self._woken: set[threading.Condition] = set()

        metrics.register(name, self._snapshot)

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

        An item that is to be handed out already gets the higher of the two priorities, at its end
        if that is new, and the earlier of the two times. After a shut-down nothing is added.

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

        with self._lock:
            if self._shutting_down:
                return
            if delay:
                self._metrics.retry()
            now = self._clock.monotonic()
            self._promote_due(now)
            record = self._dirty.get(item)
            if record is None:
                record = self._dirty[item] = _Record(item, priority, now + delay)
                self._place(record, now)
            else:
                if priority > record.priority:
                    self._raise_priority(record, priority)
                if not record.ready and now + delay < record.ready_at:
                    self._waiting.remove(record)
                    record.ready_at = now + delay
                    self._place(record, now)
            self._wake_workers()

    def get(self) -> tuple[T, int] | None:
        """Wait for an item that is ready and take it; the caller owes a `done` for it.

        Returns:
            The item and its priority, or None once the queue is shut down.
        """
        with self._lock:
            while not self._shutting_down:
                now = self._clock.monotonic()
                self._promote_due(now)
                record = self._ready.pop()
                if record is None:
                    self._sleep(now)
                    continue
                del self._dirty[record.item]
                self._processing[record.item] = now
                self._metrics.get(record.priority, now - record.ready_at)
                self._wake_workers()
                return record.item, record.priority
            return None

    def done(self, item: T) -> None:
        """Give back an item that `get` returned; if it was added meanwhile, it is due again.

        Args:
            item: The item.

        Raises:
            KeyError: No worker has the item.
        """
        with self._lock:
            self._metrics.done(self._clock.monotonic() - self._processing.pop(item))
            record = self._dirty.get(item)
            if record is not None and record.ready:
                self._offer(record)
                self._wake_workers()

    def forget(self, item: T) -> None:
        """Reset the rate limiter for an item that succeeded, or that nobody will retry."""
        self._rate_limiter.forget(item)

    def longest_running(self) -> float:
        """Return the seconds since the oldest item was handed out that is not done; 0.0 if none."""
        with self._lock:
            return max(self._running(), default=0.0)

    def shut_down(self) -> None:
        """End every `get`, now and later. What is still in the queue is not handed out."""
        with self._lock:
            self._shutting_down = True
            while self._leader is not None or self._followers:
                self._wake_one()

    def __len__(self) -> int:
        """Return how many items are ready, without those that wait for their time."""
        with self._lock:
            self._promote_due(self._clock.monotonic())
            self._wake_workers()
            return len(self._dirty) - len(self._waiting)

    def _place(self, record: _Record[T], now: float) -> None:
        """Put a record that no heap holds where it belongs by its `ready_at`."""
        if record.ready_at <= now:
            self._make_ready(record)
        else:
            self._waiting.push(record.ready_at, self._next_sequence(), record)

    def _promote_due(self, now: float) -> None:
        """Make the records ready whose time has come, in the order of their times."""
        while (record := self._waiting.peek()) is not None and record.ready_at <= now:
            self._waiting.pop()
            self._make_ready(record)

    def _make_ready(self, record: _Record[T]) -> None:
        record.ready = True
        record.sequence = self._next_sequence()
        self._metrics.add(record.priority)
        if record.item not in self._processing:
            self._offer(record)

    def _offer(self, record: _Record[T]) -> None:
        """Let the next `get` have a record that is ready and not with a worker."""
        self._ready.push(-record.priority, record.sequence, record)

    def _raise_priority(self, record: _Record[T], priority: int) -> None:
        """Move a record to the end of a higher priority."""
        old, record.priority = record.priority, priority
        if not record.ready:
            return
        record.sequence = self._next_sequence()
        self._metrics.change_priority(old, priority)
        if record.entry is not None:
            self._ready.remove(record)
            self._offer(record)

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _sleep(self, now: float) -> None:
        """Wait until there may be an item: as the leader if there is need of one."""
        sleeper = threading.Condition(self._lock)
        first = self._waiting.peek()
        timeout = None
        if first is not None and self._leader is None:
            self._leader, self._timer = sleeper, min(first.ready_at, now + LONGEST_WAIT)
            timeout = self._timer - now
        else:
            self._followers[sleeper] = None
        try:
            self._clock.wait(sleeper, timeout)
        finally:
            self._woken.discard(sleeper)
            self._followers.pop(sleeper, None)
            if self._leader is sleeper:
                self._leader = None

    def _wake_workers(self) -> None:
        """Wake workers until the statements about sleeping workers hold.

        Called at the end of whatever makes an item ready, or changes which one is the next to be.
        """
        if self._leader is None and not self._followers:
            return
        first = self._waiting.peek()
        if first is not None and self._leader is not None and first.ready_at < self._timer:
            # Its timer ends too late. It sets another one, unless it finds an item.
            self._wake(self._leader)
        needed = len(self._ready)
        if not needed and first is not None and self._leader is None:
            # Somebody has to hold the timer.
            needed = 1
        while len(self._woken) < needed and (self._followers or self._leader is not None):
            self._wake_one()

    def _wake_one(self) -> None:
        """Wake the follower that was awake last, or the leader if there is no follower."""
        if self._followers:
            self._wake(next(reversed(self._followers)))
        elif self._leader is not None:
            self._wake(self._leader)

    def _wake(self, sleeper: threading.Condition) -> None:
        self._followers.pop(sleeper, None)
        if self._leader is sleeper:
            self._leader = None
        self._woken.add(sleeper)
        sleeper.notify()

    def _running(self) -> list[float]:
        """Return for each item that is handed out the seconds since it was."""
        now = self._clock.monotonic()
        return [now - since for since in self._processing.values()]

    def _snapshot(self) -> Snapshot:
        """Return the figures for a scrape."""
        with self._lock:
            # What is due counts, even while all workers are too busy to ask for it.
            self._promote_due(self._clock.monotonic())
            self._wake_workers()
            return self._metrics.snapshot(self._running())
