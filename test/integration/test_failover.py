"""Replicas as processes, under signals: who writes next, how soon, and who must not any more.

What they write is seen in the order in which the API server took it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from attrs import define, field, frozen

from controller.clock import SystemClock
from controller.leaderelection.elector import EXIT_LOST
from controller.leaderelection.lease import LEASES
from controller.stop import Stop
from fakes.tcpproxy import TcpProxy
from integration import replica
from integration.container import ENDS_WITH_US
from integration.replica import CONFIG_MAPS, LABEL, LEASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.rest.client import Client

ROOT = Path(__file__).parents[2]

# Lease duration, renew deadline, retry period: the proportions of the defaults.
TIMES = (6, 3.75, 0.75)
LEASE_SECONDS = TIMES[0]
RENEWED_EVERY = TIMES[2]

#: What threads and the API server take on a busy machine, in seconds: a quarter of the lease.
SLACK = 1.5

#: Real seconds after which a test that waits is stuck, not slow.
STUCK_AFTER = 90.0


@frozen
class Write:
    """What a replica wrote, and when it was seen, in monotonic seconds."""

    by: str
    at: float


@define
class Replica:
    """A process."""

    name: str
    process: subprocess.Popen[str]
    _lines: list[str] = field(factory=list)
    _changed: threading.Condition = field(factory=threading.Condition)

    def __attrs_post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def wait_until_it_says(self, words: str) -> None:
        with self._changed:
            said = self._changed.wait_for(
                lambda: any(words in line for line in self._lines), STUCK_AFTER
            )
            assert said, self._lines

    def signal(self, number: signal.Signals) -> float:
        """Send a signal and return when."""
        at = SystemClock().monotonic()
        self.process.send_signal(number)
        return at

    def ended(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(STUCK_AFTER)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                # For pytest, which shows it where a test fails.
                print(self.name, line, end="")  # noqa: T201 - see above
                with self._changed:
                    self._lines.append(line)
                    self._changed.notify_all()


@define
class History:
    """All that was written into the ConfigMaps."""

    writes: list[Write] = field(factory=list)
    changed: threading.Condition = field(factory=threading.Condition)

    def add(self, write: Write) -> None:
        with self.changed:
            self.writes.append(write)
            self.changed.notify_all()

    def wait_for(self, what: Callable[[list[Write]], bool]) -> list[Write]:
        with self.changed:
            assert self.changed.wait_for(lambda: what(self.writes), STUCK_AFTER), self.writes[-20:]
            return list(self.writes)

    def wait_for_work_of(self, name: str, count: int = 1) -> float:
        """Wait until a replica has written so often; return when it did so first."""
        writes = self.wait_for(lambda seen: sum(one.by == name for one in seen) >= count)
        return next(one.at for one in writes if one.by == name)

    def turns(self) -> list[str]:
        """Return who wrote, once for each time that it was another one."""
        with self.changed:
            names = [one.by for one in self.writes]
        return [name for number, name in enumerate(names) if names[number - 1 : number] != [name]]


Start = Callable[..., Replica]


@pytest.fixture
def history(client: Client, namespace: str) -> Iterator[History]:
    """Make the work there is, and watch it."""
    seen = History()
    stop = Stop()
    version = ""
    for number in range(2 * replica.WORKERS):
        metadata = {"name": f"work-{number}", "labels": {LABEL: ""}}
        made = client.create(CONFIG_MAPS, namespace, {"metadata": metadata})
        version = made["metadata"]["resourceVersion"]
    stream = client.watch(
        CONFIG_MAPS,
        namespace,
        resource_version=version,
        timeout_seconds=300,
        read_timeout=60,
        label_selector=LABEL,
        stop=stop,
    )

    def follow() -> None:
        with stream:
            for event in stream:
                if event["type"] == "MODIFIED":
                    by = event["object"]["data"]["by"]
                    seen.add(Write(by, SystemClock().monotonic()))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    yield seen
    stop.set()
    thread.join(STUCK_AFTER)


@pytest.fixture
def start(kubeconfig: str, namespace: str) -> Iterator[Start]:
    """Start replicas; those that are left at the end are killed."""
    started: list[Replica] = []

    def run(name: str, path_to_server: str = kubeconfig) -> Replica:
        arguments = [path_to_server, namespace, name, *map(str, TIMES)]
        path = os.pathsep.join([str(ROOT), str(ROOT / "test")])
        process = subprocess.Popen(  # noqa: S603 - a program of ours
            [*ENDS_WITH_US, sys.executable, replica.__file__, *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(Replica(name, process))
        return started[-1]

    yield run
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def may_not_watch(
    kubeconfig: str, kubectl: Callable[..., str], namespace: str, tmp_path: Path
) -> str:
    """Give the path of a kubeconfig whose user may not list and watch leases."""
    user, there = "poller", f"--namespace={namespace}"
    kubectl("create", "serviceaccount", user, there)
    for role, verbs, kinds in (
        ("lease", "get,create,update", LEASES.full_name),
        ("work", "get,list,watch,patch,create", "configmaps,events.events.k8s.io"),
    ):
        kubectl("create", "role", role, there, f"--verb={verbs}", f"--resource={kinds}")
        subject = f"--serviceaccount={namespace}:{user}"
        kubectl("create", "rolebinding", role, there, f"--role={role}", subject)
    content = yaml.safe_load(Path(kubeconfig).read_text())
    (entry,) = content["users"]
    entry["user"] = {"token": kubectl("create", "token", user, there).strip()}
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@define
class Pair:
    leader: Replica
    standby: Replica


@pytest.fixture
def pair(history: History, start: Start) -> Pair:
    """Two replicas: one at work, one that waits."""
    return started(history, start)


def started(history: History, start: Start, *, leader: str = "", standby: str = "") -> Pair:
    """Start two replicas, each with a kubeconfig of its own if one is given."""
    first = start("first", *filter(None, [leader]))
    history.wait_for_work_of("first", 20)
    second = start("second", *filter(None, [standby]))
    # It has seen the lease.
    second.wait_until_it_says("new leader")
    return Pair(first, second)


def test_a_leader_that_is_told_to_stop_is_replaced_at_once(pair: Pair, history: History) -> None:
    told = pair.leader.signal(signal.SIGTERM)

    at_work = history.wait_for_work_of("second", 20)

    assert at_work - told < 3
    assert pair.leader.ended() == 0
    assert history.turns() == ["first", "second"]


def test_replicas_that_may_not_watch_leases_poll_instead(
    history: History, start: Start, may_not_watch: str
) -> None:
    pair = started(history, start, leader=may_not_watch, standby=may_not_watch)
    pair.standby.wait_until_it_says("polling the lease: the right to list and watch it is missing")

    pair.leader.signal(signal.SIGTERM)

    history.wait_for_work_of("second", 20)
    assert pair.leader.ended() == 0
    assert history.turns() == ["first", "second"]


def test_a_leader_that_is_killed_is_replaced_when_its_lease_has_expired(
    pair: Pair, history: History
) -> None:
    killed = pair.leader.signal(signal.SIGKILL)

    at_work = history.wait_for_work_of("second", 20)

    # Not before: the others cannot know that it is dead.
    assert LEASE_SECONDS - RENEWED_EVERY - SLACK < at_work - killed < LEASE_SECONDS + SLACK
    assert history.turns() == ["first", "second"]


def test_a_leader_that_was_paused_writes_nothing_when_it_wakes(
    pair: Pair, history: History
) -> None:
    pair.leader.signal(signal.SIGSTOP)
    history.wait_for_work_of("second", 20)
    pair.leader.signal(signal.SIGCONT)

    assert pair.leader.ended() == EXIT_LOST
    # What it might have sent in its last moments has arrived by the time that this has.
    history.wait_for_work_of("second", len(history.writes) + 20)
    assert history.turns() == ["first", "second"]


def test_a_leader_that_was_paused_for_a_moment_goes_on(pair: Pair, history: History) -> None:
    stopped = pair.leader.signal(signal.SIGSTOP)
    SystemClock().wait_event(threading.Event(), 1)
    pair.leader.signal(signal.SIGCONT)

    def works_again(writes: list[Write]) -> bool:
        return any(one.at > stopped + LEASE_SECONDS for one in writes)

    history.wait_for(works_again)
    assert history.turns() == ["first"]


@pytest.mark.parametrize(
    "fail",
    [
        pytest.param(TcpProxy.cut, id="whose connections break"),
        pytest.param(TcpProxy.freeze, id="whose packets are lost"),
    ],
)
def test_a_leader_that_is_cut_off_ends_and_is_replaced(
    history: History,
    start: Start,
    network: TcpProxy,
    over_network: str,
    fail: Callable[[TcpProxy], None],
) -> None:
    pair = started(history, start, leader=over_network)

    network.refuse()
    fail(network)

    assert pair.leader.ended() == EXIT_LOST
    history.wait_for_work_of("second", 20)
    assert history.turns() == ["first", "second"]


def test_an_api_server_that_is_away_ends_the_leader_only(
    history: History, start: Start, network: TcpProxy, over_network: str
) -> None:
    pair = started(history, start, leader=over_network, standby=over_network)

    network.refuse()
    network.cut()
    assert pair.leader.ended() == EXIT_LOST
    # Longer than the lease, so that it must be acquired and not only expire.
    SystemClock().wait_event(threading.Event(), LEASE_SECONDS)
    assert pair.standby.process.poll() is None
    network.accept()

    history.wait_for_work_of("second", 20)
    assert history.turns() == ["first", "second"]


def test_a_leader_whose_lease_is_taken_away_ends(
    pair: Pair, history: History, client: Client, namespace: str
) -> None:
    taken = {"spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 1}}
    client.merge_patch(LEASES, namespace, LEASE, taken)

    assert pair.leader.ended() == EXIT_LOST
    history.wait_for_work_of("second")
    assert history.turns() == ["first", "second"]


def test_a_lease_that_is_deleted_stays_the_leaders(
    pair: Pair, history: History, client: Client, namespace: str
) -> None:
    client.delete(LEASES, namespace, LEASE)
    deleted = SystemClock().monotonic()

    history.wait_for(lambda writes: writes[-1].at > deleted + LEASE_SECONDS)

    assert history.turns() == ["first"]
    assert client.get(LEASES, namespace, LEASE)["spec"]["holderIdentity"] == "first"
    assert pair.leader.process.poll() is None
