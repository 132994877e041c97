"""The metrics of the work queues of a process.

Follows client-go util/workqueue/metrics.go. A queue counts in plain numbers, under the lock that it
holds anyway. A scrape makes series of them. The counters and histograms of the client library take
a lock for each change, and would cost more than the queue itself.
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

#: The number of priorities with a series of `workqueue_depth` of their own. The others share one
#: (controller-runtime pkg/internal/metrics/workqueue.go).
MAX_PRIORITY_SERIES: Final = 25
OTHER_PRIORITIES: Final = "exceeded_cardinality_limit"

#: Both have the same value: the name of the queue is that of its controller.
LABELS: Final = ("name", "controller")

NAME_TAKEN: Final = "there is a work queue named {name!r} already: two would share their metrics"


def exponential_buckets(start: float, factor: float, count: int) -> tuple[float, ...]:
    """Return the upper bounds of buckets, each a multiple of the one before.

    They are multiplied step by step, as the Go client does. The results differ in the last digit:
    1e-8 times 10 three times over is 9.999999999999999e-06. The label `le` must be the same.

    Args:
        start: The first bound.
        factor: The ratio of a bound to the one before.
        count: The number of bounds.
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
        counts: The number of durations in each bucket of `SECONDS_BUCKETS` alone. The last one
            counts those above all bounds.
        total: The sum of all durations, in seconds.
    """

    counts: list[int] = field(factory=lambda: [0] * len(_BUCKET_LABELS))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        # A duration that equals a bound is in the bucket of the bound.
        self.counts[bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.total += seconds

    def copy(self) -> "Durations":
        """Return a copy that later durations do not change."""
        return evolve(self, counts=self.counts.copy())

    def buckets(self) -> list[tuple[str, float]]:
        """Return for each value of the label `le` the number of durations up to it."""
        return list(zip(_BUCKET_LABELS, accumulate(self.counts), strict=True))


@frozen
class Snapshot:
    """The metrics of one queue at one time.

    Args:
        depth: The number of ready items, by the value of the label `priority`.
        adds: How many items became ready.
        retries: How many adds had a delay.
        queue_duration: The times that items were ready before a worker got them.
        work_duration: The times that workers had items.
        unfinished_work: The seconds for which workers have had their items, summed up.
        longest_running_processor: The longest of these; 0.0 if no worker has an item.
    """

    depth: Mapping[str, int]
    adds: int
    retries: int
    queue_duration: Durations
    work_duration: Durations
    unfinished_work: float
    longest_running_processor: float


class QueueMetrics:
    """The counts of one queue (client-go `queueMetrics`).

    The queue calls each method with its lock held. It measures the times itself, since it needs
    them anyway.
    """

    def __init__(self) -> None:
        # The number of ready items by priority, in the order in which priorities were first seen.
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
        """Count a ready item whose priority has changed."""
        self._depth[old] -= 1
        self._depth[new] += 1

    def get(self, priority: int, seconds: float) -> None:
        """Count an item that a worker gets, and the seconds for which it was ready."""
        self._depth[priority] -= 1
        self._queue_duration.observe(seconds)

    def done(self, seconds: float) -> None:
        """Count the seconds for which a worker had an item."""
        self._work_duration.observe(seconds)

    def retry(self) -> None:
        """Count an add with a delay."""
        self._retries += 1

    def snapshot(self, running: Collection[float]) -> Snapshot:
        """Return the metrics as they are now.

        Args:
            running: The seconds for which each worker has had its item.
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
        # Returns the metrics of a queue, by its name.
        self._queues: dict[str, Callable[[], Snapshot]] = {}

    def register(self, name: str, snapshot: Callable[[], Snapshot]) -> None:
        """Export the metrics of one more queue.

        Args:
            name: The name of the queue.
            snapshot: Returns its metrics. Called on the thread of a scrape.

        Raises:
            ValueError: Another queue has this name.
        """
        with self._lock:
            if name in self._queues:
                raise ValueError(NAME_TAKEN.format(name=name))
            self._queues[name] = snapshot

    def describe(self) -> Iterable[Metric]:
        """Return the families without series. A registry uses them to refuse a second collector."""
        return _Families()

    def collect(self) -> Iterable[Metric]:
        """Return the families with the metrics as they are now."""
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
