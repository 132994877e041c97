"""Thousands of RepositoryServers on fake nodes, under this controller and two of its kind.

Each contender gets a new control plane, finds all servers there when it starts, makes their
children, rests, and is started again. Nothing runs in the pods, and nobody registers users.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from benchlib import audit, contenders, fakecluster, objects, procfs, scalereport, scene
from benchlib.milestones import READY, true_conditions
from benchlib.starts import SYNC_TIMEOUT_SECONDS, Result, Start
from clusterlib import locks, paths, processes, waiting
from clusterlib.errors import ClusterError, TimedOut
from clusterlib.progress import Progress
from demolib.objects import of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from benchlib.contenders import Contender, Process
    from benchlib.fakecluster import FakeCluster
    from benchlib.requests import Stream
    from demolib.objects import Object

ALL = ("ours", "go", "kopf")
STEPS_EACH = 5
CREATING_AT_ONCE = 8
# Between two looks at how far a contender is: its metrics, a series a server, cost it CPU time.
LOOK_SECONDS = 1.0
WATCH_TIMEOUT_SECONDS = 600.0
QUIET_TIMEOUT_SECONDS = 180.0
# How many more servers are created while a contender starts.
NEWCOMERS = 20

NEWCOMER = "newcomer"

INTERRUPTED = "interrupted"
NONE_DONE = "none of them was measured"
LEFT_OUT = "{path}: {there} objects are there, for {count} servers"


@dataclass(frozen=True)
class Pace:
    """How long is waited while a contender starts.

    Attributes:
        limit: seconds until every server has to be done.
        quiet: seconds without a request after which all is done that was to be done.
        newcomers: seconds between the creations of two new servers.
    """

    limit: float
    quiet: float
    newcomers: float

    @classmethod
    def cold(cls, servers: int) -> Pace:
        """Return that of a start with work for all."""
        # This controller looks once more at a server half a minute after it became Ready.
        return cls(60 + 0.2 * servers, quiet=35.0, newcomers=max(0.5, servers / 500))

    @classmethod
    def warm(cls, servers: int) -> Pace:
        """Return that of a start with nothing to do."""
        return cls(60 + 0.03 * servers, quiet=5.0, newcomers=0.5)


def measure(servers: int, *, only: Sequence[str], idle_seconds: float) -> dict[str, Any]:
    """Measure, and print what was found.

    Args:
        servers: how many.
        only: the keys of the contenders.
        idle_seconds: for how long to look at each when there is nothing to do.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: not one of them got done.
    """
    with locks.exclusive(paths.cache() / "locks" / "bench-scale"):
        return _measure(servers, only, idle_seconds)


def _measure(servers: int, only: Sequence[str], idle_seconds: float) -> dict[str, Any]:
    fakecluster.build()
    wanted = contenders.make(only)
    progress = Progress(STEPS_EACH * len(wanted))
    results, failures = {}, {}
    for contender in wanted:
        try:
            with fakecluster.running() as cluster:
                one = _Measurement(cluster, contender, servers, progress)
                results[contender.key] = one.run(idle_seconds)
        except ClusterError as error:
            # What is known of the others took minutes.
            print(error.report(), file=sys.stderr)
            failures[contender.key] = str(error)
        except KeyboardInterrupt:
            failures[contender.key] = INTERRUPTED
            break
    if not results:
        raise ClusterError(NONE_DONE)
    found = scalereport.report(results, {one.key: one.title for one in wanted}, servers)
    return {**found, "failures": failures} if failures else found


class _Measurement:
    """One contender on a cluster that nothing has been done to."""

    def __init__(
        self, cluster: FakeCluster, contender: Contender, count: int, progress: Progress
    ) -> None:
        self._cluster = cluster
        self._contender = contender
        self._count = count
        self._progress = progress
        self._newcomers = 0

    def run(self, idle_seconds: float) -> Result:
        title = self._contender.title
        with self._progress.step(f"{title}: creating {self._count} servers"):
            sample = _prepare(self._cluster)
            wanted = _servers(sample, self._count)
            newcomer = _servers(sample, 1)[0]
            _create(self._cluster, wanted)
        ready = _Ready(self._cluster)
        with self._started() as process, ready.watching():
            with self._progress.step(f"{title}: start with work for all", ready.words):
                pace = Pace.cold(self._count)
                cold = self._start(process, newcomer, lambda: ready.count >= self._count, pace)
            if cold.done is None:
                return Result(cold)
            with self._progress.step(f"{title}: idle for {idle_seconds:.0f} s"):
                idle_cpu = _idle_cpu(process, idle_seconds)
        with (
            self._started() as process,
            self._progress.step(f"{title}: start with nothing to do"),
        ):
            done = self._all_looked_at()
            warm = self._start(process, newcomer, done, Pace.warm(self._count))
        with self._progress.step(f"{title}: looking at what it has made"):
            _check(self._cluster, self._count)
        return Result(cold, idle_cpu, warm)

    def _started(self) -> Process:
        words = {
            "kubeconfig": str(self._cluster.kubeconfig),
            "namespace": scene.NAMESPACE,
        }
        # Outlives the cluster: whoever fails is looked at afterwards.
        log = paths.cache() / "logs" / f"bench-scale-{self._contender.key}.log"
        self._mark = self._cluster.audit_log.stat().st_size
        self._before = _control_plane(self._cluster)
        self._at = waiting.seconds()
        return contenders.Process(self._contender, words, log)

    def _all_looked_at(self) -> Callable[[], bool]:
        def done() -> bool:
            looked_at, idle = self._contender.reconciled()
            return idle and looked_at >= self._count

        return done

    def _start(
        self, process: Process, newcomer: Object, done: Callable[[], bool], pace: Pace
    ) -> Start:
        """Follow a contender that has just been started until it has nothing left to do."""
        synced = self._seconds_until(
            process, self._contender.synced, "its caches are filled", SYNC_TIMEOUT_SECONDS
        )
        created: dict[str, datetime] = {}
        finished = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            creating = pool.submit(
                self._create_newcomers, newcomer, created, finished, pace.newcomers
            )
            try:
                ended = self._seconds_until(
                    process, done, "every server is reconciled", pace.limit, LOOK_SECONDS
                )
            finally:
                finished.set()
            creating.result()
        if ended is not None:
            _until_quiet(self._cluster, pace.quiet)
        used, after = process.used(), _control_plane(self._cluster)
        requests = audit.read(self._cluster.audit_log, self._mark)
        writes = {name: audit.first_write(requests, name) for name in created}
        return Start(
            synced=synced,
            done=ended,
            limit=pace.limit,
            servers=self._count + self._newcomers,
            reconciles=self._contender.reconciled()[0],
            requests=requests,
            newcomers=[
                (write - created[name]).total_seconds()
                for name, write in writes.items()
                if write is not None
            ],
            cpu_seconds=used.cpu_seconds,
            control_plane={name: after[name] - before for name, before in self._before.items()},
            resident_bytes=used.resident_bytes,
            peak_bytes=used.peak_bytes,
        )

    def _seconds_until(
        self,
        process: Process,
        condition: Callable[[], bool],
        what: str,
        limit: float,
        interval: float = waiting.INTERVAL_SECONDS,
    ) -> float | None:
        """Return how long after its start a condition came to hold, None if that took too long."""
        try:
            process.until(condition, what, limit, interval)
        except TimedOut as error:
            print(error, file=sys.stderr)
            return None
        return waiting.seconds() - self._at

    def _create_newcomers(
        self,
        template: Object,
        created: dict[str, datetime],
        finished: threading.Event,
        pause: float,
    ) -> None:
        """Create servers now and then, until all the others are done."""
        while len(created) < NEWCOMERS and not finished.wait(pause if created else 0):
            name = f"{NEWCOMER}-{self._newcomers:03}"
            self._newcomers += 1
            server = _named(template, name)
            created[name] = waiting.now()
            self._cluster.requests.create(scene.SERVERS, server)


class _Ready:
    """How many of the servers are Ready, by a watch."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self._names: set[str] = set()

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._names)

    def words(self) -> str:
        """Say so."""
        return f"({self.count} Ready)"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the body runs; none is Ready before."""
        selector = f"{objects.BENCH_LABEL}={objects.SERVERS}"
        listed = self._cluster.requests.get(f"{scene.SERVERS}?limit=1")
        parameters = {
            "watch": "true",
            "labelSelector": selector,
            "resourceVersion": listed["metadata"]["resourceVersion"],
        }
        path = f"{scene.SERVERS}?{urlencode(parameters)}"
        with self._cluster.requests.stream(path, WATCH_TIMEOUT_SECONDS) as lines:
            reader = threading.Thread(target=self._note, args=(lines,), daemon=True)
            reader.start()
            try:
                yield
            finally:
                lines.end()
                reader.join()

    def _note(self, lines: Stream) -> None:
        for line in lines:
            obj = json.loads(line)["object"]
            if READY in true_conditions(obj):
                self._names.add(obj["metadata"]["name"])


def _prepare(cluster: FakeCluster) -> list[Object]:
    """Make all that servers need, and return the objects of the sample."""
    kubectl = cluster.kubectl
    sample = objects.moved(kubectl.render(scene.SAMPLE), scene.NAMESPACE)
    scene.apply(
        kubectl, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.NAMESPACE}}]
    )
    scene.apply(kubectl, kubectl.render(scene.MANIFESTS / "crd"))
    what = "waiting for the CRD"
    kubectl.run(
        "wait", "--for=condition=Established", scene.DEFINITION, scene.KUBECTL_TIMEOUT, what=what
    )
    scene.make_secrets(kubectl, sample, users=1)
    scene.apply(
        kubectl,
        [
            bound
            for claim in of_kind(sample, "PersistentVolumeClaim")
            for bound in objects.bound(claim)
        ],
    )
    return sample


def _servers(sample: Sequence[Object], count: int) -> list[Object]:
    """Return servers without what the peers do not know: other clients, and what is published."""
    made = objects.servers(sample, count)
    for server in made:
        server["spec"]["server"].pop("networkPolicy", None)
        server["spec"].pop("publish", None)
    return made


def _named(template: Object, name: str) -> Object:
    """Return a copy with another name, and with a repository of its own."""
    spec = template["spec"]
    return {
        **template,
        "metadata": {"name": name, "namespace": scene.NAMESPACE},
        "spec": {**spec, "repository": {**spec["repository"], "rootPath": name}},
    }


def _create(cluster: FakeCluster, wanted: Sequence[Object]) -> None:
    with ThreadPoolExecutor(CREATING_AT_ONCE) as pool:
        list(pool.map(lambda one: cluster.requests.create(scene.SERVERS, one), wanted))


def _control_plane(cluster: FakeCluster) -> dict[str, float]:
    """Return the CPU seconds that each component has used so far."""
    return {
        name: procfs.used(pid).cpu_seconds
        for pid, name in processes.running(cluster.state.directory).items()
    }


def _until_quiet(cluster: FakeCluster, seconds: float) -> None:
    size, since = -1, 0.0

    def quiet() -> bool:
        nonlocal size, since
        if (now := cluster.audit_log.stat().st_size) != size:
            size, since = now, waiting.seconds()
        return waiting.seconds() - since > seconds

    try:
        waiting.until(quiet, what="no more requests", timeout_seconds=QUIET_TIMEOUT_SECONDS)
    except TimedOut as error:
        # Measured all the same: what it sends without need is among its requests.
        print(error, file=sys.stderr)


def _idle_cpu(process: Process, seconds: float) -> float:
    before, started = process.used(), waiting.seconds()
    # What is measured is the time itself: there is no condition to wait for.
    threading.Event().wait(seconds)
    used = process.used().cpu_seconds - before.cpu_seconds
    return 100 * used / (waiting.seconds() - started)


def _check(cluster: FakeCluster, count: int) -> None:
    """Refuse a contender that has left something out."""
    for collection in objects.CHILDREN:
        path = f"{collection.format(namespace=scene.NAMESPACE)}?limit=1"
        listed = cluster.requests.get(path)
        there = len(listed["items"]) + listed["metadata"].get("remainingItemCount", 0)
        if there < count:
            raise ClusterError(LEFT_OUT.format(path=path, there=there, count=count))
