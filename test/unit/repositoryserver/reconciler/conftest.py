"""The reconciler is tested by the requests that it sends and the status that it writes."""

from __future__ import annotations

import pytest

from fakes.world import World


@pytest.fixture
def world() -> World:
    """Give a world with a new server."""
    return World()


@pytest.fixture
def settled(world: World) -> World:
    """Give a world with a server that is Ready; what that took is forgotten."""
    world.settle()
    return world
