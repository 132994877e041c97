"""The pools of commands in pods: how many run, what is kept of them, and how they end."""

from __future__ import annotations

import gc
import threading
import weakref
from random import Random
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from prometheus_client import CollectorRegistry

from controller.commands import HUNG_SECONDS, Command, Commands
from controller.errors import Stopped
from controller.health import CheckFailed
from controller.metrics import Metrics
from controller.reconcile import Request
from controller.rest.podexec import ExecResult
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock
from fakes.commands import (
    ANOTHER,
    COPY,
    DONE,
    LOAD,
    OTHER,
    REQUEST,
    SLOT,
    FakeExecutor,
    Pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from controller.clock import Deadline


@pytest.fixture
def pool() -> Pool:
    return Pool()


def _forget_while_it_runs(pool: Pool) -> None:
    pool.while_it_runs(lambda: pool.commands.forget(REQUEST, SLOT))


class TestPlaces:
    """Never more at a time than there are places, in the order of asking."""

    def test_first_come_first_served(self) -> None:
        pool = Pool(max_short=1)
        for number in range(3):
            pool.ask(evolve(LOAD, argv=(str(number),)), slot=str(number))

        assert len(pool.threads) == 1
        pool.go_on()

        assert pool.executor.ran == ["0", "1", "2"]

    def test_a_thread_is_made_for_each_place_and_ends_when_idle(self) -> None:
        pool = Pool(max_short=2)
        for number in range(3):
            pool.ask(slot=str(number))
        assert len(pool.threads) == 2

        pool.go_on()

        assert len(pool.executor.ran) == 3
        # Those of before have ended: another command needs a thread anew.
        pool.ask(slot="next")
        assert len(pool.threads) == 1

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            pytest.param(COPY, LOAD, id="long ones take no place of a short one"),
            pytest.param(LOAD, COPY, id="nor short ones that of a long one"),
        ],
    )
    def test_one_that_finds_all_places_taken_keeps_back_no_other_kind(
        self, first: Command, second: Command
    ) -> None:
        pool = Pool(max_short=1, max_long=1)
        pool.ask(first, slot="first")
        pool.threads.clear()

        pool.ask(second, slot="second")

        pool.go_on()
        assert [call["seconds"] for call in pool.executor.calls] == [second.seconds]

    def test_a_thread_that_cannot_be_had_costs_no_place(self) -> None:
        pool = Pool(max_short=1)
        refusals = [RuntimeError("can't start new thread")]

        def spawn(work: Callable[[], None]) -> None:
            if refusals:
                raise refusals.pop()
            pool.threads.append(work)

        commands = Commands(
            "commands",
            pool.executor,
            clock=pool.clock,
            metrics=pool.metrics,
            max_short=1,
            spawn=spawn,
        )
        with pytest.raises(RuntimeError):
            commands.ensure(REQUEST, SLOT, LOAD)

        assert commands.ensure(REQUEST, SLOT, LOAD) is None

        pool.go_on()
        assert commands.ensure(REQUEST, SLOT, LOAD) == DONE

    def test_one_that_another_thread_has_taken_meanwhile_does_not_run_again(
        self, pool: Pool
    ) -> None:
        pool.ask()

        def refuse(_work: Callable[[], None]) -> None:
            pool.go_on()
            raise RuntimeError("can't start new thread")

        pool.spawn = refuse
        with pytest.raises(RuntimeError):
            pool.ask(ANOTHER, slot="other")

        assert pool.ask(ANOTHER, slot="other") == DONE
        assert pool.executor.ran == ["x", "y"]


