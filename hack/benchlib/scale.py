"""Thousands of RepositoryServers on fake nodes, under this controller and two of its kind.

Each contender gets a new control plane, finds all servers there when it starts, makes their
children, rests, and is started again. Nothing runs in the pods, and nobody registers users.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from benchlib import audit, contenders, fakecluster, figures, objects, procfs, scene
from benchlib.milestones import READY, true_conditions
from clusterlib import locks, paths, processes, waiting
from clusterlib.errors import ClusterError, TimedOut
from clusterlib.progress import Progress
from demolib.objects import of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from benchlib.audit import Request
    from benchlib.contenders import Contender, Process
    from benchlib.fakecluster import FakeCluster
    from benchlib.requests import Stream
    from demolib.objects import Object

ALL = ("ours", "go", "kopf")
STEPS_EACH = 5
CREATING_AT_ONCE = 8
SYNC_TIMEOUT_SECONDS = 120.0
# Between two looks at how far a contender is: its metrics, a series a server, cost it CPU time.
LOOK_SECONDS = 1.0
WATCH_TIMEOUT_SECONDS = 600.0
QUIET_TIMEOUT_SECONDS = 180.0
# How many more servers are created while a contender starts.
NEWCOMERS = 20

NEWCOMER = "newcomer"
MIB = 2**20
MEMORY_LIMIT = 1.5

INTERRUPTED = "interrupted"
NONE_DONE = "none of them was measured"
NOT_WITHIN = "not within {limit:.0f}"
UNKNOWN = "-"
# Of the control plane in the table; the JSON has all.
SHOWN_COMPONENTS = ("kube-apiserver", "etcd")
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
        return cls(60 + 0.12 * servers, quiet=35.0, newcomers=max(0.5, servers / 500))

    @classmethod
    def warm(cls, servers: int) -> Pace:
        """Return that of a start with nothing to do."""
        return cls(60 + 0.03 * servers, quiet=5.0, newcomers=0.5)


@dataclass(frozen=True)
class Start:
    """What a contender has done from its start until nothing was left to do.

    Attributes:
        synced: seconds until its caches were filled; None if they were not in time.
        done: seconds until every server was reconciled; None if they were not in time.
        limit: seconds in which that had to be.
        servers: how many there were.
        reconciles: how many there were.
        requests: to the API server, in the order of their ends.
        newcomers: seconds from the creation of a new server in the midst to the first write.
        cpu_seconds: that it used.
        control_plane: CPU seconds that each component of the control plane used meanwhile.
        resident_bytes: the memory that it had in the end.
        peak_bytes: the most that it ever had.
    """

    synced: float | None
    done: float | None
    limit: float
    servers: int
    reconciles: int
    requests: Sequence[Request] = field(repr=False)
    newcomers: Sequence[float]
    cpu_seconds: float
    control_plane: Mapping[str, float]
    resident_bytes: int
    peak_bytes: int

    @property
    def rate(self) -> float | None:
        """The servers that were done in a second."""
        return None if self.done is None else self.servers / self.done

    def per_server(self, *, writes: bool) -> float:
        """Return the requests a server, or only the writes."""
        counted = [one for one in self.requests if one.is_write or not writes]
        return sum(one.verb != audit.WATCH for one in counted) / self.servers


@dataclass(frozen=True)
class Result:
    """What came of one contender.

    Attributes:
        cold: its start with nothing but the servers there.
        idle_cpu: percent of one core when there was nothing to do; None if that never came.
        warm: its start with everything as it should be; None if that never came.
    """

    cold: Start
    idle_cpu: float | None = None
    warm: Start | None = None


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
    found = report(results, {one.key: one.title for one in wanted}, servers)
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
    """Return servers whose pods need not be reached by others: the peers know no such field."""
    made = objects.servers(sample, count)
    for server in made:
        server["spec"]["server"].pop("networkPolicy", None)
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


def report(results: dict[str, Result], titles: dict[str, str], servers: int) -> dict[str, Any]:
    """Print the figures, and return them for JSON."""
    print(f"\n{servers} RepositoryServers, on {os.cpu_count()} cores that run everything:\n")
    print(figures.columns([titles[key] for key in results], _rows(results)))
    found: dict[str, Any] = {"bench": "scale", "servers": servers}
    if {"ours", "go"} <= results.keys():
        ours, go = results["ours"].cold.resident_bytes, results["go"].cold.resident_bytes
        found["memory_ratio"] = round(ours / go, 2)
        print(f"\nThis controller has {ours / go:.2f} times the memory of the one in Go", end="")
        print(f" (at most {MEMORY_LIMIT} is wanted).")
    contending = {key: _json(result) for key, result in results.items()}
    return {**found, "contenders": contending, "load_average": round(os.getloadavg()[0], 1)}


def _rows(results: dict[str, Result]) -> list[tuple[str, list[str]]]:
    def row(name: str, words: Callable[[Result], str]) -> tuple[str, list[str]]:
        return name, [words(result) for result in results.values()]

    def rows_of(start: Callable[[Result], Start | None]) -> list[tuple[str, list[str]]]:
        def of(name: str, words: Callable[[Start], str]) -> tuple[str, list[str]]:
            return row(name, lambda r: UNKNOWN if (one := start(r)) is None else words(one))

        def used_by(component: str) -> tuple[str, list[str]]:
            return of(
                f"  CPU seconds of {component}", lambda s: f"{s.control_plane[component]:.1f}"
            )

        return [
            of(
                "  until its caches are filled, s",
                lambda s: _seconds(s.synced, SYNC_TIMEOUT_SECONDS),
            ),
            of("  until every server is done, s", lambda s: _seconds(s.done, s.limit)),
            of("  servers a second", lambda s: UNKNOWN if s.rate is None else f"{s.rate:.1f}"),
            of("  requests a server", lambda s: f"{s.per_server(writes=False):.2f}"),
            of("  writes a server", lambda s: f"{s.per_server(writes=True):.2f}"),
            of("  reconciles a server", lambda s: f"{s.reconciles / s.servers:.2f}"),
            of("  CPU seconds", lambda s: f"{s.cpu_seconds:.1f}"),
            *(used_by(name) for name in SHOWN_COMPONENTS),
            of("  resident memory, MiB", lambda s: f"{s.resident_bytes / MIB:.0f}"),
            of("  at its peak, MiB", lambda s: f"{s.peak_bytes / MIB:.0f}"),
            of("  new server until first write, median s", lambda s: _median(s.newcomers)),
            of("  new server until first write, worst s", lambda s: _worst(s.newcomers)),
        ]

    return [
        row("start with work for all", lambda _: ""),
        *rows_of(lambda result: result.cold),
        row(
            "idle, % of one core",
            lambda result: UNKNOWN if result.idle_cpu is None else f"{result.idle_cpu:.2f}",
        ),
        row("start with nothing to do", lambda _: ""),
        *rows_of(lambda result: result.warm),
    ]


def _seconds(seconds: float | None, limit: float) -> str:
    return NOT_WITHIN.format(limit=limit) if seconds is None else f"{seconds:.1f}"


def _median(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f}" if seconds else UNKNOWN


def _worst(seconds: Sequence[float]) -> str:
    return f"{max(seconds):.2f}" if seconds else UNKNOWN


def _json(result: Result) -> dict[str, Any]:
    return {
        "cold": _start_json(result.cold),
        "idle_cpu_percent": _rounded(result.idle_cpu, 2),
        "warm": None if result.warm is None else _start_json(result.warm),
    }


def _start_json(start: Start) -> dict[str, Any]:
    counted = audit.counts(start.requests)
    return {
        "synced_seconds": _rounded(start.synced, 2),
        "done_seconds": _rounded(start.done, 2),
        "servers_per_second": _rounded(start.rate, 1),
        "requests_per_server": round(start.per_server(writes=False), 2),
        "writes_per_server": round(start.per_server(writes=True), 2),
        "requests": {f"{verb} {what}": n for (verb, what), n in sorted(counted.items())},
        "refused": sum(one.refused for one in start.requests),
        "reconciles_per_server": round(start.reconciles / start.servers, 2),
        "cpu_seconds": round(start.cpu_seconds, 1),
        "control_plane_cpu_seconds": {
            name: round(seconds, 1) for name, seconds in sorted(start.control_plane.items())
        },
        "resident_mib": round(start.resident_bytes / MIB, 1),
        "peak_mib": round(start.peak_bytes / MIB, 1),
        "newcomer_seconds": [round(seconds, 2) for seconds in sorted(start.newcomers)],
    }


def _rounded(figure: float | None, digits: int) -> float | None:
    return None if figure is None else round(figure, digits)
