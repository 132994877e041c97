"""A controller on a clock that stands still, with a queue that records its calls."""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from prometheus_client import CollectorRegistry

from controller.cache.informer import Handler
from controller.clock import Deadline
from controller.controller import Controller
from controller.metrics import Metrics
from controller.reconcile import Request, Result
from controller.resource import Object, Resource
from controller.stop import Stop
from controller.workqueue.queue import PriorityQueue
from fakes.clock import FakeClock

A = Request("default", "a")


B = Request("default", "b")


PODS = Resource("", "v1", "pods", "Pod")


Outcome = Callable[[Request, Deadline], Result]


class RecordingQueue(PriorityQueue[Request]):
    """The real queue, which notes what the controller asks of it."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.calls: list[tuple[object, ...]] = []

    def add(
        self,
        item: Request,
        *,
        priority: int = 0,
        after: float = 0.0,
        rate_limited: bool = False,
        at_least: float = 0.0,
    ) -> None:
        how = ("rate limited", at_least) if rate_limited else (after,)
        self.calls.append(("add", priority, *how))
        super().add(
            item, priority=priority, after=after, rate_limited=rate_limited, at_least=at_least
        )

    def forget(self, item: Request) -> None:
        self.calls.append(("forget",))
        super().forget(item)

    def done(self, item: Request) -> None:
        self.calls.append(("done",))
        super().done(item)


@define
class FakeReconciler:
    outcome: Outcome

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        return self.outcome(request, deadline)


@define
class FakeInformer:
    #: The namespaces that have not synced.
    missing: set[str] = field(factory=set)
    resource: Resource = PODS
    handlers: list[Handler] = field(factory=list)

    def add_handler(self, handler: Handler) -> None:
        self.handlers.append(handler)

    def has_synced(self, namespace: str = "") -> bool:
        return namespace not in self.missing

    def is_own_write(self, obj: Object) -> bool:
        return False


class Loop:
    """A controller on a clock that stands still, with a queue that remembers."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.stop = Stop()

    def controller(self, outcome: Outcome, **options: Any) -> Controller:
        made = Controller(
            "loop",
            FakeReconciler(outcome),
            clock=self.clock,
            metrics=self.metrics,
            **options,
        )
        self.queue = made._queue  # noqa: SLF001 - the seam that the outcomes are about
        return made

    @property
    def calls(self) -> list[tuple[object, ...]]:
        assert isinstance(self.queue, RecordingQueue)
        return self.queue.calls

    def reconcile_once(self, outcome: Outcome, *, priority: int = 0, **options: Any) -> None:
        """Run a controller for one reconcile; what it adds anew is delayed, so it stays queued."""

        def stopping(request: Request, deadline: Deadline) -> Result:
            self.stop.set()
            return outcome(request, deadline)

        made = self.controller(stopping, **options)
        made.enqueue(A, priority)
        self.calls.clear()
        made.run(self.stop)

    def counts(self) -> dict[str, float]:
        """Return the controller's counters that are not zero, by name and result."""
        return {
            sample.labels.get("result", sample.name.removeprefix("controller_runtime_")): value
            for family in self.registry.collect()
            if family.type == "counter" and family.name.startswith("controller_runtime_")
            for sample in family.samples
            if (value := sample.value)
        }

    def value(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"controller_runtime_{name}", {"controller": "loop"})


def returns(result: Result) -> Outcome:
    return lambda _request, _deadline: result


def raises(error: BaseException) -> Outcome:
    def outcome(_request: Request, _deadline: Deadline) -> Result:
        raise error

    return outcome
