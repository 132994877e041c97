"""The work queue between informers and workers.

Follows client-go util/workqueue/doc.go, and controller-runtime pkg/controller/priorityqueue, where
priorities, delays and rate limits are in one queue. It promises:

* Fair: items are processed by priority, and within a priority in the order in which they became
  ready.
* Stingy: a single item is not processed by two workers at once. An item that is added many times
  before it is processed is processed once.
* Many producers and many workers. An item that is added while it is processed is processed again.
* Delays: of two adds of one item the earlier time and the higher priority count.
* Shutdown at once: no worker gets an item after it, and none waits.

Each call takes O(log n) in the number of items.
"""

import heapq
import threading
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from attrs import define

from controller.clock import Clock
from controller.workqueue.metrics import QueueMetrics, Snapshot, WorkqueueCollector
from controller.workqueue.ratelimit import ExponentialRateLimiter, RateLimiter

#: The priority of the first list and of resyncs: what users change comes first
#: (controller-runtime pkg/handler/eventhandler.go `LowPriority`).
LOW_PRIORITY: Final = -100

#: The longest wait in seconds. The operating system refuses waits of hundreds of years.
LONGEST_WAIT: Final = 86400.0

#: Stale entries up to which a heap is not rebuilt.
MIN_STALE: Final = 64

T = TypeVar("T", bound=Hashable)


@define(eq=False)
class _Record(Generic[T]):
    """An item that is to be processed.

    Args:
        item: The item.
        priority: Higher ones come first.
        ready_at: When the item becomes ready, or became so, in monotonic seconds.
        ready: Whether that time has come.
        sequence: The order of ready records within a priority.
        entry: The entry of the heap that holds the record; None if none does.
    """

    item: T
    priority: int
    ready_at: float
    ready: bool = False
    sequence: int = 0
    entry: "tuple[float, int, _Record[T]] | None" = None


class _Heap(Generic[T]):
    """A heap of records from which any record can be removed.

    `heapq` is fast but cannot remove from the middle. The entry of a removed record stays and is
    stale. It is dropped when it reaches the top. The heap is rebuilt when most entries are stale,
    so that an item that is added again and again during a long delay does not fill it.
    """

    def __init__(self) -> None:
        # In heap order. An entry is live while it is the `entry` of its record, and stale after.
        # No two have equal first and second elements, so that records are never compared.
        self._entries: list[tuple[float, int, _Record[T]]] = []
        # The number of stale entries.
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
            item, from 5 ms to 1000 s, as that of controller-runtime's priority queue.

    Raises:
        ValueError: Another queue with these metrics has this name.
    """

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        metrics: WorkqueueCollector,
        rate_limiter: RateLimiter | None = None,
    ) -> None:
        #: Its name, which labels its metrics.
        self.name = name
        self._clock = clock
        self._rate_limiter = rate_limiter or ExponentialRateLimiter()

        # Guards all fields below.
        self._lock = threading.Lock()
        self._shutting_down = False
        self._metrics = QueueMetrics()

        # The items that are to be processed, ready or not.
        self._dirty: dict[T, _Record[T]] = {}
        # The items that workers have, with the times when they got them. An item that is added
        # meanwhile is in `_dirty` as well.
        self._processing: dict[T, float] = {}
        # The records of `_dirty` that are ready and not in `_processing`: the highest priority
        # first, then the lowest sequence number.
        self._ready: _Heap[T] = _Heap()
        # The records of `_dirty` that are not ready, in `_processing` or not: the earliest first.
        self._waiting: _Heap[T] = _Heap()
        # The last number that was given to a record.
        self._sequence = 0

        # A worker that waits in `get` has a condition of its own, in one of the three fields below:
        # a leader with followers, as in Java's DelayQueue. Invariants, while nobody holds the lock:
        # * At least as many workers are woken as `_ready` has items, or no worker sleeps.
        # * If `_waiting` has items and a worker sleeps, the leader wakes up in time for the first
        #   of them, or a worker is woken, which will then lead or find an item.
        #
        # The sleeping worker that holds the timer, and when it ends, in monotonic seconds.
        self._leader: threading.Condition | None = None
        self._timer = 0.0
        # The sleeping workers without a timer, in the order in which they fell asleep.
        self._followers: dict[threading.Condition, None] = {}
        # The workers that were woken and do not have the lock yet.
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
        """Add an item, to be processed once more if a worker has it now.

        If the item is in the queue already, the higher priority and the earlier time count. With a
        higher priority it goes to the end of that priority. Nothing is added after a shutdown.

        Args:
            item: The item.
            priority: Higher ones come first. Default: 0.
            after: Seconds until the item is ready. 0 or less means now. Default: 0.
            rate_limited: Delay the item as the rate limiter says. With `after`, the smaller delay
                counts. Default: False.
            at_least: The shortest delay of the rate limiter, in seconds. Default: 0.
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
        """Wait for an item that is ready, and take it. The caller must call `done` with it.

        Returns:
            The item and its priority; None if the queue is shut down.
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
        """Mark an item as processed. If it was added meanwhile, it can be taken again.

        Args:
            item: An item that `get` returned.

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
        """Reset the rate limiter for an item that succeeded, or that will not be retried."""
        self._rate_limiter.forget(item)

    def longest_running(self) -> float:
        """Return the longest time for which a worker has had its item, in seconds; 0.0 if none."""
        with self._lock:
            return max(self._running(), default=0.0)

    def shut_down(self) -> None:
        """End every `get`, now and later. The items that are in the queue stay there."""
        with self._lock:
            self._shutting_down = True
            while self._leader is not None or self._followers:
                self._wake_one()

    def __len__(self) -> int:
        """Return the number of ready items, those that are added while processed included."""
        with self._lock:
            self._promote_due(self._clock.monotonic())
            self._wake_workers()
            return len(self._dirty) - len(self._waiting)

    def _place(self, record: _Record[T], now: float) -> None:
        """Make a record ready or let it wait, by its `ready_at`. No heap may hold it."""
        if record.ready_at <= now:
            self._make_ready(record)
        else:
            self._waiting.push(record.ready_at, self._next_sequence(), record)

    def _promote_due(self, now: float) -> None:
        """Make all records ready whose time has come, in the order of their times."""
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
        """Offer workers a record that is ready and not in `_processing`."""
        self._ready.push(-record.priority, record.sequence, record)

    def _raise_priority(self, record: _Record[T], priority: int) -> None:
        """Raise the priority of a record. It goes to the end of that priority."""
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
        """Wait until woken, or until the first item becomes ready if a leader is needed."""
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
        """Wake as many workers as the invariants above ask for.

        Call it after each change that makes an item ready, or changes the first one to become so.
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
        """Wake the last follower, which is the cheapest to wake, or else the leader."""
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
        """Return the seconds for which each worker has had its item."""
        now = self._clock.monotonic()
        return [now - since for since in self._processing.values()]

    def _snapshot(self) -> Snapshot:
        """Return the metrics for a scrape."""
        with self._lock:
            # Items whose time has come count as ready, also while all workers are busy.
            self._promote_due(self._clock.monotonic())
            self._wake_workers()
            return self._metrics.snapshot(self._running())
