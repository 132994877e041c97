"""What the work queues of a process count, after client-go's util/workqueue/metrics.go.

A queue counts in plain numbers, under the lock that it holds anyway, and a scrape turns these
into series. The counters and histograms of the client library take a lock for each number that
they change, and cost more than the queue itself.
"""

import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from attrs import define, evolve, field, frozen
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import INF, floatToGoString

#: Distinct priorities that get a series of `workqueue_depth` of their own; the rest share one
#: (controller-runtime pkg/internal/metrics/workqueue.go).
MAX_PRIORITY_SERIES: Final = 25
OTHER_PRIORITIES: Final = "exceeded_cardinality_limit"

#: Both hold the name of the queue, which is that of its controller.
LABELS: Final = ("name", "controller")

NAME_TAKEN: Final = "there is a work queue named {name!r} already: two would share their metrics"


def exponential_buckets(start: float, factor: float, count: int) -> tuple[float, ...]:
    """Return upper bounds, each a multiple of the one before.

    They are multiplied step by step as the Go client does: 1e-8 times 10 three times over is
    9.999999999999999e-06, and a query by the label `le` must find what it finds there.

    Args:
        start: The first bound.
        factor: What each further bound is multiplied with.
        count: How many bounds.
    """
    bounds = [start]
    while len(bounds) < count:
        bounds.append(bounds[-1] * factor)
    return tuple(bounds)


#: Upper bounds of the histograms, in seconds.
SECONDS_BUCKETS: Final = exponential_buckets(1e-8, 10, 12)
_BUCKET_LABELS: Final = tuple(map(floatToGoString, (*SECONDS_BUCKETS, INF)))


