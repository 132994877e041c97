"""Loads the work queue of this checkout, and prints what that cost as one line of JSON.

`benchlib.queue` runs this for each number of workers, in an environment that has the controller's
libraries. It uses no more of the queue than a controller does, so that it can measure older ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry

from controller.clock import SystemClock
from controller.metrics import Metrics
from controller.workqueue.queue import PriorityQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clock import Clock

#: Calls of one kind between two looks at the clock, as in client-go's BenchmarkQueue.
BATCH: Final = 100
#: Batches of all workers together, in each round.
BATCHES: Final = 512
ROUNDS: Final = 7

#: Items that are added one by one while all workers sleep.
SINGLE_ITEMS: Final = 300
#: Seconds until an item is ready that is added with a delay: shorter than every other delay.
DELAY_SECONDS: Final = 0.001
#: Seconds until an item is ready that is not waited for: there always is one, as of a resync.
LATER_SECONDS: Final = 3600.0
STUCK_AFTER_SECONDS: Final = 60.0


class CountingClock(SystemClock):
    """The machine's time, which counts the threads that wait, and how often one woke up."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asleep = 0
        self._wakeups = 0

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait for a notification, for at most `timeout` seconds."""
        with self._changed:
            self._asleep += 1
            self._changed.notify_all()
        try:
            return super().wait(condition, timeout)
        finally:
            with self._changed:
                self._asleep -= 1
                self._wakeups += 1

    def wakeups(self) -> int:
        """Return how many waits have ended."""
        with self._changed:
            return self._wakeups

    def until_asleep(self, threads: int) -> None:
        """Wait until so many threads wait.

        Raises:
            TimeoutError: They do not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._asleep == threads, STUCK_AFTER_SECONDS):
                raise TimeoutError


def new_queue(clock: Clock) -> PriorityQueue[int]:
    """Return an empty queue with metrics."""
    return PriorityQueue("bench", clock=clock, metrics=Metrics(CollectorRegistry()).workqueue)


def calls(workers: int, batches: int = BATCHES, rounds: int = ROUNDS) -> dict[str, float]:
    """Return what the calls cost while no worker ever has to wait.

    Args:
        workers: How many threads add, get and finish items at the same time.
        batches: Of all workers together, in each round.
        rounds: How often to measure.

    Returns:
        CPU nanoseconds of one `add`, one `get` and one `done`: the medians of the rounds.
    """
    each = [_one_round(workers, max(1, batches // workers)) for _ in range(rounds)]
    return {
        name: statistics.median(nanoseconds)
        for name, *nanoseconds in zip(("add_ns", "get_ns", "done_ns"), *each, strict=True)
    }


def _one_round(workers: int, batches: int) -> tuple[float, float, float]:
    queue = new_queue(SystemClock())
    together = threading.Barrier(workers)
    spent: SimpleQueue[tuple[int, int, int]] = SimpleQueue()

    def work(first: int) -> None:
        together.wait(STUCK_AFTER_SECONDS)
        add = get = done = 0
        # Each takes as many as it has added, its own or those of others: `get` never waits.
        for start in range(first, first + batches * BATCH, BATCH):
            began = time.thread_time_ns()
            for item in range(start, start + BATCH):
                queue.add(item)
            added = time.thread_time_ns()
            taken = [queue.get() for _ in range(BATCH)]
            got = time.thread_time_ns()
            for each in taken:
                if each is not None:
                    queue.done(each[0])
            add, get, done = (
                add + added - began,
                get + got - added,
                done + time.thread_time_ns() - got,
            )
        spent.put((add, get, done))

    threads = [
        threading.Thread(target=work, args=(number * batches * BATCH,), daemon=True)
        for number in range(workers)
    ]
    for thread in threads:
        thread.start()
    sums = [sum(each) for each in zip(*(spent.get() for _ in threads), strict=True)]
    add, get, done = (nanoseconds / (workers * batches * BATCH) for nanoseconds in sums)
    return add, get, done


def wakeups(workers: int, after: float, items: int = SINGLE_ITEMS) -> dict[str, float]:
    """Return what one item costs if all workers sleep when it is added.

    Args:
        workers: How many threads wait for items.
        after: Seconds until the item is ready.
        items: How many to add, one after the other.

    Returns:
        For each item: how many workers woke up, how many of them got nothing, and the CPU
        microseconds of the process.
    """
    clock = CountingClock()
    queue = new_queue(clock)
    finished: SimpleQueue[int] = SimpleQueue()

    def work() -> None:
        while (taken := queue.get()) is not None:
            queue.done(taken[0])
            finished.put(taken[0])

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    clock.until_asleep(workers)
    queue.add(-1, after=LATER_SECONDS)
    before, began = clock.wakeups(), time.process_time_ns()
    for item in range(items):
        queue.add(item, after=after)
        finished.get(timeout=STUCK_AFTER_SECONDS)
        clock.until_asleep(workers)
    spent, woken = time.process_time_ns() - began, clock.wakeups() - before
    queue.shut_down()
    for thread in threads:
        thread.join(STUCK_AFTER_SECONDS)
    return {
        "wakeups": woken / items,
        "empty_wakeups": woken / items - 1,
        "cpu_us": spent / items / 1000,
    }


def measure(workers: int) -> dict[str, object]:
    """Return all figures for a number of workers."""
    return {
        **calls(workers),
        "at_once": wakeups(workers, after=0.0),
        "delayed": wakeups(workers, after=DELAY_SECONDS),
    }


def main(print_line: Callable[[str], None] = print) -> None:
    """Print the figures for the number of workers that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("workers", type=int)
    print_line(json.dumps(measure(parser.parse_args().workers)))


if __name__ == "__main__":
    main()
