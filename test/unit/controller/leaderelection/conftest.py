from collections.abc import Iterator

import pytest

from fakes.election import World


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for candidate in made.candidates:
        candidate.finish()
    made.clock.step(3600)
