from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from fakes.election import World


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[EventDict]]:
    """Give what is logged, in place of printing it."""
    with capture_logs() as made:
        yield made


@pytest.fixture
def world() -> Iterator[World]:
    """Give a world whose candidates have ended when the test has."""
    made = World()
    yield made
    made.end()
