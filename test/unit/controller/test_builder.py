"""A controller is put together in the one way that works, or refused."""

from __future__ import annotations

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry

from controller.builder import Builder
from controller.cache.informer import Informer
from controller.cache.shared import Informers
from controller.clock import Deadline
from controller.controller import Controller
from controller.handler import enqueue_self, not_own_creation, not_own_write
from controller.metrics import Metrics
from controller.reconcile import Request, Result
from controller.resource import Object, Resource
from fakes.clock import FakeClock

GREETINGS = Resource("example.com", "v1", "greetings", "Greeting")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
OWNER = {"apiVersion": "example.com/v1", "kind": "Greeting", "name": "hello", "uid": "1"}


class Nothing:
    """A reconciler that has nothing to do."""

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        del request, deadline
        return Result()


class ShownInformer(Informer):
    """The real informer, to which a test brings what the watch would."""

    def show(self, obj: Object) -> None:
        self._processor.update(obj)


@define
class Process:
    """What a builder needs, and the controllers that it has made."""

    clock: FakeClock = field(factory=FakeClock)
    metrics: Metrics = field(factory=lambda: Metrics(CollectorRegistry()))
    informers: Informers = field(init=False)
    controllers: list[Controller] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.informers = Informers(
            None,  # type: ignore[arg-type]  # nothing is asked
            ["ns"],
            clock=self.clock,
            metrics=self.metrics,
            make=ShownInformer,
        )

    def controller(self, name: str = "greeting") -> Builder:
        return Builder(
            name,
            informers=self.informers,
            clock=self.clock,
            metrics=self.metrics,
            add=self.controllers.append,
        )

    def show(self, resource: Resource, obj: Object) -> None:
        (informer,) = self.informers.informer(resource).informers
        assert isinstance(informer, ShownInformer)
        informer.show(obj)


@pytest.fixture
def process() -> Process:
    return Process()


def obj(name: str, version: int = 1, **metadata: object) -> Object:
    return {
        "metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version), **metadata}
    }


def queued(controller: Controller) -> list[Request]:
    queue = controller._queue  # noqa: SLF001 - what was enqueued shows nowhere else
    found = []
    while len(queue):
        taken = queue.get()
        assert taken is not None
        found.append(taken[0])
        queue.done(taken[0])
    return found


def test_the_object_and_what_it_owns_and_what_a_mapper_names_wake_it(process: Process) -> None:
    controller = (
        process.controller()
        .for_(GREETINGS)
        .owns(CONFIG_MAPS)
        .watches(CONFIG_MAPS, enqueue_self)
        .complete(Nothing())
    )

    process.show(GREETINGS, obj("hello"))
    assert queued(controller) == [Request("ns", "hello")]
    process.show(CONFIG_MAPS, obj("child", ownerReferences=[OWNER]))
    assert queued(controller) == [Request("ns", "hello"), Request("ns", "child")]


def test_the_predicates_know_own_writes(process: Process) -> None:
    controller = (
        process.controller()
        .for_(GREETINGS, predicate=not_own_write)
        .owns(CONFIG_MAPS, predicate=not_own_creation)
        .complete(Nothing())
    )
    own = obj("child", 7, ownerReferences=[OWNER])
    process.informers.written(CONFIG_MAPS, own)
    process.informers.written(GREETINGS, obj("hello", 8))

    process.show(CONFIG_MAPS, own)
    process.show(GREETINGS, obj("hello", 8))
    assert queued(controller) == []
    process.show(GREETINGS, obj("hello", 9))
    assert queued(controller) == [Request("ns", "hello")]


def test_two_controllers_share_an_informer(process: Process) -> None:
    controllers = [
        process.controller(name).for_(GREETINGS).complete(Nothing()) for name in ("one", "two")
    ]

    process.show(GREETINGS, obj("hello"))

    assert [queued(one) for one in controllers] == [[Request("ns", "hello")]] * 2
    assert process.controllers == controllers
    assert len(process.informers.all()) == 1


def test_who_learns_of_something_by_other_ways_can_enqueue(process: Process) -> None:
    builder = process.controller().for_(GREETINGS)
    controller = builder.complete(Nothing())

    builder.enqueue(Request("ns", "hello"))

    assert queued(controller) == [Request("ns", "hello")]


class TestMisuse:
    def test_without_a_kind(self, process: Process) -> None:
        with pytest.raises(ValueError, match=r"controller greeting: say with for_\(\)"):
            process.controller().complete(Nothing())

    def test_children_before_the_kind_that_owns_them(self, process: Process) -> None:
        with pytest.raises(ValueError, match=r"controller greeting: say with for_\(\)"):
            process.controller().owns(CONFIG_MAPS)

    def test_two_kinds(self, process: Process) -> None:
        builder = process.controller().for_(GREETINGS)

        with pytest.raises(ValueError, match="reconciles greetings.example.com already"):
            builder.for_(CONFIG_MAPS)

    def test_complete_twice(self, process: Process) -> None:
        builder = process.controller().for_(GREETINGS)
        builder.complete(Nothing())

        with pytest.raises(ValueError, match="controller greeting is complete already"):
            builder.complete(Nothing())

    def test_enqueue_before_there_is_a_queue(self, process: Process) -> None:
        with pytest.raises(ValueError, match="controller greeting is not complete"):
            process.controller().for_(GREETINGS).enqueue(Request("ns", "hello"))

    def test_a_name_twice(self, process: Process) -> None:
        process.controller().for_(GREETINGS).complete(Nothing())

        with pytest.raises(ValueError, match="a controller named 'greeting' already"):
            process.controller().for_(GREETINGS).complete(Nothing())
