"""How many servers are replaced at the same time."""

from __future__ import annotations

import pytest

from controller.reconcile import Request
from fakes.clock import FakeClock
from reconcilers.repositoryserver.rollout.throttle import (
    EXPIRY_SECONDS,
    MAX_PAUSE_SECONDS,
    MIN_PAUSE_SECONDS,
    Turns,
)


def server(number: int) -> Request:
    return Request("backup", f"server-{number}")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def turns(clock: FakeClock) -> Turns:
    return Turns(2, clock=clock)


def test_no_more_than_the_limit_have_a_turn(turns: Turns) -> None:
    assert [turns.take(server(number)) for number in range(3)] == [True, True, False]


def test_who_has_a_turn_keeps_it(turns: Turns) -> None:
    assert turns.take(server(0))
    assert turns.take(server(1))
    assert turns.take(server(0))


def test_a_turn_that_is_given_back_is_free(turns: Turns) -> None:
    turns.take(server(0))
    turns.take(server(1))
    turns.give_back(server(0))

    assert turns.take(server(2))
    assert not turns.take(server(0))


def test_to_give_back_what_one_does_not_have_is_no_error(turns: Turns) -> None:
    turns.give_back(server(0))

    assert turns.take(server(0))


def test_a_turn_that_nobody_gives_back_expires(turns: Turns, clock: FakeClock) -> None:
    turns.take(server(0))
    clock.step(1)
    turns.take(server(1))
    clock.step(EXPIRY_SECONDS - 1)

    assert [turns.take(server(2)), turns.take(server(3))] == [True, False]


@pytest.mark.parametrize(
    ("waiting", "pause"),
    [
        pytest.param(1, MIN_PAUSE_SECONDS, id="a few ask often"),
        pytest.param(500, 10.0, id="many ask fifty times a second, all together"),
        pytest.param(100_000, MAX_PAUSE_SECONDS, id="but each at least once a minute"),
    ],
)
def test_the_more_wait_the_less_often_each_asks(turns: Turns, waiting: int, pause: float) -> None:
    for number in range(2 + waiting):
        turns.take(server(number))

    assert turns.pause() == pause


@pytest.fixture
def crowded(turns: Turns) -> Turns:
    """Turns of which the first two are taken, and for which 500 wait."""
    for number in range(502):
        turns.take(server(number))
    return turns


def test_who_has_got_a_turn_waits_no_more(crowded: Turns) -> None:
    for number in range(250):
        crowded.give_back(server(number))
        assert crowded.take(server(number + 2))

    assert crowded.pause() == 5.0


def test_nor_does_who_needs_none_any_more(crowded: Turns) -> None:
    for number in range(2, 252):
        crowded.give_back(server(number))

    assert crowded.pause() == 5.0


def test_who_has_failed_is_not_held_back_by_its_own_failure(turns: Turns) -> None:
    """Its revision may have been refused for a moment, by a quota say, before it was there."""
    for number in range(2):
        assert turns.take(server(number), "new")
        turns.fail(server(number))

    assert turns.take(server(0), "new")
    assert turns.holds(server(0)) == []
    assert not turns.take(server(2), "new")
    assert turns.holds(server(2)) == [server(0), server(1)]
