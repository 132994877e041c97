"""How many servers are replaced at the same time."""

from __future__ import annotations

import pytest

from controller.reconcile import Request
from fakes.clock import FakeClock
from reconcilers.repositoryserver.rollout.throttle import (
    EXPIRY_SECONDS,
    MAX_PAUSE_SECONDS,
    MIN_PAUSE_SECONDS,
    RolloutSlots,
)


def server(number: int) -> Request:
    return Request("backup", f"server-{number}")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def slots(clock: FakeClock) -> RolloutSlots:
    return RolloutSlots(2, clock=clock)


def test_no_more_than_the_limit_have_a_slot(slots: RolloutSlots) -> None:
    assert [slots.acquire(server(number)) for number in range(3)] == [True, True, False]


def test_who_has_a_slot_keeps_it(slots: RolloutSlots) -> None:
    assert slots.acquire(server(0))
    assert slots.acquire(server(1))
    assert slots.acquire(server(0))


def test_a_slot_that_is_released_is_free(slots: RolloutSlots) -> None:
    slots.acquire(server(0))
    slots.acquire(server(1))
    slots.release(server(0))

    assert slots.acquire(server(2))
    assert not slots.acquire(server(0))


def test_to_give_back_what_one_does_not_have_is_no_error(slots: RolloutSlots) -> None:
    slots.release(server(0))

    assert slots.acquire(server(0))


def test_a_slot_that_nobody_releases_expires(slots: RolloutSlots, clock: FakeClock) -> None:
    slots.acquire(server(0))
    clock.step(1)
    slots.acquire(server(1))
    clock.step(EXPIRY_SECONDS - 1)

    assert [slots.acquire(server(2)), slots.acquire(server(3))] == [True, False]


@pytest.mark.parametrize(
    ("waiting", "pause"),
    [
        pytest.param(1, MIN_PAUSE_SECONDS, id="a few ask often"),
        pytest.param(500, 10.0, id="many ask fifty times a second, all together"),
        pytest.param(100_000, MAX_PAUSE_SECONDS, id="but each at least once a minute"),
    ],
)
def test_the_more_wait_the_less_often_each_asks(
    slots: RolloutSlots, waiting: int, pause: float
) -> None:
    for number in range(2 + waiting):
        slots.acquire(server(number))

    assert slots.pause() == pause


@pytest.fixture
def crowded(slots: RolloutSlots) -> RolloutSlots:
    """Slots of which the first two are taken, and for which 500 wait."""
    for number in range(502):
        slots.acquire(server(number))
    return slots


def test_who_has_got_a_slot_waits_no_more(crowded: RolloutSlots) -> None:
    for number in range(250):
        crowded.release(server(number))
        assert crowded.acquire(server(number + 2))

    assert crowded.pause() == 5.0


def test_nor_does_who_needs_none_any_more(crowded: RolloutSlots) -> None:
    for number in range(2, 252):
        crowded.release(server(number))

    assert crowded.pause() == 5.0


def test_who_has_failed_is_not_held_back_by_its_own_failure(slots: RolloutSlots) -> None:
    """Its revision may have been refused for a moment, by a quota say, before it was there."""
    for number in range(2):
        assert slots.acquire(server(number), "new")
        slots.fail(server(number))

    assert slots.acquire(server(0), "new")
    assert slots.holds(server(0)) == []
    assert not slots.acquire(server(2), "new")
    assert slots.holds(server(2)) == [server(0), server(1)]


def test_a_failure_counts_no_more_once_the_inputs_have_changed(slots: RolloutSlots) -> None:
    for number in range(2):
        assert slots.acquire(server(number), "new")
        slots.fail(server(number))

    assert slots.acquire(server(0), "mended")

    assert slots.acquire(server(2), "new")


def test_who_was_counted_beyond_the_limit_waits_before_it_begins_another_revision(
    slots: RolloutSlots,
) -> None:
    """It needed no slot when it began: it did not serve. Now it does, and changes again."""
    for number in range(2):
        slots.acquire(server(number), "new")
    slots.resume(server(2), "new")

    assert slots.acquire(server(2), "new")
    assert not slots.acquire(server(2), "newer")
    slots.release(server(0))
    assert slots.acquire(server(2), "newer")


def test_a_slot_is_for_the_revision_that_was_asked_for_last(slots: RolloutSlots) -> None:
    """Its failure would not count otherwise: it would be that of a revision of before."""
    for number in range(2):
        slots.acquire(server(number), "old")
        slots.acquire(server(number), "new")
        slots.fail(server(number))

    assert not slots.acquire(server(2), "new")
    assert slots.acquire(server(0), "new")
    assert not slots.acquire(server(2), "new")
    assert slots.holds(server(2)) == [server(0), server(1)]