class TestObjectsThatAreGone:
    """Nothing is kept of them."""

    def test_a_queued_command_never_starts(self, pool: Pool) -> None:
        pool.ask()

        pool.commands.forget(REQUEST)

        pool.go_on()
        assert pool.executor.ran == []

    def test_a_running_one_wakes_nobody_and_its_outcome_is_dropped(self, pool: Pool) -> None:
        pool.ask()

        pool.while_it_runs(lambda: pool.commands.forget(REQUEST))

        assert pool.executor.ran == ["x"]
        assert pool.woken == []
        # A namesake begins anew.
        assert pool.ask() is None

    @pytest.mark.parametrize(
        "wanted",
        [
            pytest.param(ANOTHER, id="with another command"),
            pytest.param(LOAD, id="with an equal one: the outcome is none of the new object's"),
        ],
    )
    def test_a_namesake_waits_for_what_runs_in_its_slot(self, pool: Pool, wanted: Command) -> None:
        found: list[object] = []

        def recreate() -> None:
            pool.commands.forget(REQUEST)
            found.append(pool.ask(wanted))
            # A second thread would begin it now.
            pool.go_on()
            found.append(list(pool.executor.ran))

        pool.ask()
        pool.while_it_runs(recreate)

        assert found == [None, ["x"]]
        assert pool.woken == [REQUEST]
        assert pool.ask(wanted) is None
        pool.go_on()
        assert pool.executor.ran == ["x", wanted.argv[-1]]
        assert pool.woken == [REQUEST, REQUEST]
        assert pool.ask(wanted) == DONE

    def test_a_namesake_in_a_slot_of_its_own_does_not_wait(self, pool: Pool) -> None:
        def recreate() -> None:
            pool.commands.forget(REQUEST)
            pool.ask(ANOTHER, slot="of another uid")
            pool.go_on()

        pool.ask()
        pool.while_it_runs(recreate)

        assert pool.executor.ran == ["x", "y"]
        assert pool.woken == [REQUEST]
        assert pool.ask(ANOTHER, slot="of another uid") == DONE

    @pytest.mark.parametrize(
        "before",
        [
            pytest.param(lambda _: None, id="of a command that is queued"),
            pytest.param(Pool.go_on, id="of one that has ended"),
            pytest.param(_forget_while_it_runs, id="of one that has run on"),
        ],
    )
    def test_no_reference_is_left(self, pool: Pool, before: Callable[[Pool], None]) -> None:
        command = evolve(LOAD)
        left = weakref.ref(command)
        pool.ask(command)
        del command
        before(pool)

        pool.commands.forget(REQUEST)

        gc.collect()
        assert left() is None

    def test_other_objects_are_left_alone(self, pool: Pool) -> None:
        pool.ask(request=OTHER)

        pool.commands.forget(REQUEST)

        pool.go_on()
        assert pool.ask(request=OTHER) == DONE


class TestOneCommand:
    """One of several commands of an object is no longer wanted."""

    @pytest.mark.parametrize("command", [LOAD, evolve(LOAD, kept=True)], ids=["plain", "kept"])
    @pytest.mark.parametrize("before", [Pool.go_on, _forget_while_it_runs], ids=["ended", "runs"])
    def test_the_others_are_left_alone(
        self, pool: Pool, command: Command, before: Callable[[Pool], None]
    ) -> None:
        left = weakref.ref(one := evolve(command))
        pool.ask(one)
        del one
        pool.ask(ANOTHER, slot="other")
        before(pool)

        pool.commands.forget(REQUEST, SLOT)

        gc.collect()
        assert left() is None
        assert pool.ask(ANOTHER, slot="other") == DONE

    def test_one_that_is_queued_is_withdrawn_and_never_starts(self, pool: Pool) -> None:
        pool.ask()
        pool.ask(ANOTHER, slot="other")

        assert pool.commands.withdraw(REQUEST, SLOT)

        pool.go_on()
        assert pool.executor.ran == ["y"]
        assert pool.ask(ANOTHER, slot="other") == DONE

    def test_one_that_runs_or_has_ended_is_not_withdrawn(self, pool: Pool) -> None:
        withdrawn: list[bool] = [pool.commands.withdraw(REQUEST, SLOT)]
        pool.ask()

        pool.while_it_runs(lambda: withdrawn.append(pool.commands.withdraw(REQUEST, SLOT)))

        assert [*withdrawn, pool.commands.withdraw(REQUEST, SLOT)] == [False, False, False]
        assert pool.ask() == DONE


class TestStop:
    """None outlives the fence."""

    def test_queued_ones_never_start(self, pool: Pool) -> None:
        pool.ask()
        # The thread for it begins when all that runs is waited for.
        pool.clock.meanwhile = pool.go_on

        pool.commands.run(_set_stop())

        assert pool.executor.ran == []
        assert pool.ask() is None

    def test_running_ones_are_cut_and_waited_for(self) -> None:
        pool = Pool()
        stopping, ended = threading.Event(), threading.Event()

        def hang(deadline: Deadline) -> None:
            assert deadline.stop is not None
            stopping.set()
            assert deadline.stop.wait(STUCK_AFTER)
            assert ended.wait(STUCK_AFTER)

        pool.executor.meanwhile = hang
        pool.executor.outcome = Stopped("cut")
        pool.ask()
        thread = threading.Thread(target=pool.go_on, daemon=True)
        thread.start()
        assert stopping.wait(STUCK_AFTER)
        stop = Stop()
        runner = threading.Thread(target=pool.commands.run, args=(stop,), daemon=True)
        runner.start()
        stop.set()
        # Not before the command has ended.
        pool.clock.block_until_waiters(1)
        assert runner.is_alive()

        ended.set()

        runner.join(STUCK_AFTER)
        assert not runner.is_alive()
        with pytest.raises(Stopped):
            pool.ask()

    def test_nothing_starts_afterwards(self, pool: Pool) -> None:
        pool.commands.run(_set_stop())

        assert pool.ask() is None

        assert pool.threads == []


def _set_stop() -> Stop:
    stop = Stop()
    stop.set()
    return stop


