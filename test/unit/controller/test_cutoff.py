"""What ends a request whose time is over, on a clock that only the test moves."""

import math
import socket
import threading
from collections.abc import Iterator

import pytest

from controller.rest.cutoff import STOP_GRACE_SECONDS, Cause, Cutoff, Guard
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock


class Waiting:
    """A thread that reads from a connection on which nothing comes."""

    def __init__(self) -> None:
        self.sock, self.peer = socket.socketpair()
        self._ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        self.sock.recv(1)
        self._ended.set()

    def wait_until_woken(self) -> None:
        assert self._ended.wait(STUCK_AFTER)

    @property
    def waits(self) -> bool:
        return not self._ended.is_set()

    def close(self) -> None:
        self.peer.close()
        self.wait_until_woken()
        self.sock.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cutoff(clock: FakeClock) -> Cutoff:
    return Cutoff(clock)


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    made = Waiting()
    yield made
    made.close()


def begin(
    cutoff: Cutoff, ends: float, stop: Stop | None = None, grace: float = STOP_GRACE_SECONDS
) -> Guard:
    return cutoff.begin(ends, Cause.DEADLINE, stop, grace)


def test_a_request_is_cut_when_its_time_is_over(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting
) -> None:
    guard = begin(cutoff, 10.0)
    guard.attach(waiting.sock)
    clock.block_until_waiters(1)

    clock.step(9.9)
    clock.block_until_waiters(1)
    assert guard.cause is None

    clock.step(0.1)
    waiting.wait_until_woken()
    assert guard.cause is Cause.DEADLINE


def test_an_end_that_comes_before_all_others_is_kept(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting
) -> None:
    """The thread sleeps until the first end it knows of: an earlier one has to wake it."""
    late = begin(cutoff, 60.0)
    clock.block_until_waiters(1)
    guard = begin(cutoff, 5.0)
    guard.attach(waiting.sock)
    while cutoff.next_look != 5.0:
        clock.block_until_waiters(1)

    clock.step(5.0)

    waiting.wait_until_woken()
    assert late.cause is None
    late.end()


def test_a_request_that_ended_is_not_cut(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting
) -> None:
    """Its connection carries another request by now."""
    ended, other = begin(cutoff, 10.0), begin(cutoff, 20.0)
    ended.attach(waiting.sock)
    ended.end()
    clock.block_until_waiters(1)

    clock.step(10.0)
    clock.block_until_waiters(1)

    assert waiting.waits
    assert ended.cause is None
    other.end()


def test_a_connection_that_was_handed_over_is_not_cut_by_the_request_before(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting
) -> None:
    """A connection goes back to the pool when its body is read, before its request has ended."""
    before, after = begin(cutoff, 10.0), begin(cutoff, 20.0)
    before.attach(waiting.sock)
    before.detach()
    after.attach(waiting.sock)
    clock.block_until_waiters(1)

    clock.step(10.0)
    clock.block_until_waiters(1)

    assert before.cause is Cause.DEADLINE
    assert waiting.waits
    before.end()
    after.end()


def test_what_is_attached_to_a_request_that_was_cut_is_refused(
    cutoff: Cutoff, waiting: Waiting
) -> None:
    guard = begin(cutoff, 10.0)
    guard.cut(Cause.CLOSED)

    assert not guard.attach(waiting.sock)
    guard.end()


