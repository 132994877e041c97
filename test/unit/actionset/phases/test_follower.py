"""Logs are read beside the workers: once to their end, whatever cuts them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from controller.errors import BadRequest, Forbidden, NotFound, ServerUnavailable, TransportError
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.phases import REQUEST
from fakes.podlogs import FakeLogs, Opened, stamped
from reconcilers.actionset.function import Progress
from reconcilers.actionset.phases.follower import LONG_LOG, PLACE_SECONDS, READ_SECONDS, Follower
from reconcilers.actionset.phases.outputs import Printed
from reconcilers.actionset.phases.reading import (
    LAST_SECONDS,
    LOOK_SECONDS,
    NEWS_SECONDS,
    PATIENCE,
    PATIENCE_REFUSED,
    SKEW_SECONDS,
    Lost,
    Source,
    Unread,
)
from reconcilers.actionset.phases.timedlog import Log, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from structlog.typing import EventDict

    from controller.reconcile import Request

SOURCE = Source("shop", "pod-a", "uid-a", "container")
FOLLOWED = Opened("shop", "pod-a", "container", follow=True)
READ = evolve(FOLLOWED, follow=False)

BROKEN = TransportError("the connection broke")


class World:
    """A follower whose threads a test runs."""

    def __init__(self, *, max_followed: int = 64, max_read: int = 16) -> None:
        self.clock = FakeClock()
        self.logs = FakeLogs()
        self.woken: list[Request] = []
        self.threads: list[Callable[[], None]] = []
        self.follower = Follower(
            "logs",
            self.logs,
            clock=self.clock,
            enqueue=self.woken.append,
            max_followed=max_followed,
            max_read=max_read,
            spawn=self.threads.append,
        )

    def follow(self, source: Source = SOURCE, first: int | None = None) -> Unread:
        return self.follower.follow(REQUEST, source, first=first)

    def read(
        self,
        source: Source = SOURCE,
        first: int | None = None,
        ended_at: datetime | None = None,
    ) -> Log | Lost | Unread:
        return self.follower.read(REQUEST, source, first=first, ended_at=ended_at)

    def go_on(self) -> None:
        threads = list(self.threads)
        self.threads.clear()
        for work in threads:
            work()

    def read_to_its_end(self) -> Log | Lost | Unread:
        assert self.read() == Unread()
        self.go_on()
        return self.read()


@pytest.fixture
def world() -> World:
    return World()


def log_of(*lines: str, rotated: bool = False) -> Log:
    return Log(Printed({}, lines), rotated)


def test_a_log_that_was_followed_to_its_end_is_not_read_again(world: World) -> None:
    world.logs.expect(stamped("one", "two"))

    assert world.follow() == Unread(again_after=LOOK_SECONDS)
    assert world.follow() == Unread(again_after=LOOK_SECONDS), "it is followed already"
    world.go_on()
    world.clock.step(NEWS_SECONDS)

    assert world.read() == log_of("one", "two")
    assert world.logs.opened == [FOLLOWED]
    assert world.woken == [], "the news of the pod's end wakes"


def test_a_log_that_nobody_has_followed_is_read(world: World) -> None:
    world.logs.expect(stamped("one"))

    assert world.read_to_its_end() == log_of("one")
    assert world.logs.opened == [READ]
    assert world.woken == [REQUEST]
    assert world.logs.deadlines[0].remaining() == READ_SECONDS


def test_the_end_of_a_follow_that_is_waited_for_wakes(world: World) -> None:
    world.logs.expect(stamped("one"))
    world.follow()

    assert world.read() == Unread(again_after=LAST_SECONDS)
    world.go_on()

    assert world.woken == [REQUEST]
    assert world.read() == log_of("one")
    assert world.logs.opened == [FOLLOWED]


def test_each_line_that_says_anew_how_far_it_is_wakes(world: World) -> None:
    lines = [stamped(f'###Phase-progress###: {{"percent": {n}}}', first=n) for n in (1, 1, 2)]
    world.logs.expect(stamped("begun"), *lines)

    world.follow()
    world.go_on()

    assert world.woken == [REQUEST, REQUEST]
    assert world.follower.progress(SOURCE) == Progress(2)
    assert world.follower.progress(evolve(SOURCE, uid="uid-b")) is None


def test_a_follow_that_ended_long_before_its_container_is_no_proof(world: World) -> None:
    """An API server that loses the kubelet ends its answer in good order."""
    world.logs.expect(stamped("one"))
    world.logs.expect(stamped("one", "two"))
    world.follow()
    world.go_on()
    world.clock.step(NEWS_SECONDS + 1)

    assert world.read_to_its_end() == log_of("one", "two")
    assert world.logs.opened == [FOLLOWED, READ]


@pytest.mark.parametrize(
    ("after", "opened"),
    [
        pytest.param(SKEW_SECONDS, [FOLLOWED], id="at the same time, as far as clocks agree"),
        pytest.param(SKEW_SECONDS + 0.5, [FOLLOWED, READ], id="later"),
    ],
)
def test_a_follow_that_ended_before_its_container_is_no_proof(
    world: World, after: float, opened: list[Opened]
) -> None:
    world.logs.expect(stamped("one"))
    world.logs.expect(stamped("one", "two"))
    world.follow()
    world.go_on()
    world.clock.step(after)

    ended_at = world.clock.now()
    world.read(ended_at=ended_at)
    world.go_on()

    assert isinstance(world.read(ended_at=ended_at), Log)
    assert world.logs.opened == opened


def test_a_container_that_goes_on_is_followed_anew(world: World) -> None:
    world.logs.expect(stamped("one"))
    world.logs.expect(stamped("one", "two"))
    world.follow()
    world.go_on()

    assert world.follow() == Unread(again_after=NEWS_SECONDS), "the news may be on its way"
    world.clock.step(NEWS_SECONDS)
    world.follow()
    world.go_on()

    assert world.read() == log_of("one", "two")
    assert world.logs.opened == [FOLLOWED, FOLLOWED]


def test_a_follow_that_does_not_end_is_cut_and_the_log_read(world: World) -> None:
    """Its connection may be half open."""

    def news_of_the_end() -> None:
        assert world.read() == Unread(again_after=LAST_SECONDS)
        world.clock.step(LAST_SECONDS)
        assert world.read() == Unread()

    world.logs.expect(stamped("one"), news_of_the_end)
    world.logs.expect(stamped("one", "two"))
    world.follow()
    world.go_on()

    assert world.woken == [REQUEST]
    assert world.read_to_its_end() == log_of("one", "two")
    assert world.logs.opened == [FOLLOWED, READ]


def test_a_follow_that_was_cut_is_begun_anew_after_a_pause(world: World) -> None:
    world.logs.expect(stamped("one"), BROKEN)
    world.logs.expect(stamped("one", "two"))
    world.follow()
    world.go_on()

    assert world.woken == [REQUEST]
    assert world.follow() == Unread("the connection broke", again_after=1.0)
    world.clock.step(1.0)
    world.follow()
    world.go_on()

    assert world.read() == log_of("one", "two")


def test_the_pauses_grow_up_to_a_limit(world: World) -> None:
    pauses = []
    for _ in range(7):
        world.logs.expect(BROKEN)
        world.follow()
        world.go_on()
        pauses.append(world.follow().again_after)
        world.clock.step(pauses[-1] or 0.0)

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


class TestLost:
    """A log that cannot be read is given up in the end."""

    def tries(self, world: World, error: Exception) -> tuple[float, Lost]:
        """Return after how many seconds a log is given up whose every reading fails."""
        began = world.clock.monotonic()
        for _ in range(100):
            world.logs.expect(error)
            outcome = world.read()
            world.go_on()
            if isinstance(outcome, Lost):
                return world.clock.monotonic() - began, outcome
            assert isinstance(outcome, Unread)
            world.clock.step(outcome.again_after or 0.0)
        raise AssertionError("it was never given up")

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(BROKEN, id="no connection"),
            pytest.param(ServerUnavailable(502, "", "no route to host"), id="no node"),
            pytest.param(Forbidden(403, "Forbidden", "no right"), id="a Role may be mended"),
        ],
    )
    def test_while_it_may_be_mended_after_a_while(self, world: World, error: Exception) -> None:
        seconds, lost = self.tries(world, error)

        assert PATIENCE <= seconds <= PATIENCE + 30
        assert lost == Lost(str(error))

    @pytest.mark.parametrize(
        "error",
        [
            pytest.param(NotFound(404, "NotFound", "no pod"), id="no pod"),
            pytest.param(BadRequest(400, "BadRequest", "no log"), id="no log"),
        ],
    )
    def test_where_there_is_none_soon(self, world: World, error: Exception) -> None:
        seconds, lost = self.tries(world, error)

        assert PATIENCE_REFUSED <= seconds <= PATIENCE_REFUSED + 30
        assert lost == Lost(str(error))

    def test_words_of_the_kubelet_are_no_log(self, world: World) -> None:
        for _ in range(10):
            world.logs.expect(b"unable to retrieve container logs for containerd://0a1b")
            world.read()
            world.go_on()
            world.clock.step(10.0)

        assert world.read() == Lost("the node has no log of container container")

    def test_one_that_is_there_after_all(self, world: World) -> None:
        world.logs.expect(BROKEN)
        world.logs.expect(stamped("one"))
        world.read_to_its_end()
        world.clock.step(1.0)
        world.read()
        world.go_on()

        assert world.read() == log_of("one")

    def test_a_fault_of_this_program_ends_nothing_else(
        self, world: World, logged: list[EventDict]
    ) -> None:
        """Its message is not shown: it may have what was read."""
        world.logs.expect(ZeroDivisionError("oops"))

        assert world.read_to_its_end() == Unread("ZeroDivisionError", again_after=1.0)
        assert [line["event"] for line in logged] == ["a log cannot be read"]


class TestRotation:
    """A node throws away the beginning of a long log."""

    def test_the_first_line_of_a_long_one_is_to_be_remembered(self, world: World) -> None:
        world.logs.expect(stamped("x" * LONG_LOG), stamped("y"), stamped("z"))
        world.follow()
        assert world.follower.first_line(SOURCE) is None
        world.go_on()

        first = world.follower.first_line(SOURCE)

        assert first == nanoseconds(b"2026-01-01T00:00:00Z")
        assert world.woken == [REQUEST], "once, and not at each piece of it"

    def test_that_of_a_short_one_is_not(self, world: World) -> None:
        world.logs.expect(stamped("one"))
        world.follow()
        world.go_on()

        assert world.follower.first_line(SOURCE) is None

    def test_a_new_process_sees_that_the_beginning_is_gone(self, world: World) -> None:
        world.logs.expect(stamped("late", first=5))
        world.read(first=nanoseconds(b"2026-01-01T00:00:00Z"))
        world.go_on()

        assert world.read() == log_of("late", rotated=True)


class TestPlaces:
    """So many logs at once, apart for those that are followed."""

    OTHER = evolve(SOURCE, pod="pod-b", uid="uid-b")

    def test_without_a_place_a_log_is_not_followed_but_read_at_the_end(self) -> None:
        world = World(max_followed=1)
        world.follow()

        assert world.follow(self.OTHER) == Unread(again_after=PLACE_SECONDS)
        assert world.read(self.OTHER) == Unread()
        world.go_on()

        assert world.logs.opened == [FOLLOWED, Opened("shop", "pod-b", "container", follow=False)]

    def test_a_place_is_free_again(self) -> None:
        world = World(max_followed=1)
        world.follow()
        world.go_on()
        world.follow(self.OTHER)
        world.go_on()

        assert [one.pod for one in world.logs.opened] == ["pod-a", "pod-b"]

    def test_those_at_their_end_are_read_in_their_order(self) -> None:
        world = World(max_read=1)
        world.read()
        world.read(self.OTHER)

        assert len(world.threads) == 1
        world.go_on()

        assert [one.pod for one in world.logs.opened] == ["pod-a", "pod-b"]

    @pytest.mark.parametrize("ask", [World.follow, World.read])
    def test_without_a_thread_the_next_reconcile_asks_again(
        self, ask: Callable[[World], object]
    ) -> None:
        world = World(max_followed=1, max_read=1)

        def refuse(_work: Callable[[], None]) -> None:
            raise RuntimeError("can't start new thread")

        world.follower = Follower(
            "logs", world.logs, clock=world.clock, max_followed=1, max_read=1, spawn=refuse
        )
        for _ in range(2):
            with pytest.raises(RuntimeError):
                ask(world)


def test_a_log_that_nobody_needs_any_more_is_cut_and_wakes_nobody(world: World) -> None:
    world.logs.expect(stamped("one"), lambda: world.follower.forget("uid-a"))
    world.follow()
    world.read()
    world.go_on()

    assert world.woken == []
    assert world.follower.first_line(SOURCE) is None


def test_one_that_is_queued_is_never_opened(world: World) -> None:
    world.read()
    world.follower.forget("uid-a")
    world.go_on()

    assert world.logs.opened == []


def test_another_pod_of_the_name_has_a_log_of_its_own(world: World) -> None:
    world.logs.expect(stamped("old"))
    world.logs.expect(stamped("new"))
    world.read_to_its_end()
    successor = evolve(SOURCE, uid="uid-b")
    world.read(successor)
    world.go_on()

    assert world.read(successor) == log_of("new")


def test_a_stop_cuts_all_logs_and_waits_for_the_threads() -> None:
    logs, stop, reached = FakeLogs(), Stop(), threading.Event()

    def wait_for_the_cut() -> None:
        reached.set()
        opened = logs.deadlines[0].stop
        assert opened is not None
        assert opened.wait(STUCK_AFTER)

    follower = Follower("logs", logs, clock=FakeClock())
    logs.expect(stamped("one"), wait_for_the_cut)
    runner = threading.Thread(target=follower.run, args=(stop,), daemon=True)
    runner.start()
    follower.follow(REQUEST, SOURCE)
    assert reached.wait(STUCK_AFTER)

    stop.set()
    runner.join(STUCK_AFTER)

    assert not runner.is_alive()
    # No other one is opened from then on.
    follower.follow(REQUEST, evolve(SOURCE, uid="other"))
    assert follower.read(REQUEST, evolve(SOURCE, uid="third")) == Unread()
    assert logs.opened == [FOLLOWED]


class TestWithoutPlace:
    """A log that finds no place to be followed: its beginning is looked at."""

    def test_what_its_node_has_thrown_away_by_the_end_is_noticed(self) -> None:
        world = World(max_followed=0)
        world.logs.expect(stamped("one", "two"))
        world.logs.expect(stamped("late", first=30))

        assert world.follow() == Unread(again_after=PLACE_SECONDS)
        world.go_on()
        log = world.read_to_its_end()

        assert isinstance(log, Log)
        assert log.rotated
        assert world.logs.opened == [READ, READ]

    def test_its_first_line_is_to_be_remembered_and_is_read_once(self) -> None:
        world = World(max_followed=0)
        world.logs.expect(stamped("one"))
        world.follow()
        before = world.follower.first_line(SOURCE)
        world.go_on()
        world.follow()
        world.go_on()

        assert (before, world.woken) == (None, [REQUEST])
        assert world.follower.first_line(SOURCE) == nanoseconds(stamped("x").split(b" ")[0])
        assert len(world.logs.opened) == 1

    def test_one_that_has_printed_nothing_yet_is_looked_at_again(self) -> None:
        world = World(max_followed=0)
        for _ in range(2):
            world.follow()
            world.go_on()

        assert world.logs.opened == [READ, READ]
        assert world.follower.first_line(SOURCE) is None

    def test_one_that_ends_meanwhile_is_read_as_a_whole(self) -> None:
        world = World(max_followed=0)
        world.logs.expect(stamped("one"), stamped("two", first=1))
        world.follow()
        assert world.read() == Unread()
        world.go_on()

        assert world.read() == log_of("one", "two")
        assert world.logs.opened == [READ]

    def test_it_is_followed_once_there_is_a_place(self) -> None:
        world = World(max_followed=1)
        world.follow(evolve(SOURCE, uid="uid-b"))
        world.logs.expect(stamped("of the other"))
        world.logs.expect(stamped("one"))
        world.logs.expect(stamped("one", "two"))
        world.follow()
        world.go_on()
        world.clock.step(PLACE_SECONDS)
        world.follow()
        world.go_on()

        assert world.read() == log_of("one", "two")
        assert world.logs.opened[-1] == FOLLOWED
