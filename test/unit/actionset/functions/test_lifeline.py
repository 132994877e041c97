"""The input of a command in a container."""

import threading

import pytest

from controller.errors import Stopped
from fakes.clock import STUCK_AFTER, FakeClock
from reconcilers.actionset.functions import shellscript
from reconcilers.actionset.functions.lifeline import INTERVAL_SECONDS, Lifeline


def test_signs_of_life_follow_the_command_until_it_is_to_end() -> None:
    clock = FakeClock()
    lifeline = Lifeline(b"head", clock=clock)
    pieces = iter(lifeline)
    got = [next(pieces)]
    thread = threading.Thread(target=lambda: got.extend(pieces), daemon=True)
    thread.start()
    clock.block_until_waiters(1)

    clock.step(INTERVAL_SECONDS)
    clock.block_until_waiters(1)
    lifeline.end()
    thread.join(STUCK_AFTER)

    assert got == [b"head", shellscript.ALIVE, shellscript.END]


def test_a_command_that_is_ended_before_it_has_begun_gets_nothing() -> None:
    """Nothing tells the container otherwise: the connection is cut."""
    lifeline = Lifeline(b"head", clock=FakeClock())
    lifeline.end()

    with pytest.raises(Stopped):
        next(iter(lifeline))


def test_the_command_is_in_no_representation() -> None:
    assert "hunter2" not in repr(Lifeline(b"hunter2", clock=FakeClock()))
