"""The work queue against a model, by any sequence of calls of one thread."""

from collections import Counter

from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import CollectorRegistry

from controller.metrics import Metrics
from controller.workqueue.queue import LOW_PRIORITY
from fakes.clock import FakeClock
from fakes.queues import new_queue

ITEMS = st.sampled_from("abcd")
PRIORITIES = st.sampled_from([LOW_PRIORITY, 0, 7])
DELAYS = st.sampled_from([0, 0, 0, 1, 2, 50])


@define
class Expected:
    """What the model knows of one item in the queue."""

    priority: int
    ready_at: float
    #: Order of becoming ready; None while it is not.
    order: int | None = None


class QueueModel(RuleBasedStateMachine):
    """Any sequence of calls does what a plain dictionary, searched from end to end, says."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.metrics = Metrics(CollectorRegistry())
        self.queue = new_queue(self.clock, self.metrics)
        self.queued: dict[str, Expected] = {}
        self.locked: set[str] = set()
        self.order = 0
        #: Rate limited adds of each item since it was last forgotten.
        self.failures: Counter[str] = Counter()
        self.became_ready = 0
        self.delayed = 0

    def next_order(self) -> int:
        self.order += 1
        return self.order

    def due(self) -> None:
        """Mark what has become ready, the earliest first; equal times keep the order of adding."""
        waiting = [each for each in self.queued.values() if each.order is None]
        for expected in sorted(waiting, key=lambda each: each.ready_at):
            if expected.ready_at <= self.clock.monotonic():
                expected.order = self.next_order()
                self.became_ready += 1

    def candidates(self) -> list[str]:
        return [
            item
            for item, expected in self.queued.items()
            if expected.order is not None and item not in self.locked
        ]

    @rule(adds=st.lists(st.tuples(ITEMS, PRIORITIES, DELAYS), min_size=1, max_size=6))
    def add_some(self, adds: list[tuple[str, int, float]]) -> None:
        for item, priority, delay in adds:
            self.queue.add(item, priority=priority, after=delay)

            self.expect(item, priority, delay)

    @rule(item=ITEMS, priority=PRIORITIES, after=DELAYS, at_least=DELAYS)
    def add_rate_limited(self, item: str, priority: int, after: float, at_least: float) -> None:
        self.queue.add(item, priority=priority, after=after, rate_limited=True, at_least=at_least)

        limit = max(2.0 ** self.failures[item], at_least)
        self.failures[item] += 1
        self.expect(item, priority, min(after, limit) if after else limit)

    @rule(item=ITEMS)
    def forget(self, item: str) -> None:
        self.queue.forget(item)

        self.failures.pop(item, None)

    def expect(self, item: str, priority: int, delay: float) -> None:
        self.delayed += delay > 0
        ready_at = self.clock.monotonic() + delay
        expected = self.queued.get(item)
        if expected is None:
            self.queued[item] = Expected(priority, ready_at)
        else:
            if priority > expected.priority:
                expected.priority = priority
                if expected.order is not None:
                    expected.order = self.next_order()
            if ready_at < expected.ready_at:
                # Equal times keep the order in which they were asked for.
                self.queued[item] = self.queued.pop(item)
                expected.ready_at = ready_at if expected.order is None else expected.ready_at
        self.due()

    @precondition(lambda self: self.candidates())
    @rule()
    def get(self) -> None:
        """The highest priority first, then what was ready first; never a locked item."""
        best = min(
            self.candidates(),
            key=lambda item: (-self.queued[item].priority, self.queued[item].order),
        )
        expected = self.queued.pop(best)

        assert self.queue.get() == (best, expected.priority)

        self.locked.add(best)

    @precondition(lambda self: self.locked)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from(sorted(self.locked)))

        self.queue.done(item)

        self.locked.remove(item)

    @rule(seconds=st.sampled_from([1, 3, 60]))
    def wait(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.due()

    @invariant()
    def nothing_is_lost_and_all_is_counted(self) -> None:
        ready = [each for each in self.queued.values() if each.order is not None]

        assert len(self.queue) == len(ready)
        samples = [
            sample for family in self.metrics.workqueue.collect() for sample in family.samples
        ]
        depth = {
            int(sample.labels["priority"]): sample.value
            for sample in samples
            if sample.name == "workqueue_depth"
        }
        assert Counter(depth) == Counter(each.priority for each in ready), "none is below zero"
        values = {sample.name: sample.value for sample in samples}
        assert values["workqueue_adds_total"] == self.became_ready
        assert values["workqueue_retries_total"] == self.delayed


QueueModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestQueueModel = QueueModel.TestCase
