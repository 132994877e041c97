"""Until when requests are let through."""

import pytest

from controller.errors import NotLeading
from controller.leaderelection.fence import Fence
from fakes.clock import FakeClock


def is_open(fence: Fence) -> bool:
    try:
        fence.check()
    except NotLeading:
        return False
    return True


def test_it_is_closed_at_first() -> None:
    fence = Fence(FakeClock())

    with pytest.raises(NotLeading, match="another process may lead"):
        fence.check()
    assert fence.remaining == 0


@pytest.mark.parametrize(
    ("passed", "remaining", "opened"),
    [
        pytest.param(0, 10, True, id="open at once"),
        pytest.param(9.5, 0.5, True, id="open up to its time"),
        pytest.param(10, 0, False, id="closed at its time"),
        pytest.param(3600, 0, False, id="closed after a long stop"),
    ],
)
def test_it_closes_by_itself(passed: float, remaining: float, *, opened: bool) -> None:
    clock = FakeClock()
    fence = Fence(clock)
    fence.open_until(clock.monotonic() + 10)

    clock.step(passed)

    assert (fence.remaining, is_open(fence)) == (remaining, opened)


def test_its_time_can_be_moved_on() -> None:
    clock = FakeClock()
    fence = Fence(clock)
    fence.open_until(10)
    clock.step(8)

    fence.open_until(18)
    clock.step(8)

    assert is_open(fence)
