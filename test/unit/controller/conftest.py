"""What the tests of the worker loop share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import controller.controller
from fakes.loop import Loop, RecordingQueue


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr(controller.controller, "PriorityQueue", RecordingQueue)
    made = Loop()
    yield made
    made.stop.set()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as made:
        yield made