@define
class Durations:
    """A histogram of durations.

    Args:
        counts: How many durations fell into each bucket of `SECONDS_BUCKETS` and not into one
            before; the last are those above all bounds.
        total: Their sum, in seconds.
    """

    counts: list[int] = field(factory=lambda: [0] * len(_BUCKET_LABELS))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        # A bound belongs to its bucket.
        self.counts[bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.total += seconds

    def copy(self) -> "Durations":
        """Return a histogram that stays as this one is now."""
        return evolve(self, counts=self.counts.copy())

    def buckets(self) -> list[tuple[str, float]]:
        """Return for each upper bound, as the label `le` spells it, the durations up to it."""
        return list(zip(_BUCKET_LABELS, accumulate(self.counts), strict=True))


@frozen
class Snapshot:
    """The figures of one queue at one time.

    Args:
        depth: Items that are ready, by the value of the priority label.
        adds: Items that became ready.
        retries: Adds with a delay.
        queue_duration: From becoming ready until handed out.
        work_duration: From handed out until done.
        unfinished_work: Seconds since the items were handed out that are not done, summed up.
        longest_running_processor: Seconds since the oldest of these was handed out; 0.0 if none.
    """

    depth: Mapping[str, int]
    adds: int
    retries: int
    queue_duration: Durations
    work_duration: Durations
    unfinished_work: float
    longest_running_processor: float


class QueueMetrics:
    """The counts of one queue: client-go's queueMetrics.

    The queue calls each method with its lock held, and measures the times: it keeps them anyway.
    """

    def __init__(self) -> None:
        # Items that are ready, by priority, in the order in which the priorities were first seen.
        self._depth: defaultdict[int, int] = defaultdict(int)
        self._adds = 0
        self._retries = 0
        self._queue_duration = Durations()
        self._work_duration = Durations()

    def add(self, priority: int) -> None:
        """Count an item that has become ready."""
        self._adds += 1
        self._depth[priority] += 1

    def change_priority(self, old: int, new: int) -> None:
        """Count an item that is ready under another priority."""
        self._depth[old] -= 1
        self._depth[new] += 1

    def get(self, priority: int, seconds: float) -> None:
        """Count an item that is handed out, and the seconds for which it was ready."""
        self._depth[priority] -= 1
        self._queue_duration.observe(seconds)

    def done(self, seconds: float) -> None:
        """Count the seconds since an item was handed out that is done."""
        self._work_duration.observe(seconds)

    def retry(self) -> None:
        """Count an add with a delay."""
        self._retries += 1

    def snapshot(self, running: Collection[float]) -> Snapshot:
        """Return the figures of now.

        Args:
            running: For each item that is handed out and not done, the seconds since it was.
        """
        depth: dict[str, int] = {}
        for number, (priority, items) in enumerate(self._depth.items()):
            label = str(priority) if number < MAX_PRIORITY_SERIES else OTHER_PRIORITIES
            depth[label] = depth.get(label, 0) + items
        return Snapshot(
            depth=depth,
            adds=self._adds,
            retries=self._retries,
            queue_duration=self._queue_duration.copy(),
            work_duration=self._work_duration.copy(),
            unfinished_work=sum(running),
            longest_running_processor=max(running, default=0.0),
        )


class WorkqueueCollector(Collector):
    """Exports the `workqueue_*` families of all queues of a process.

    Names, labels and buckets are those of controller-runtime pkg/internal/metrics/workqueue.go.
    """

    def __init__(self) -> None:
        # Guards the field below.
        self._lock = threading.Lock()
        # Takes the figures of each queue, by its name.
        self._queues: dict[str, Callable[[], Snapshot]] = {}

    def register(self, name: str, snapshot: Callable[[], Snapshot]) -> None:
        """Export the figures of one more queue.

        Args:
            name: The queue's name.
            snapshot: Returns its figures; called on the thread of a scrape.

        Raises:
            ValueError: Another queue has that name.
        """
        with self._lock:
            if name in self._queues:
                raise ValueError(NAME_TAKEN.format(name=name))
            self._queues[name] = snapshot

    def describe(self) -> Iterable[Metric]:
        """Return the families without series, by which a registry refuses to have them twice."""
        return _Families()

    def collect(self) -> Iterable[Metric]:
        """Return the families with the figures of now."""
        with self._lock:
            queues = list(self._queues.items())
        families = _Families()
        for name, snapshot in queues:
            families.add(name, snapshot())
        return families


class _Families:
    """The families, in the order in which they are exported."""

    def __init__(self) -> None:
        self._depth = GaugeMetricFamily(
            "workqueue_depth",
            "Items that are ready to be handed out, by priority.",
            labels=(*LABELS, "priority"),
        )
        self._adds = CounterMetricFamily(
            "workqueue_adds_total", "Items that became ready to be handed out.", labels=LABELS
        )
        self._queue_duration = HistogramMetricFamily(
            "workqueue_queue_duration_seconds",
            "Time that items were ready before they were handed out.",
            labels=LABELS,
        )
        self._work_duration = HistogramMetricFamily(
            "workqueue_work_duration_seconds",
            "Time from the handing out of an item until it was done.",
            labels=LABELS,
        )
        self._unfinished_work = GaugeMetricFamily(
            "workqueue_unfinished_work_seconds",
            "Time since the handing out of all items that are not done, summed up.",
            labels=LABELS,
        )
        self._longest_running_processor = GaugeMetricFamily(
            "workqueue_longest_running_processor_seconds",
            "Time since the handing out of the oldest item that is not done.",
            labels=LABELS,
        )
        self._retries = CounterMetricFamily(
            "workqueue_retries_total", "Items that were added with a delay.", labels=LABELS
        )

    def __iter__(self) -> Iterator[Metric]:
        """Return the families."""
        yield self._depth
        yield self._adds
        yield self._queue_duration
        yield self._work_duration
        yield self._unfinished_work
        yield self._longest_running_processor
        yield self._retries

    def add(self, name: str, figures: Snapshot) -> None:
        """Add the series of one queue."""
        labels = (name, name)
        for priority, items in figures.depth.items():
            self._depth.add_metric((*labels, priority), items)
        self._adds.add_metric(labels, figures.adds)
        for family, durations in (
            (self._queue_duration, figures.queue_duration),
            (self._work_duration, figures.work_duration),
        ):
            family.add_metric(labels, durations.buckets(), durations.total)
        self._unfinished_work.add_metric(labels, figures.unfinished_work)
        self._longest_running_processor.add_metric(labels, figures.longest_running_processor)
        self._retries.add_metric(labels, figures.retries)
