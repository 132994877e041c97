"""How long until another replica is at work, after the leader was told to stop or has died.

Two replicas of this checkout, with the flags of manifests/, on a control plane of their own: what
is measured needs no node. A server that is created in the moment that the leader lets go, and whose
Secrets are missing, costs the new leader one write: its status. With that write it is at work.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from benchlib import contenders, hanging, objects, scene
from benchlib.figures import Spread, table
from benchlib.proxy import Proxy
from clusterlib import components, waiting
from clusterlib.cluster import Cluster
from clusterlib.errors import ClusterError
from clusterlib.progress import Progress
from clusterlib.state import State
from demolib.kubectl import Kubectl
from testlib.environment import Environment, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from demolib.objects import Object

NAME = "bench-failover"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{scene.NAMESPACE}/leases"
LEASE = "repository-server-controller"
# Of the controller, whose modules this program cannot import: seconds between two renewals.
RETRY_PERIOD_SECONDS = 2.0

START_TIMEOUT_SECONDS = 60.0
# Longer than a lease lasts: a watch that is silent for so long tells of a fault.
SILENCE_SECONDS = 60.0

PROGRAM = ("-c", "from reconcilers.main import main; main()")
FLAGS = ("--leader-elect", "--metrics-bind-address=0", "--health-probe-bind-address=0")
WAITS = "waiting to lead"
LEADS = "became leader"

LEFT_TO_ITSELF = "the new leader did not write within {seconds:.0f} s"


@dataclass(frozen=True)
class Case:
    """What happens to the leader.

    Attributes:
        key: for JSON.
        title: for the table.
        signal: what it is sent.
        hanging: whether a command that it runs in a pod hangs at that moment.
    """

    key: str
    title: str
    signal: signal.Signals
    hanging: bool = False


CASES = (
    Case("sigterm", "told to stop (SIGTERM)", signal.SIGTERM),
    Case("sigkill", "killed (SIGKILL)", signal.SIGKILL),
    # Last: its server stays, and so do the commands that the leaders run there.
    Case("hanging", "told to stop, a command hangs", signal.SIGTERM, hanging=True),
)


class Replica:
    """A running controller. Ends with the `with` statement.

    Args:
        plane: where it works.
        number: distinguishes its log from those of others.
    """

    def __init__(self, plane: Plane, number: int) -> None:
        self._log = plane.state.logs / f"replica-{number}.log"
        command = [plane.python, *PROGRAM, *FLAGS, f"--namespace={scene.NAMESPACE}"]
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [*command, f"--kubeconfig={plane.state.kubeconfig}"],
                env=plane.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> float:
        """Send it a signal, and return when."""
        at = waiting.seconds()
        self._process.send_signal(number)
        return at

    def until_it_says(self, words: str) -> None:
        """Wait until its log has some words.

        Raises:
            ClusterError: it ended, or the words did not come.
        """
        waiting.until(
            lambda: words in self._log.read_text(),
            what=f"a replica says {words!r}",
            timeout_seconds=START_TIMEOUT_SECONDS,
            log=self._log,
            alive=lambda: self._process.poll() is None,
        )


@dataclass
class Plane:
    """A control plane, and what replicas need to run on it.

    Attributes:
        state: its files.
        proxy: asks its API.
        python: runs replicas.
        environment: the variables of replicas.
    """

    state: State
    proxy: Proxy
    python: str
    environment: dict[str, str]
    _started: int = field(default=0, init=False)

    def replica(self) -> Replica:
        """Start a replica."""
        self._started += 1
        return Replica(self, self._started)


def measure(rounds: int) -> dict[str, Any]:
    """Measure, and print what was found.

    Args:
        rounds: how often each case.

    Returns:
        The figures for JSON.

    Raises:
        ClusterError: a step failed, or nobody took over.
    """
    with _control_plane() as plane:
        took = _measure(plane, rounds)
    print(f"\nSeconds until another replica is at work, {rounds} times each:\n")
    print(table({case.title: Spread.of(took[case.key]) for case in CASES}))
    return {"rounds": rounds, **{case.key: _figures(took[case.key]) for case in CASES}}


def _figures(seconds: Iterable[float]) -> dict[str, float]:
    spread = Spread.of(seconds).rounded()
    return {"median": spread["median"], "worst": spread["last"]}


def _measure(plane: Plane, rounds: int) -> dict[str, list[float]]:
    sample = _prepare(plane)
    template = _server_without_secrets(sample)
    progress = Progress(1 + len(CASES))
    took: dict[str, list[float]] = {case.key: [] for case in CASES}
    with ExitStack() as running:
        with progress.step("starting two replicas"):
            leader = running.enter_context(plane.replica())
            leader.until_it_says(LEADS)
            standby = running.enter_context(plane.replica())
            standby.until_it_says(WAITS)
        for case in CASES:
            done = took[case.key]
            words = _counting(done, rounds)
            step = progress.step(f"the leader is {case.title}", words)
            with step, _set_up(case, plane, sample) as until_the_leader_is_ready:
                while len(done) < rounds:
                    metadata = {"name": f"{case.key}-{len(done)}", "namespace": scene.NAMESPACE}
                    server = {**template, "metadata": metadata}
                    until_the_leader_is_ready()
                    _pause(RETRY_PERIOD_SECONDS * len(done) / rounds)
                    done.append(_one_round(plane, leader, case.signal, server))
                    leader, standby = standby, running.enter_context(plane.replica())
                    leader.until_it_says(LEADS)
                    standby.until_it_says(WAITS)
    return took


def _counting(done: list[float], rounds: int) -> Callable[[], str]:
    return lambda: f"({len(done)} of {rounds})"


def _pause(seconds: float) -> None:
    """Wait, so that the leader is met at all times since it last renewed its lease."""
    end = waiting.seconds() + seconds
    waiting.until(lambda: waiting.seconds() >= end, what="time", timeout_seconds=2 * seconds + 1)


def _one_round(plane: Plane, leader: Replica, number: signal.Signals, server: Object) -> float:
    """Take the leader away and return the seconds until another one has written."""
    name = server["metadata"]["name"]
    before = plane.proxy.get(f"{LEASES}/{LEASE}")
    with (
        _watching(plane.proxy, LEASES, before["metadata"]["resourceVersion"]) as leases,
        _watching(plane.proxy, scene.SERVERS, _version(plane.proxy, scene.SERVERS)) as servers,
    ):
        sent = leader.send(number)
        held = before["spec"]["holderIdentity"]
        _first(leases, lambda lease: lease["spec"].get("holderIdentity") != held)
        plane.proxy.create(scene.SERVERS, server)
        _first(servers, lambda obj: obj["metadata"]["name"] == name and "status" in obj)
        return waiting.seconds() - sent


@contextmanager
def _watching(proxy: Proxy, path: str, version: str) -> Iterator[Iterator[Object]]:
    query = urlencode({"watch": "true", "resourceVersion": version})
    with proxy.stream(f"{path}?{query}", SILENCE_SECONDS) as lines:
        yield (json.loads(line)["object"] for line in lines)


def _first(objects_: Iterator[Object], wanted: Callable[[Object], bool]) -> None:
    try:
        next(obj for obj in objects_ if wanted(obj))
    except (TimeoutError, StopIteration) as error:
        raise ClusterError(LEFT_TO_ITSELF.format(seconds=SILENCE_SECONDS)) from error


def _version(proxy: Proxy, path: str) -> str:
    version: str = proxy.get(f"{path}?limit=1")["metadata"]["resourceVersion"]
    return version


def _prepare(plane: Plane) -> list[Object]:
    """Make the namespace and the CRD, and return the objects of the sample."""
    kubectl = _kubectl_of(plane.state)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": scene.NAMESPACE}}
    kubectl.apply([namespace])
    kubectl.apply(kubectl.render(scene.MANIFESTS / "crd"))
    what = "waiting for the CRD"
    kubectl.run(
        "wait", "--for=condition=Established", scene.DEFINITION, scene.KUBECTL_TIMEOUT, what=what
    )
    return objects.moved(kubectl.render(scene.SAMPLE), scene.NAMESPACE)


def _server_without_secrets(sample: Sequence[Object]) -> Object:
    """Return a server to be named, which refers to a Secret that is never made."""
    (server,) = objects.servers(sample, 1)
    server["spec"]["repository"]["passwordSecretRef"]["name"] = "missing"
    return server


def _set_up(
    case: Case, plane: Plane, sample: Sequence[Object]
) -> AbstractContextManager[Callable[[], None]]:
    """Prepare a case, and return what waits until the leader is where it is to be taken away."""
    if case.hanging:
        return hanging.running(_kubectl_of(plane.state), plane.proxy, sample)
    return nullcontext(lambda: None)


def _kubectl_of(state: State) -> Kubectl:
    return Kubectl(str(components.load().program("kubectl")), (f"--kubeconfig={state.kubeconfig}",))


@contextmanager
def _control_plane() -> Iterator[Plane]:
    """Bring a control plane up, and take it down in the end."""
    python = Environment(contenders.RUNTIME)
    python.make()
    state = State(NAME)
    cluster = Cluster(state, components.load())
    cluster.down()
    try:
        cluster.up(with_node=False)
        with Proxy(_kubectl_of(state)) as proxy:
            variables_ = variables(dict(os.environ), python)
            yield Plane(state, proxy, python.program("python"), variables_)
    finally:
        cluster.down()
