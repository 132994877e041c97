"""The builder: what a controller watches, and which calls are refused."""

from collections.abc import Callable

import pytest
from attrs import define, field

from controller.builder import Builder
from controller.clock import Deadline
from controller.handler import enqueue_self, not_own_creation, not_own_write
from controller.reconcile import Request, Result
from controller.resource import Object, Resource
from fakes.clock import FakeClock
from fakes.commands import LOAD, FakeExecutor
from fakes.operator import FakeOperator, queued

GREETINGS = Resource("example.com", "v1", "greetings", "Greeting")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
OWNER = {"apiVersion": "example.com/v1", "kind": "Greeting", "name": "hello", "uid": "1"}


class Nothing:
    """A reconciler that has nothing to do."""

    def reconcile(self, request: Request, deadline: Deadline) -> Result:
        del request, deadline
        return Result()


@define
class Process:
    """What a builder needs, and the controllers that it has made.

    Attributes:
        pending: Commands that were asked for, and do not run yet.
    """

    pending: list[Callable[[], None]] = field(factory=list)
    operator: FakeOperator = field(init=False)

    def __attrs_post_init__(self) -> None:
        clock = FakeClock()
        self.operator = FakeOperator(
            client=None,
            executor=FakeExecutor(clock),
            recorder=None,
            clock=clock,
            namespaces=("ns",),
            spawn=self.pending.append,
        )

    def controller(self, name: str = "greeting") -> Builder:
        return self.operator.controller(name)

    def show(self, resource: Resource, obj: Object) -> None:
        self.operator.shown(resource).show(obj)


@pytest.fixture
def process() -> Process:
    return Process()


def obj(name: str, version: int = 1, **metadata: object) -> Object:
    return {
        "metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version), **metadata}
    }


def test_the_object_its_children_and_a_mapper_enqueue_it(process: Process) -> None:
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
    process.operator.informers.written(CONFIG_MAPS, own)
    process.operator.informers.written(GREETINGS, obj("hello", 8))

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
    assert process.operator.controllers == controllers
    assert len(process.operator.informers.all()) == 1


def test_a_command_that_has_ended_wakes_its_object(process: Process) -> None:
    builder = process.controller().for_(GREETINGS)
    controller = builder.complete(Nothing())
    assert builder.commands is builder.commands

    builder.commands.ensure(Request("ns", "hello"), "slot", LOAD)
    process.pending.pop()()

    assert queued(controller) == [Request("ns", "hello")]


def test_events_that_come_from_no_informer_can_be_enqueued(process: Process) -> None:
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

        with pytest.raises(ValueError, match=r"reconciles greetings\.example\.com already"):
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
