"""What the work queue counts, and what of that a scrape shows."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Histogram

from controller.metrics import Metrics
from controller.workqueue.metrics import SECONDS_BUCKETS, Durations, QueueMetrics
from controller.workqueue.queue import PriorityQueue
from fakes.clock import FakeClock
from fakes.queues import new_queue, take_all


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def queue(clock: FakeClock, registry: CollectorRegistry) -> PriorityQueue[str]:
    return new_queue(clock, Metrics(registry))


@pytest.fixture
def value(registry: CollectorRegistry) -> Callable[..., float | None]:
    labels = {"name": "queue", "controller": "queue"}
    return lambda name, **more: registry.get_sample_value(f"workqueue_{name}", labels | more)


def test_depth_counts_what_is_ready_by_priority(
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
    queue: PriorityQueue[str], value: Callable[..., float | None]
) -> None:
    for priority in range(30):
        queue.add(f"item {priority}", priority=priority)

    assert value("depth", priority="24") == 1
    assert value("depth", priority="25") is None
    assert value("depth", priority="exceeded_cardinality_limit") == 5


def test_adds_count_items_that_become_ready(
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
    queue: PriorityQueue[str], value: Callable[..., float | None]
) -> None:
    queue.add("a")
    assert value("retries_total") == 0

    queue.add("a", after=1)
    queue.add("a", rate_limited=True)
    assert value("retries_total") == 2


def test_durations_tell_waiting_from_working(
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


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(0.0, id="no time at all is in the first bucket"),
        pytest.param(SECONDS_BUCKETS[0], id="a bound belongs to its bucket"),
        pytest.param(SECONDS_BUCKETS[0] * 1.01, id="what is above it to the next"),
        pytest.param(0.42, id="somewhere in the middle"),
        pytest.param(SECONDS_BUCKETS[-1], id="the last bound"),
        pytest.param(SECONDS_BUCKETS[-1] * 2, id="above all bounds"),
    ],
)
def test_a_duration_is_in_the_buckets_where_the_client_library_has_it(seconds: float) -> None:
    theirs = Histogram(
        "theirs", "As the client library counts.", buckets=SECONDS_BUCKETS, registry=None
    )
    ours = Durations()

    theirs.observe(seconds)
    ours.observe(seconds)

    (family,) = theirs.collect()
    expected = {
        sample.labels["le"]: sample.value
        for sample in family.samples
        if sample.name == "theirs_bucket"
    }
    assert dict(ours.buckets()) == expected


def test_each_queue_of_a_process_has_its_series() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for name, items in (("one", 1), ("two", 2)):
        queue = PriorityQueue[int](name, clock=FakeClock(), metrics=metrics.workqueue)
        for item in range(items):
            queue.add(item)

    for name, items in (("one", 1), ("two", 2)):
        labels = {"name": name, "controller": name}
        assert registry.get_sample_value("workqueue_adds_total", labels) == items


def test_two_queues_of_one_name_are_refused() -> None:
    metrics = Metrics(CollectorRegistry())
    PriorityQueue[int]("pods", clock=FakeClock(), metrics=metrics.workqueue)

    with pytest.raises(ValueError, match="there is a work queue named 'pods' already"):
        PriorityQueue[int]("pods", clock=FakeClock(), metrics=metrics.workqueue)


def test_figures_once_taken_stay_as_they_are() -> None:
    counts = QueueMetrics()
    counts.add(0)
    counts.get(0, seconds=1.0)
    before = counts.snapshot([])

    counts.add(0)
    counts.get(0, seconds=1.0)
    counts.done(seconds=1.0)

    assert (before.adds, before.queue_duration.total, sum(before.queue_duration.counts)) == (
        1,
        1,
        1,
    )
    assert sum(before.work_duration.counts) == 0
