"""Renderers are kept, never more than there may be, and ended in the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import pytest
from attrs import define, field

from controller.clock import SystemClock
from fakes.clock import STUCK_AFTER
from reconcilers.actionset.templates.errors import RendererUnavailable
from reconcilers.actionset.templates.pool import RendererPool

if TYPE_CHECKING:
    from reconcilers.actionset.templates.child import RendererProcess


@define(eq=False)
class FakeProcess:
    """A renderer that only is or is not usable."""

    usable: bool = True
    closed: bool = False

    def close(self) -> None:
        """Record it."""
        self.usable, self.closed = False, True


@define(eq=False)
class World:
    """A pool and what it has started."""

    size: int = 1
    started: list[FakeProcess] = field(factory=list)
    failures: list[Exception] = field(factory=list)
    pool: RendererPool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pool = RendererPool(self.size, self.start, SystemClock())

    def start(self) -> RendererProcess:
        if self.failures:
            raise self.failures.pop()
        self.started.append(FakeProcess())
        return cast("RendererProcess", self.started[-1])

    def use(self) -> None:
        with self.pool.renderer():
            pass


def test_one_is_used_again() -> None:
    world = World(size=2)

    for _ in range(3):
        world.use()

    assert len(world.started) == 1


def test_one_that_is_no_longer_usable_is_ended_and_replaced() -> None:
    world = World()
    with world.pool.renderer():
        world.started[0].usable = False
    world.use()
    world.started[1].usable = False

    world.use()

    assert [one.closed for one in world.started] == [True, True, False]


def test_one_that_does_not_start_takes_no_place() -> None:
    world = World(failures=[RendererUnavailable("no")])

    with pytest.raises(RendererUnavailable, match="no"):
        world.use()

    world.use()


def test_whoever_comes_when_all_are_in_use_waits_for_one() -> None:
    world = World()
    done = threading.Event()

    def use() -> None:
        world.use()
        done.set()

    with world.pool.renderer():
        thread = threading.Thread(target=use, daemon=True)
        thread.start()
        assert not done.is_set()
        assert len(world.started) == 1

    assert done.wait(STUCK_AFTER)
    assert len(world.started) == 1


def test_all_are_ended_in_the_end() -> None:
    world = World(size=2)
    with world.pool.renderer():
        world.use()
        world.pool.close()
        assert [one.closed for one in world.started] == [False, True]

    assert [one.closed for one in world.started] == [True, True]
    with pytest.raises(RendererUnavailable, match="shut down"):
        world.use()


def test_nobody_waits_for_one_of_a_pool_that_is_closed() -> None:
    world = World()
    ended: list[Exception] = []

    def use() -> None:
        try:
            world.use()
        except RendererUnavailable as error:
            ended.append(error)

    with world.pool.renderer():
        thread = threading.Thread(target=use, daemon=True)
        thread.start()
        world.pool.close()
        thread.join(STUCK_AFTER)

        assert len(ended) == 1
