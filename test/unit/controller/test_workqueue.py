"""The work queue: each rule by itself. The other test_workqueue_*.py hold all of them at once."""

from collections.abc import Callable
from typing import Any

import pytest

from controller.workqueue.queue import LOW_PRIORITY, MIN_STALE, PriorityQueue
from fakes.clock import FakeClock
from fakes.queues import new_queue, take_all


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(clock: FakeClock) -> PriorityQueue[str]:
    return new_queue(clock)


Add = Callable[[PriorityQueue[str]], None]


def add(item: str, **how: Any) -> Add:
    return lambda queue: queue.add(item, **how)


@pytest.mark.parametrize(
    ("adds", "handed_out"),
    [
        pytest.param([add("a"), add("b"), add("c")], ["a", "b", "c"], id="first come, first out"),
        pytest.param([add("a"), add("b"), add("a")], ["a", "b"], id="added twice, out once"),
        pytest.param(
            [add("low", priority=LOW_PRIORITY), add("a"), add("high", priority=5)],
            ["high", "a", "low"],
            id="the highest priority first",
        ),
        pytest.param(
            [add("a"), add("b", priority=5), add("c", priority=5), add("a", priority=5)],
            ["b", "c", "a"],
            id="an item with a raised priority goes to the end of it",
        ),
        pytest.param(
            [add("a", priority=5), add("b", priority=1), add("a", priority=0)],
            ["a", "b"],
            id="a lower priority does not lower an item",
        ),
        pytest.param(
            [add("a", after=10), add("b")], ["b"], id="a delayed item is not out before its time"
        ),
        pytest.param(
            [add("a", after=10), add("a")], ["a"], id="an add without delay overrides a delay"
        ),
        pytest.param([add("a"), add("a", after=10)], ["a"], id="a delay does not hold back"),
        pytest.param([add("a", after=-1)], ["a"], id="a negative delay is none"),
    ],
)
def test_what_is_handed_out_now(
    queue: PriorityQueue[str], adds: list[Add], handed_out: list[str]
) -> None:
    for each in adds:
        each(queue)

    assert [item for item, _ in take_all(queue)] == handed_out


@pytest.mark.parametrize(
    ("adds", "ready_at"),
    [
        pytest.param([add("a", after=10)], 10, id="after its delay"),
        pytest.param([add("a", after=10), add("a", after=4)], 4, id="the earlier of two, last"),
        pytest.param([add("a", after=4), add("a", after=10)], 4, id="the earlier of two, first"),
        pytest.param([add("a", rate_limited=True)], 1, id="after the limiter's delay"),
        pytest.param(
            [add("a", after=0.5, rate_limited=True)], 0.5, id="the smaller, here of the caller"
        ),
        pytest.param(
            [add("a", after=60, rate_limited=True)], 1, id="the smaller, here of the limiter"
        ),
        pytest.param(
            [add("a", rate_limited=True, at_least=20)], 20, id="no sooner than somebody asks"
        ),
        pytest.param(
            [add("a", rate_limited=True, at_least=0.5)], 1, id="nor than the limiter says"
        ),
    ],
)
def test_when_a_delayed_item_becomes_ready(
    queue: PriorityQueue[str], clock: FakeClock, adds: list[Add], ready_at: float
) -> None:
    for each in adds:
        each(queue)

    clock.step(ready_at - 0.25)
    assert len(queue) == 0
    clock.step(0.25)
    assert take_all(queue) == [("a", 0)]
    clock.step(3600)
    assert take_all(queue) == []


def test_items_become_ready_in_the_order_of_their_times(
    queue: PriorityQueue[str], clock: FakeClock
) -> None:
    queue.add("late", after=3)
    queue.add("early", after=1)
    queue.add("middle", after=2)

    clock.step(5)

    assert [item for item, _ in take_all(queue)] == ["early", "middle", "late"]


def test_a_delayed_item_keeps_the_priority_it_was_raised_to(
    queue: PriorityQueue[str], clock: FakeClock
) -> None:
    queue.add("a", after=10)
    queue.add("a", after=10, priority=7)
    clock.step(10)

    assert take_all(queue) == [("a", 7)]


class TestLocked:
    def test_an_item_added_while_a_worker_has_it_waits_for_done(
        self, queue: PriorityQueue[str]
    ) -> None:
        queue.add("a")
        queue.get()
        queue.add("a")
        queue.add("b")

        assert queue.get() == ("b", 0), "the locked item is skipped, not waited for"
        queue.done("a")
        assert queue.get() == ("a", 0)

    def test_done_hands_nothing_out_that_was_not_added_meanwhile(
        self, queue: PriorityQueue[str]
    ) -> None:
        queue.add("a")
        queue.get()
        queue.done("a")

        assert len(queue) == 0

    def test_a_skipped_item_keeps_its_place(self, queue: PriorityQueue[str]) -> None:
        queue.add("a")
        queue.get()
        queue.add("a")
        queue.add("b")
        queue.done("a")

        assert [item for item, _ in take_all(queue)] == ["a", "b"]

    def test_a_skipped_item_can_be_raised(self, queue: PriorityQueue[str]) -> None:
        queue.add("a")
        queue.get()
        queue.add("a")
        queue.add("b", priority=1)
        queue.add("a", priority=2)
        queue.done("a")

        assert take_all(queue) == [("a", 2), ("b", 1)]

    def test_an_item_whose_delay_ends_while_a_worker_has_it_waits_for_done(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        queue.add("a")
        queue.get()
        queue.add("a", after=1)
        queue.add("b", after=2)
        clock.step(2)

        assert queue.get() == ("b", 0)
        queue.done("a")
        assert queue.get() == ("a", 0)

    def test_done_without_get_is_refused(self, queue: PriorityQueue[str]) -> None:
        with pytest.raises(KeyError, match="a"):
            queue.done("a")


class TestRateLimit:
    def test_each_retry_waits_longer_until_the_item_is_forgotten(
        self, queue: PriorityQueue[str], clock: FakeClock
    ) -> None:
        def delay() -> float:
            queue.add("a", rate_limited=True)
            started = clock.monotonic()
            while not take_all(queue):
                clock.step(0.5)
            return clock.monotonic() - started

        assert [delay() for _ in range(3)] == [1, 2, 4]

        queue.forget("a")

        assert delay() == 1


def test_overridden_delays_leave_no_trail(queue: PriorityQueue[str]) -> None:
    """A reconcile each second that asks to be called again in ten hours must not grow memory."""
    for _ in range(100 * MIN_STALE):
        queue.add("a", after=36000)
        queue.add("a")
        queue.get()
        queue.done("a")

    assert len(queue._waiting._entries) <= MIN_STALE + 1  # noqa: SLF001 - nothing else shows it
