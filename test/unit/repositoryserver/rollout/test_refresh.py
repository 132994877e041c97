"""When a server is told to look at its repository anew, as another pod has written to it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from controller.conditions import timestamp
from controller.errors import TransportError
from fakes import objects, passes
from fakes.clock import FakeClock
from fakes.kopia import FakeKopia, FakeResult
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.context import Memory
from reconcilers.repositoryserver.rollout.refresh import Refresher
from reconcilers.repositoryserver.serverexec import CommandRunner

if TYPE_CHECKING:
    from controller.resource import Object

SERVING = objects.pod(objects.serving())
FORMER = objects.pod(objects.serving(), name="former", digest="former")
DRAINS: Object = objects.merged(
    FORMER,
    {
        "metadata": {
            "annotations": {
                names.ANNOTATION_DRAIN_UNTIL: timestamp(objects.NOW + timedelta(hours=1))
            }
        }
    },
)
TERMINATING = objects.terminating(FORMER)


class World:
    """A server in passes one after the other."""

    def __init__(self) -> None:
        self.clock = FakeClock(objects.NOW)
        self.kopia = FakeKopia()
        self.refresher = Refresher(
            commands=CommandRunner(self.kopia),  # type: ignore[arg-type]  # has what is called
            clock=self.clock,
        )
        self.memory = Memory()

    def pass_(
        self, *others: Object, after: float = 0, drain_seconds: int = 100
    ) -> tuple[list[str], float | None]:
        """Make a pass some seconds after the last one.

        Returns:
            What ran, and when to look again.
        """
        self.clock.step(after)
        current = passes.begin(self.clock, {"spec": {"server": {"drainSeconds": drain_seconds}}})
        current.memory = self.memory
        self.refresher.ensure_caught_up(current, SERVING, others)
        return self.kopia.ran(), current.requeue_after


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(
    ("others", "look_again"),
    [
        pytest.param([], None, id="alone: nobody else writes"),
        pytest.param([FORMER], None, id="a pod that never served has no sessions"),
        pytest.param([DRAINS], 10, id="one that drains may write"),
        pytest.param([FORMER, TERMINATING], 10, id="so may one that is being deleted, to its end"),
    ],
)
def test_a_server_may_lack_what_was_written(
    world: World, others: list[Object], look_again: float | None
) -> None:
    assert world.pass_(*others) == ([], look_again)


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
    world.pass_(DRAINS, drain_seconds=drain_seconds)

    for _ in range(2):
        assert world.pass_(DRAINS, after=pause, drain_seconds=drain_seconds) == (["refresh"], pause)


def test_not_before_its_pause_is_over_however_often_it_is_reconciled(world: World) -> None:
    world.pass_(DRAINS)

    assert world.pass_(DRAINS, after=9.5) == ([], 0.5)
    assert world.pass_(DRAINS, after=0.5) == (["refresh"], 10)
    assert world.pass_(DRAINS, after=1) == ([], 9)


def test_once_more_when_the_last_one_has_gone_and_never_again(world: World) -> None:
    world.pass_(DRAINS)

    assert world.pass_(after=4) == ([], 6)
    assert world.pass_(after=6) == (["refresh"], None)
    assert world.pass_(after=60) == ([], None)


def test_a_pod_whose_end_nobody_confirms_counts_for_a_minute_after_its_time_to_end(
    world: World,
) -> None:
    # It ends in 30 s, and its node is lost.
    world.pass_(TERMINATING)

    assert world.pass_(TERMINATING, after=89) == (["refresh"], 10)
    assert world.pass_(TERMINATING, after=10) == (["refresh"], None)
    assert world.pass_(TERMINATING, after=60) == ([], None)


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
    world.pass_(DRAINS)

    assert world.pass_(after=10) == (["refresh"], 10)
    world.kopia.failures.clear()
    world.kopia.errors.clear()
    assert world.pass_(after=10) == (["refresh"], None)
