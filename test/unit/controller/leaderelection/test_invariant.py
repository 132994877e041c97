"""At most one candidate may write, whatever happens."""

from __future__ import annotations

import itertools
import random

import pytest

from fakes.election import REFUSED, World


@pytest.mark.parametrize("seed", range(5))
def test_never_two_at_once(world: World, seed: int) -> None:
    """Whatever fails and however long anybody sleeps: at most one may write."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    numbers = itertools.count()
    leaders: set[int] = set()
    for _ in range(3):
        world.candidate(f"replica-{next(numbers)}", watching=draw.random() < 0.5).start()
    for _ in range(200):
        world.settle()
        for candidate in world.candidates:
            candidate.client.trouble = REFUSED if draw.random() < 0.1 else None
        if draw.random() < 0.1:
            draw.choice(world.candidates).finish()
        world.step(draw.choice([0.1, 1, 2, 2, 2, 2, 4, 11, 16]))

        working = [one for one in world.candidates if one.fence.remaining and not one.has_ended]
        assert len(working) <= 1
        leaders.update(id(one) for one in working)
        for ended in [one for one in world.candidates if one.has_ended]:
            world.candidates.remove(ended)
            world.candidate(f"replica-{next(numbers)}").start()

    assert len(leaders) > 3, "the lease has gone round"
