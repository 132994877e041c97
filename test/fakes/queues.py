"""A work queue for tests, whose rate limiter begins with a second, and workers of one."""

import threading

from prometheus_client import CollectorRegistry

from controller.clock import Clock
from controller.metrics import Metrics
from controller.workqueue.queue import PriorityQueue
from controller.workqueue.ratelimit import ExponentialRateLimiter
from fakes.clock import STUCK_AFTER


def new_queue(clock: Clock, metrics: Metrics | None = None) -> PriorityQueue[str]:
    return PriorityQueue(
        "queue",
        clock=clock,
        metrics=(metrics or Metrics(CollectorRegistry())).workqueue,
        rate_limiter=ExponentialRateLimiter(base=1),
    )


def take_all(queue: PriorityQueue[str]) -> list[tuple[str, int]]:
    """Take and finish what is ready, in the order it comes."""
    taken = []
    while len(queue):
        got = queue.get()
        assert got is not None
        taken.append(got)
        queue.done(got[0])
    return taken


class Workers:
    """Threads that take items and keep each until they are told to finish it."""

    def __init__(self, queue: PriorityQueue[str], number: int) -> None:
        self._queue = queue
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(number)]
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
