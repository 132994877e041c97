"""The programs that do the same work: how each is started and asked how far it is."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from benchlib import procfs
from benchlib.exposition import Metrics
from clusterlib import components, installation, paths, waiting
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from benchlib.procfs import Used
    from clusterlib.components import Components

PEERS = paths.HACK / "benchlib" / "peers"
# Each has its own libraries and no more: what is imported counts as memory.
RUNTIME = paths.CHECKOUT / "requirements" / "runtime.txt"
KOPF = PEERS / "requirements.txt"
GO_PEER = "bench-peer"
IMAGE = "kopia/kopia:0.23.1"
WORKERS = 10

METRICS_PORT, HEALTH_PORT = 26390, 26391
METRICS, HEALTH = f"127.0.0.1:{METRICS_PORT}", f"127.0.0.1:{HEALTH_PORT}"
# This controller has those of controller-runtime.
FLAGS = (
    "--kubeconfig={kubeconfig}",
    "--namespace={namespace}",
    f"--server-image={IMAGE}",
    f"--workers={WORKERS}",
    f"--metrics-bind-address={METRICS}",
    f"--health-probe-bind-address={HEALTH}",
)
REQUEST_TIMEOUT_SECONDS = 10.0
STOP_TIMEOUT_SECONDS = 60.0

RECONCILE_TOTAL = "controller_runtime_reconcile_total"
ACTIVE_WORKERS = "controller_runtime_active_workers"
QUEUE_DEPTH = "workqueue_depth"
KOPF_RECONCILES = "bench_peer_reconciles_total"
KOPF_SYNCED = "bench_peer_synced"

ENDED = "{name} has ended by itself"


@dataclass(frozen=True)
class Contender:
    """A program.

    Attributes:
        key: for JSON and the command line.
        title: for the table.
        arguments: the program and its arguments; {kubeconfig} and {namespace} are filled in.
        environment: added to that of this process; filled in alike.
        synced: tells whether its caches are filled.
        reconciled: returns how many objects it has looked at since it started, and whether it is
            done with all that it knows of.
    """

    key: str
    title: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    synced: Callable[[], bool]
    reconciled: Callable[[], tuple[int, bool]]


class Process:
    """A running contender. Ends with the `with` statement.

    Args:
        contender: what runs.
        words: what its arguments and its environment are filled in with.
        log: where its output goes.
    """

    def __init__(self, contender: Contender, words: Mapping[str, str], log: Path) -> None:
        self._contender = contender
        self._log = log
        environment = {key: text.format(**words) for key, text in contender.environment.items()}
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [argument.format(**words) for argument in contender.arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, gracefully if it can."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return self._process.poll() is None

    def used(self) -> Used:
        """Return what it has used so far.

        Raises:
            ClusterError: it has ended.
        """
        if not self.runs:
            raise ClusterError(ENDED.format(name=self._contender.title), self._log)
        return procfs.used(self._process.pid)

    def until(
        self,
        condition: Callable[[], bool],
        what: str,
        timeout_seconds: float,
        interval_seconds: float = waiting.INTERVAL_SECONDS,
    ) -> None:
        """Wait for a condition, as long as it runs.

        Args:
            condition: asked again and again.
            what: the condition in words.
            timeout_seconds: how long to ask.
            interval_seconds: between two questions.

        Raises:
            ClusterError: it ended, or the condition did not come to hold.
        """
        waiting.until(
            condition,
            what=f"{self._contender.title}: {what}",
            timeout_seconds=timeout_seconds,
            log=self._log,
            alive=lambda: self.runs,
            interval_seconds=interval_seconds,
        )


def make(wanted: Sequence[str]) -> list[Contender]:
    """Build what the contenders need, and return them.

    Args:
        wanted: their keys.

    Raises:
        ClusterError: something could not be built.
    """
    known = components.load()
    makers = {"ours": _ours, "go": _go, "kopf": _kopf}
    return [makers[key](known) for key in wanted]


def _ours(_: Components) -> Contender:
    environment = Environment(RUNTIME)
    environment.make()
    inherited = variables({}, environment)
    return Contender(
        key="ours",
        title="this controller",
        arguments=(environment.program("python"), str(PEERS / "this_controller.py"), *FLAGS),
        environment={name: inherited[name] for name in ("PYTHONPATH", "PYTHONPYCACHEPREFIX")},
        synced=_is_ready,
        reconciled=_controller_runtime_progress,
    )


def _go(known: Components) -> Contender:
    missing = installation.plan(known, programs=[GO_PEER])
    missing.carry_out(Progress(missing.steps))
    return Contender(
        key="go",
        title="controller-runtime",
        arguments=(str(known.program(GO_PEER)), *FLAGS),
        environment={},
        synced=_is_ready,
        reconciled=_controller_runtime_progress,
    )


def _kopf(known: Components) -> Contender:
    environment = Environment(KOPF)
    environment.make()
    command = (environment.program("kopf"), "run", "--quiet", "--standalone")
    return Contender(
        key="kopf",
        title="kopf",
        arguments=(*command, "--namespace={namespace}", str(PEERS / "on_kopf.py")),
        environment={
            "KUBECONFIG": "{kubeconfig}",
            "BENCH_PEER_NAMESPACE": "{namespace}",
            "BENCH_PEER_IMAGE": IMAGE,
            "BENCH_PEER_METRICS_PORT": str(METRICS_PORT),
            "BENCH_PEER_CHILDREN": str(known.group_of(GO_PEER).folder / "children.json"),
        },
        synced=lambda: _metrics().total(KOPF_SYNCED) > 0,
        # It has no queue that could be empty.
        reconciled=lambda: (round(_metrics().total(KOPF_RECONCILES)), True),
    )


def _controller_runtime_progress() -> tuple[int, bool]:
    metrics = _metrics()
    busy = metrics.total(ACTIVE_WORKERS) or metrics.total(QUEUE_DEPTH)
    return round(metrics.total(RECONCILE_TOTAL)), not busy


def _is_ready() -> bool:
    return _ask(HEALTH_PORT, "/readyz")[0] == http.HTTPStatus.OK


def _metrics() -> Metrics:
    return Metrics(_ask(METRICS_PORT, "/metrics")[1])


def _ask(port: int, path: str) -> tuple[int, str]:
    """Return the answer of a contender's own server; nothing while it does not listen."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