@pytest.mark.parametrize(
    ("late", "alive"),
    [
        pytest.param(0, True, id="its time is just over"),
        pytest.param(HUNG_SECONDS, True, id="its connection is being cut"),
        pytest.param(HUNG_SECONDS + 1, False, id="nothing ends it: its place is lost"),
    ],
)
def test_a_place_that_hangs_is_for_the_liveness_probe(
    pool: Pool, late: float, *, alive: bool
) -> None:
    found: list[str] = []

    def look() -> None:
        pool.clock.step(LOAD.seconds + late)
        try:
            pool.commands.check_alive()
        except CheckFailed as error:
            found.append(str(error))

    pool.ask()
    pool.while_it_runs(look)

    words = "commands: load_users in pod ns/p has run for 31 s beyond its deadline"
    assert found == ([] if alive else [words])
    pool.commands.check_alive()


def test_commands_that_run_are_counted_and_timed(pool: Pool) -> None:
    running: list[float | None] = []
    labels = {"kind": "copy", "pool": "long"}

    def look() -> None:
        running.append(pool.sample("pod_commands_running", **labels))
        pool.clock.step(7)

    pool.ask(COPY)
    pool.while_it_runs(look)

    assert running == [1]
    assert pool.sample("pod_commands_running", **labels) == 0
    assert pool.sample("pod_command_duration_seconds_sum", **labels) == 7
    assert pool.sample("pod_command_duration_seconds_count", **labels) == 1


class TestThreads:
    """As a process has them, without the seam."""

    def test_commands_run_at_the_same_time_and_their_threads_end(self) -> None:
        clock, woken = FakeClock(), threading.Semaphore(0)
        executor = FakeExecutor(clock)
        together = threading.Barrier(3)

        def meet(_deadline: Deadline) -> None:
            together.wait(STUCK_AFTER)

        executor.meanwhile = meet
        commands = Commands(
            "threads under test",
            executor,
            clock=clock,
            metrics=Metrics(CollectorRegistry()),
            enqueue=lambda _: woken.release(),
        )
        for slot in ("a", "b"):
            assert commands.ensure(REQUEST, slot, LOAD) is None

        together.wait(STUCK_AFTER)

        for _ in range(2):
            assert woken.acquire(timeout=STUCK_AFTER)
        assert [commands.ensure(REQUEST, slot, LOAD) for slot in ("a", "b")] == [DONE, DONE]
        for thread in threading.enumerate():
            if thread.name == commands.name:
                thread.join(STUCK_AFTER)
                assert not thread.is_alive()

    def test_whatever_many_ask_for_each_gets_the_result_of_what_it_asked_last(self) -> None:
        """Reconcilers in threads change their minds; each one is woken for what it waits for."""
        limits = Limits(places=3)
        commands = Commands(
            "many",
            limits,
            clock=FakeClock(),
            metrics=Metrics(CollectorRegistry()),
            enqueue=lambda request: wake_ups[request].release(),
            max_short=limits.places,
        )
        requests = [Request("ns", str(number)) for number in range(8)]
        wake_ups = {request: threading.Semaphore(0) for request in requests}
        wrong: list[str] = []

        def reconcile(request: Request) -> None:
            random = Random(request.name)  # noqa: S311 - no secret depends on it
            for _ in range(50):
                slot = random.choice(("a", "b"))
                for _ in range(random.randrange(3)):
                    commands.ensure(request, slot, _of(request, slot, random.choice("xyz")))
                wanted = _of(request, slot, random.choice("xyz"))
                while (result := commands.ensure(request, slot, wanted)) is None:
                    if not wake_ups[request].acquire(timeout=STUCK_AFTER):
                        wrong.append(f"{request} was not woken")
                        return
                if result.stdout.decode() != wanted.argv[-1]:
                    wrong.append(f"{request} got {result.stdout!r} for {wanted.argv[-1]}")
                if random.random() < 0.1:
                    # It has nothing under way in this slot; of the other one nothing is kept.
                    commands.forget(request)

        threads = [threading.Thread(target=reconcile, args=(one,), daemon=True) for one in requests]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(STUCK_AFTER)

        assert wrong == []
        assert 0 < limits.most <= limits.places


def _of(request: Request, slot: str, word: str) -> Command:
    return evolve(LOAD, kind=slot, argv=(f"{request.name}{slot}{word}",))


class Limits:
    """An executor that sees how many commands run at a time."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.most = 0
        self._lock = threading.Lock()
        self._running = 0

    def run(
        self,
        namespace: str,
        pod: str,
        container: str,
        command: tuple[str, ...],
        *,
        stdin: bytes | Iterable[bytes] = b"",
        deadline: Deadline,
        on_stdout: Callable[[bytes], None] | None = None,
    ) -> ExecResult:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        # Let the others run.
        threading.Event().wait(0.0001)
        with self._lock:
            self._running -= 1
        return ExecResult(0, command[-1].encode(), b"")
