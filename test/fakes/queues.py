"""A work queue for tests, whose rate limiter begins with a second."""

from prometheus_client import CollectorRegistry

from controller.clock import Clock
from controller.metrics import Metrics
from controller.workqueue.queue import PriorityQueue
from controller.workqueue.ratelimit import ExponentialRateLimiter


def new_queue(clock: Clock, metrics: Metrics | None = None) -> PriorityQueue[str]:
    return PriorityQueue(
        "queue",
        clock=clock,
        metrics=metrics or Metrics(CollectorRegistry()),
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