class TestStop:
    def test_it_leaves_a_request_its_grace(
        self, clock: FakeClock, cutoff: Cutoff, waiting: Waiting
    ) -> None:
        stop = Stop()
        guard = begin(cutoff, 30.0, stop)
        guard.attach(waiting.sock)
        stop.set()
        while cutoff.next_look != STOP_GRACE_SECONDS:
            clock.block_until_waiters(1)
        assert guard.cause is None

        clock.step(STOP_GRACE_SECONDS)

        waiting.wait_until_woken()
        assert guard.cause is Cause.STOP

    def test_without_grace_it_cuts_at_once(self, cutoff: Cutoff, waiting: Waiting) -> None:
        stop = Stop()
        guard = begin(cutoff, 30.0, stop, grace=0.0)
        guard.attach(waiting.sock)

        stop.set()

        waiting.wait_until_woken()
        assert guard.cause is Cause.STOP

    def test_it_does_not_prolong_a_request(
        self, clock: FakeClock, cutoff: Cutoff, waiting: Waiting
    ) -> None:
        stop = Stop()
        guard = begin(cutoff, 0.5, stop)
        guard.attach(waiting.sock)
        stop.set()
        clock.block_until_waiters(1)

        clock.step(0.5)

        waiting.wait_until_woken()
        assert guard.cause is Cause.DEADLINE

    def test_a_request_after_it_has_the_grace_as_well(
        self, clock: FakeClock, cutoff: Cutoff
    ) -> None:
        """A reconcile that makes progress writes its status."""
        stop = Stop()
        stop.set()

        guard = begin(cutoff, 30.0, stop)

        assert (guard.cause, guard.left()) == (None, STOP_GRACE_SECONDS)
        guard.end()

    def test_a_stream_is_not_prolonged_any_more(self, cutoff: Cutoff) -> None:
        stop = Stop()
        guard = begin(cutoff, 30.0, stop)
        stop.set()

        guard.renew(90.0, Cause.SILENCE)

        assert guard.left() == STOP_GRACE_SECONDS
        guard.end()

    def test_a_request_that_ended_is_forgotten_by_it(self, cutoff: Cutoff) -> None:
        """A stop lives as long as the process, and thousands of requests a minute carry it."""
        stop = Stop()
        guard = begin(cutoff, 30.0, stop)
        guard.end()

        stop.set()

        assert guard.cause is None
        assert cutoff.guards == set()


def test_a_stream_that_is_prolonged_is_cut_when_it_falls_silent(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting
) -> None:
    guard = begin(cutoff, 10.0)
    guard.attach(waiting.sock)
    clock.block_until_waiters(1)
    clock.step(5.0)
    guard.renew(90.0, Cause.SILENCE)

    clock.step(89.9)
    clock.block_until_waiters(1)
    assert guard.cause is None

    clock.step(0.1)
    waiting.wait_until_woken()
    assert guard.cause is Cause.SILENCE


def test_a_stream_may_have_less_time_than_its_opening(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting
) -> None:
    """The thread sleeps until the end that the opening had."""
    guard = begin(cutoff, 30.0)
    guard.attach(waiting.sock)
    clock.block_until_waiters(1)
    guard.renew(1.0, Cause.SILENCE)
    while cutoff.next_look != 1.0:
        clock.block_until_waiters(1)

    clock.step(1.0)

    waiting.wait_until_woken()
    assert guard.cause is Cause.SILENCE


def test_the_thread_ends_when_nothing_is_under_way(clock: FakeClock, cutoff: Cutoff) -> None:
    """It looks once more when the last request that it knew of would have been cut."""
    begin(cutoff, 10.0).end()
    clock.block_until_waiters(1)
    (thread,) = [one for one in threading.enumerate() if one is cutoff.thread]

    clock.step(10.0)
    thread.join(STUCK_AFTER)

    assert not thread.is_alive()
    again = begin(cutoff, 20.0)
    clock.block_until_waiters(1)
    again.end()


def test_requests_that_take_no_time_wake_nobody() -> None:
    class CountingClock(FakeClock):
        waits = 0

        def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
            self.waits += 1
            return super().wait(condition, timeout)

    clock = CountingClock()
    counted = Cutoff(clock)
    begin(counted, 10.0).end()
    clock.block_until_waiters(1)

    for _ in range(1000):
        begin(counted, 10.0).end()

    assert clock.waits == 1


def test_a_request_without_an_end_is_cut_by_its_stop(cutoff: Cutoff, waiting: Waiting) -> None:
    stop = Stop()
    guard = begin(cutoff, math.inf, stop, grace=0.0)
    guard.attach(waiting.sock)

    stop.set()

    waiting.wait_until_woken()
    guard.end()


def test_a_system_without_threads_costs_one_request_and_not_all_that_follow(
    clock: FakeClock, cutoff: Cutoff, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError):
            begin(cutoff, 10.0)
    assert cutoff.guards == set()

    guard = begin(cutoff, 10.0)
    guard.attach(waiting.sock)
    clock.block_until_waiters(1)
    clock.step(10.0)

    waiting.wait_until_woken()
    assert guard.cause is Cause.DEADLINE
