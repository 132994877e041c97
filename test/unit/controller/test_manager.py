"""What starts and stops when, and that no runnable ends unnoticed."""

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from attrs import define, field
from structlog.testing import capture_logs

from controller.health import CheckFailed
from controller.manager import (
    LAST_SECONDS,
    GracefulTimeoutExceeded,
    Group,
    Manager,
    RunnableFailed,
)
from controller.stop import Stop
from fakes.clock import STUCK_AFTER, FakeClock


class Trace:
    """What happened, in order, for tests that wait for it to happen."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: list[str] = []

    def add(self, entry: str) -> None:
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def wait_for(self, *entries: str) -> None:
        with self._changed:
            come = self._changed.wait_for(lambda: set(entries) <= set(self._entries), STUCK_AFTER)
            assert come, f"{entries} not all in {self._entries}"

    def entries(self) -> list[str]:
        with self._changed:
            return list(self._entries)


def until_stopped(stop: Stop) -> None:
    stop.wait()


@define
class Part:
    """A runnable, and a cache as well, that notes its start and its end."""

    name: str
    trace: Trace
    work: Callable[[Stop], None] = until_stopped
    synced: bool = True
    hangs: str = ""
    on_started_leading: Callable[[], None] = lambda: None

    def run(self, stop: Stop) -> None:
        self.trace.add(f"+{self.name}")
        try:
            self.work(stop)
        finally:
            self.trace.add(f"-{self.name}")

    def has_synced(self) -> bool:
        return self.synced

    def check_alive(self) -> None:
        if self.hangs:
            raise CheckFailed(self.hangs)

    def check_ready(self) -> None:
        if not self.synced:
            raise CheckFailed(f"{self.name} has not synced")


@define
class Process:
    """A manager with one part in each group, on a clock that stands still."""

    pool: ThreadPoolExecutor
    clock: FakeClock = field(factory=FakeClock)
    trace: Trace = field(factory=Trace)
    stop: Stop = field(factory=Stop)
    parts: dict[Group, Part] = field(init=False)
    running: Future[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.parts = {group: Part(group.value, self.trace) for group in Group}
        self.parts[Group.ELECTION].work = self.win_at_once

    def win_at_once(self, stop: Stop) -> None:
        self.parts[Group.ELECTION].on_started_leading()
        stop.wait()

    def manager(self) -> Manager:
        made = Manager(clock=self.clock, graceful_timeout=30)
        for group, part in self.parts.items():
            if group is Group.ELECTION:
                made.set_elector(part)
            else:
                made.add(part, group)
        return made

    def start(self) -> None:
        self.running = self.pool.submit(self.manager().run, self.stop)

    def wait_until_all_run(self) -> None:
        self.trace.wait_for(*(f"+{group.value}" for group in Group))

    def end(self) -> None:
        self.stop.set()
        self.result()

    def pass_time(self, seconds: float) -> None:
        """Move time forward once the manager waits for a part to end, for so long at most."""
        self.clock.block_until_waiters(1)
        self.clock.step(seconds)

    def result(self) -> None:
        self.running.result(timeout=STUCK_AFTER)


@pytest.fixture
def process() -> Iterator[Process]:
    with ThreadPoolExecutor() as pool:
        made = Process(pool)
        yield made
        made.stop.set()
        # Ends what a failed test has left in a wait.
        made.clock.step(3600)


@pytest.fixture
def refuse(process: Process) -> Iterator[Callable[[Stop], None]]:
    """Work that notes that it is told to stop, and goes on until the test ends."""
    test_ends = threading.Event()

    def work(stop: Stop) -> None:
        stop.wait()
        process.trace.add("refused")
        test_ends.wait()

    yield work
    test_ends.set()


STOPPED_IN_ORDER = ["-others", "-controllers", "-election", "-caches", "-servers", "-recorders"]


class TestOrder:
    def test_parts_start_and_stop_in_the_order_of_what_they_depend_on(
        self, process: Process
    ) -> None:
        process.parts[Group.CACHES].synced = False
        process.start()
        process.trace.wait_for("+recorders", "+servers", "+caches")
        process.clock.block_until_waiters(1)
        begun = process.trace.entries()
        assert set(begun) == {"+recorders", "+servers", "+caches"}

        process.parts[Group.CACHES].synced = True
        process.clock.step(1)
        process.trace.wait_for("+others", "+election", "+controllers")
        process.end()

        assert process.trace.entries()[6:] == STOPPED_IN_ORDER

    def test_a_group_ends_before_the_next_one_is_stopped(self, process: Process) -> None:
        may_end = threading.Event()

        def linger(stop: Stop) -> None:
            stop.wait()
            process.trace.add("controllers linger")
            may_end.wait(STUCK_AFTER)

        process.parts[Group.CONTROLLERS].work = linger
        process.start()
        process.wait_until_all_run()
        process.stop.set()
        process.trace.wait_for("controllers linger")
        process.clock.block_until_waiters(1)
        assert process.trace.entries()[6:] == ["-others", "controllers linger"]
        may_end.set()

        process.result()
        assert process.trace.entries()[8:] == STOPPED_IN_ORDER[1:]

    def test_a_stop_before_the_caches_are_filled_starts_no_reader(self, process: Process) -> None:
        process.parts[Group.CACHES].synced = False
        process.start()
        process.trace.wait_for("+recorders", "+servers", "+caches")
        process.end()

        assert process.trace.entries()[3:] == ["-caches", "-servers", "-recorders"]

    def test_nothing_starts_after_a_stop(self, process: Process) -> None:
        process.stop.set()
        process.start()
        process.result()

        assert process.trace.entries() == []


class TestElection:
    @pytest.fixture
    def standby(self, process: Process) -> Part:
        """An elector that waits, in a process whose other parts run."""
        elector = process.parts[Group.ELECTION]
        elector.work = until_stopped
        process.start()
        process.trace.wait_for("+others", "+election")
        return elector

    def test_controllers_start_once_the_process_leads(
        self, process: Process, standby: Part
    ) -> None:
        assert "+controllers" not in process.trace.entries()

        standby.on_started_leading()

        process.trace.wait_for("+controllers")
        process.end()
        assert process.trace.entries()[6:] == STOPPED_IN_ORDER

    @pytest.mark.usefixtures("standby")
    def test_a_standby_that_is_stopped_starts_no_controller(self, process: Process) -> None:
        process.end()

        assert process.trace.entries()[5:] == [
            end for end in STOPPED_IN_ORDER if end != "-controllers"
        ]

    def test_a_lease_is_released_though_a_controller_does_not_end(
        self, process: Process, refuse: Callable[[Stop], None]
    ) -> None:
        process.parts[Group.CONTROLLERS].work = refuse
        process.start()
        process.wait_until_all_run()
        process.stop.set()
        process.trace.wait_for("refused")
        process.pass_time(30)

        with pytest.raises(GracefulTimeoutExceeded, match="controllers"):
            process.result()
        assert "-election" in process.trace.entries()


def fail(_stop: Stop) -> None:
    raise OSError("address already in use")


def leave(_stop: Stop) -> None:
    sys.exit(3)


def end_at_once(_stop: Stop) -> None:
    pass


@pytest.mark.usefixtures("logged")
class TestFailure:
    @pytest.mark.parametrize(
        ("work", "message"),
        [
            pytest.param(fail, "others failed: OSError.*already in use", id="that raises"),
            pytest.param(leave, "others failed: SystemExit", id="that ends its thread"),
            pytest.param(end_at_once, "others ended without being told to", id="that returns"),
        ],
    )
    def test_a_part_takes_all_others_down_with_it(
        self, process: Process, work: Callable[[Stop], None], message: str
    ) -> None:
        process.parts[Group.OTHERS].work = work
        process.start()

        with pytest.raises(RunnableFailed, match=message):
            process.result()
        assert process.stop.is_set()
        begun = [entry[1:] for entry in process.trace.entries() if entry[0] == "+"]
        ended = [entry[1:] for entry in process.trace.entries() if entry[0] == "-"]
        assert sorted(ended) == sorted(begun)

    def test_the_cause_is_kept(self, process: Process) -> None:
        process.parts[Group.SERVERS].work = fail
        process.start()

        with pytest.raises(RunnableFailed) as caught:
            process.result()
        assert isinstance(caught.value.__cause__, OSError)

    def test_the_first_failure_counts(self, process: Process) -> None:
        def follow(stop: Stop) -> None:
            stop.wait()
            raise ConnectionError("the cache is gone")

        process.parts[Group.OTHERS].work = fail
        process.parts[Group.CACHES].work = follow
        process.start()

        with pytest.raises(RunnableFailed, match="others failed"):
            process.result()

    def test_a_failure_while_stopping_does_not_go_unnoticed(self, process: Process) -> None:
        def fail_late(stop: Stop) -> None:
            stop.wait()
            raise OSError("could not flush")

        process.parts[Group.RECORDERS].work = fail_late
        process.start()
        process.wait_until_all_run()
        process.stop.set()

        with pytest.raises(RunnableFailed, match=r"recorders failed: .*could not flush"):
            process.result()


def test_a_start_without_the_api_server_waits_for_it_and_says_so(process: Process) -> None:
    """A process that ended would be started again by the kubelet, minutes late."""
    cache = process.parts[Group.CACHES]
    cache.synced = False
    with capture_logs() as lines:
        process.start()
        for _ in range(2):
            process.clock.block_until_waiters(1)
            process.clock.step(3600)
        process.clock.block_until_waiters(1)
        assert "+controllers" not in process.trace.entries()

        cache.synced = True
        process.clock.step(1)
        process.wait_until_all_run()
        process.end()

    warned = [line["reason"] for line in lines if line["log_level"] == "warning"]
    assert warned == ["not synced: caches"] * 2


@pytest.mark.usefixtures("logged")
class TestGracefulTimeout:
    def test_a_part_that_does_not_end_is_named_and_the_others_end(
        self, process: Process, refuse: Callable[[Stop], None]
    ) -> None:
        process.parts[Group.CONTROLLERS].work = refuse
        process.start()
        process.wait_until_all_run()
        process.stop.set()
        process.trace.wait_for("refused")
        process.pass_time(30)

        with pytest.raises(GracefulTimeoutExceeded, match=r"after 30 s: controllers$"):
            process.result()
        assert process.trace.entries()[6:] == [
            "-others",
            "refused",
            "-election",
            "-caches",
            "-servers",
            "-recorders",
        ]

    def test_a_lease_is_released_though_the_controllers_have_used_up_the_time(
        self, process: Process
    ) -> None:
        def use_it_up(stop: Stop) -> None:
            stop.wait()
            process.clock.step(30)

        def release(stop: Stop) -> None:
            process.win_at_once(stop)
            process.trace.add("releasing")
            process.clock.wait_event(threading.Event(), 1)

        process.parts[Group.CONTROLLERS].work = use_it_up
        process.parts[Group.ELECTION].work = release
        process.start()
        process.wait_until_all_run()
        process.stop.set()
        process.trace.wait_for("releasing")
        process.clock.block_until_waiters(2)
        process.clock.step(1)

        process.result()

    def test_what_a_group_has_in_the_end_is_for_all_its_parts_together(
        self, process: Process, refuse: Callable[[Stop], None]
    ) -> None:
        def last_to_refuse(stop: Stop) -> None:
            stop.wait()
            process.trace.add("all told")
            refuse(stop)

        process.parts[Group.CONTROLLERS].work = refuse
        process.parts[Group.CACHES].work = refuse
        manager = process.manager()
        manager.add(Part("more caches", process.trace, last_to_refuse), Group.CACHES)
        running = process.pool.submit(manager.run, process.stop)
        process.wait_until_all_run()
        process.stop.set()
        process.trace.wait_for("refused")
        process.pass_time(30)
        process.trace.wait_for("all told")
        process.pass_time(LAST_SECONDS)

        with pytest.raises(GracefulTimeoutExceeded, match="controllers, caches, more caches"):
            running.result(timeout=STUCK_AFTER)

    def test_the_failure_that_began_the_stop_is_not_forgotten(
        self, process: Process, refuse: Callable[[Stop], None]
    ) -> None:
        process.parts[Group.OTHERS].work = fail
        process.parts[Group.CACHES].work = refuse
        process.start()
        process.trace.wait_for("refused")
        process.pass_time(30)

        with pytest.raises(GracefulTimeoutExceeded, match="caches") as caught:
            process.result()
        assert "others failed" in str(caught.value.__cause__)


class TestChecks:
    """The probes ask the parts that can answer; nobody lists them by hand."""

    def test_a_part_that_can_answer_is_asked_under_its_name(self, process: Process) -> None:
        cache = Part("informer of pods", process.trace)
        manager = Manager(clock=process.clock)
        manager.add(cache, Group.CACHES)

        manager.healthz["informer-of-pods"]()
        manager.readyz["informer-of-pods"]()
        cache.hangs, cache.synced = "shows no life", False

        with pytest.raises(CheckFailed, match="shows no life"):
            manager.healthz["informer-of-pods"]()
        with pytest.raises(CheckFailed, match="has not synced"):
            manager.readyz["informer-of-pods"]()

    def test_a_part_that_was_removed_is_not_asked(self, process: Process) -> None:
        cache = Part("informer of pods", process.trace)
        manager = Manager(clock=process.clock)
        manager.add(cache, Group.CACHES)

        manager.remove(cache)

        assert manager.healthz == {}
        assert manager.readyz == {}

    def test_two_parts_of_one_name_are_refused(self, process: Process) -> None:
        manager = Manager(clock=process.clock)
        manager.add(Part("events", process.trace))

        with pytest.raises(ValueError, match="a runnable named 'events' already"):
            manager.add(Part("events", process.trace), Group.CACHES)


class TestWhileItRuns:
    @pytest.fixture
    def manager(self, process: Process) -> Manager:
        made = process.manager()
        process.running = process.pool.submit(made.run, process.stop)
        process.wait_until_all_run()
        return made

    def test_a_part_that_is_added_starts_at_once_and_ends_with_its_group(
        self, process: Process, manager: Manager
    ) -> None:
        manager.add(Part("late", process.trace), Group.CACHES)
        process.trace.wait_for("+late")
        process.end()

        ended = process.trace.entries()[7:]
        assert ended.index("-election") < ended.index("-late") < ended.index("-servers")

    def test_a_part_that_is_removed_ends_while_the_others_go_on(
        self, process: Process, manager: Manager
    ) -> None:
        late = Part("late", process.trace)
        manager.add(late, Group.CACHES)
        process.trace.wait_for("+late")

        manager.remove(late)

        process.trace.wait_for("-late")
        assert not process.stop.is_set()
        process.end()


def test_what_follows_the_caches_waits_until_enough_of_them_is_filled(process: Process) -> None:
    process.parts[Group.CACHES].synced = False
    enough = threading.Event()
    manager = Manager(clock=process.clock, has_synced=enough.is_set)
    for group in (Group.CACHES, Group.CONTROLLERS):
        manager.add(process.parts[group], group)
    process.running = process.pool.submit(manager.run, process.stop)
    process.trace.wait_for("+caches")
    process.clock.block_until_waiters(1)
    assert process.trace.entries() == ["+caches"]
    enough.set()
    process.clock.step(1)

    process.trace.wait_for("+controllers")
    process.end()
