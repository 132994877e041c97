"""When a server is told to look at its repository anew, as another pod has written to it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry

from controller.commands import Commands
from controller.conditions import timestamp
from controller.errors import TransportError
from controller.metrics import Metrics
from fakes import contexts, objects
from fakes.clock import FakeClock
from fakes.kopia import FakeKopia, FakeResult
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.perobject import States
from reconcilers.repositoryserver.rollout.refresh import Refresher
from reconcilers.repositoryserver.serverexec import ServerCommands

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object

SERVING = objects.pod(objects.serving())
PREVIOUS = objects.pod(objects.serving(), name="previous", digest="previous")
DRAINS: Object = objects.merged(
    PREVIOUS,
    {
        "metadata": {
            "annotations": {
                names.ANNOTATION_DRAIN_UNTIL: timestamp(objects.NOW + timedelta(hours=1))
            }
        }
    },
)
TERMINATING = objects.terminating(PREVIOUS)


class World:
    """A server in reconciles one after the other."""

    def __init__(self) -> None:
        self.clock = FakeClock(objects.NOW)
        self.kopia = FakeKopia()
        self.threads: list[Callable[[], None]] = []
        #: Whether commands end before the reconcile that asks for them.
        self.at_once = True
        commands = Commands(
            "commands",
            self.kopia,  # type: ignore[arg-type]  # has what is called
            clock=self.clock,
            metrics=Metrics(CollectorRegistry()),
            spawn=lambda work: work() if self.at_once else self.threads.append(work),
        )
        states = States()
        self.refresher = Refresher(
            commands=ServerCommands(commands, states=states), states=states, clock=self.clock
        )

    def end_commands(self) -> None:
        """Run the commands that were asked for."""
        while self.threads:
            self.threads.pop()()

    def reconcile_once(
        self, *others: Object, pod: Object = SERVING, after: float = 0, drain_seconds: int = 100
    ) -> tuple[list[str], float | None]:
        """Reconcile some seconds after the last one.

        Returns:
            What ran, and when to look again.
        """
        self.clock.step(after)
        current = contexts.begin(self.clock, {"spec": {"server": {"drainSeconds": drain_seconds}}})
        self.refresher.ensure_caught_up(current, pod, others)
        return self.kopia.ran(), current.requeue_after


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("others", "look_again"),
    [
        pytest.param([], None, id="alone: nobody else writes"),
        pytest.param([PREVIOUS], None, id="a pod that never served has no sessions"),
        pytest.param([DRAINS], 10, id="one that drains may write"),
        pytest.param(
            [PREVIOUS, TERMINATING], 10, id="so may one that is being deleted, to its end"
        ),
    ],
)
def test_a_server_may_lack_what_was_written(
    world: World, others: list[Object], look_again: float | None
) -> None:
    assert world.reconcile_once(*others) == ([], look_again)


@pytest.mark.parametrize(
    ("drain_seconds", "pause"),
    [
        pytest.param(300, 30, id="a tenth of the time to drain"),
        pytest.param(80, 8, id="of a short one too"),
        pytest.param(10, 5, id="five seconds at least"),
        pytest.param(3600, 30, id="half a minute at most"),
    ],
)
def test_it_looks_every(world: World, drain_seconds: int, pause: float) -> None:
    world.reconcile_once(DRAINS, drain_seconds=drain_seconds)

    for _ in range(2):
        assert world.reconcile_once(DRAINS, after=pause, drain_seconds=drain_seconds) == (
            ["refresh"],
            pause,
        )


def test_not_before_its_pause_is_over_however_often_it_is_reconciled(world: World) -> None:
    world.reconcile_once(DRAINS)

    assert world.reconcile_once(DRAINS, after=9.5) == ([], 0.5)
    assert world.reconcile_once(DRAINS, after=0.5) == (["refresh"], 10)
    assert world.reconcile_once(DRAINS, after=1) == ([], 9)


def test_once_more_when_the_last_one_has_gone_and_never_again(world: World) -> None:
    world.reconcile_once(DRAINS)

    assert world.reconcile_once(after=4) == ([], 6)
    assert world.reconcile_once(after=6) == (["refresh"], None)
    assert world.reconcile_once(after=60) == ([], None)


def test_a_pod_whose_end_nobody_confirms_counts_for_a_minute_after_its_time_to_end(
    world: World,
) -> None:
    # It ends in 30 s, and its node is lost.
    world.reconcile_once(TERMINATING)

    assert world.reconcile_once(TERMINATING, after=89) == (["refresh"], 10)
    assert world.reconcile_once(TERMINATING, after=10) == (["refresh"], None)
    assert world.reconcile_once(TERMINATING, after=60) == ([], None)


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        pytest.param(FakeResult(1, stderr=b"no \xff\n"), None, id="Kopia refuses, in no words"),
        pytest.param(None, TransportError("reset"), id="Kopia cannot be reached"),
    ],
)
def test_what_fails_is_tried_again(
    world: World, result: FakeResult | None, cause: Exception | None
) -> None:
    if result is not None:
        world.kopia.failures["refresh"] = result
    if cause is not None:
        world.kopia.errors["refresh"] = cause
    world.reconcile_once(DRAINS)

    assert world.reconcile_once(after=10) == (["refresh"], 10)
    world.kopia.failures.clear()
    world.kopia.errors.clear()
    assert world.reconcile_once(after=10) == (["refresh"], None)


class TestRefreshUnderWay:
    """No worker waits for it, and it counts for what it has seen."""

    @pytest.fixture
    def refreshing(self, world: World) -> World:
        """Give a world in which another pod drains, and a refresh was just asked for."""
        world.at_once = False
        world.reconcile_once(DRAINS)
        assert world.reconcile_once(DRAINS, after=10) == ([], None)
        return world

    def test_its_end_is_followed_by_a_pause(self, refreshing: World) -> None:
        assert refreshing.reconcile_once(DRAINS, after=2) == ([], None)

        refreshing.end_commands()

        assert refreshing.reconcile_once(DRAINS) == (["refresh"], 10)
        assert refreshing.reconcile_once(DRAINS, after=9) == ([], 1)

    def test_it_is_not_the_last_one_if_somebody_may_have_written_since_it_began(
        self, refreshing: World
    ) -> None:
        refreshing.reconcile_once()
        refreshing.end_commands()

        assert refreshing.reconcile_once() == (["refresh"], 10)
        refreshing.reconcile_once(after=10)
        refreshing.end_commands()
        assert refreshing.reconcile_once() == (["refresh"], None)
        assert refreshing.reconcile_once(after=60) == ([], None)

    def test_nor_if_somebody_has_begun_to_write_meanwhile(self, world: World) -> None:
        world.reconcile_once(DRAINS)
        world.at_once = False
        world.reconcile_once(after=10)
        world.reconcile_once(DRAINS)
        world.end_commands()

        assert world.reconcile_once() == (["refresh"], 10)

    def test_it_does_not_stand_for_one_after_another_pod_has_served(self, world: World) -> None:
        world.reconcile_once(DRAINS)
        world.at_once = False
        world.reconcile_once(after=10)
        world.end_commands()
        other = objects.merged(PREVIOUS, {"metadata": {"uid": "other"}})
        # Nobody writes any more: its success would be the last word.
        world.reconcile_once(pod=other, after=1)

        assert world.reconcile_once() == ([], None)

        # One of the other pod, and another one of this pod.
        world.end_commands()
        assert world.reconcile_once() == (["refresh", "refresh"], None)
        assert world.reconcile_once(after=60) == ([], None)
