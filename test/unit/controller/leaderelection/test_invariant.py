"""At most one candidate may write, whatever happens."""

from __future__ import annotations

import itertools
import random

import pytest

from fakes.election import REFUSED, World


@pytest.mark.parametrize("seed", range(5))
def test_never_two_at_once(world: World, seed: int) -> None:
    """Whatever fails or hangs, and however long anybody sleeps: at most one may write."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    names = (f"replica-{number}" for number in itertools.count())
    leaders: set[int] = set()
    for _ in range(3):
        world.candidate(next(names), watching=draw.random() < 0.5).start()
    for _ in range(200):
        world.settle()
        alive = [one for one in world.candidates if not one.has_ended]
        while len(alive) < 3:
            alive.append(world.candidate(next(names), watching=draw.random() < 0.5))
            alive[-1].start()
        for one in alive:
            one.client.trouble = REFUSED if draw.random() < 0.1 else None
            one.client.hangs = draw.random() < 0.1
            one.client.answers_hang = draw.random() < 0.1
        if draw.random() < 0.1:
            draw.choice(alive).stop.set()
        world.step(draw.choice([0.1, 1, 2, 2, 2, 2, 4, 11, 16]))

        working = [one for one in alive if one.fence.remaining and not one.has_ended]
        assert len(working) <= 1
        leaders.update(map(id, working))

    assert len(leaders) > 3, "the lease has gone round"
