"""One controller and one pair of client pods for the session; a server of its own for each test.

A session is a process. `hack/test` has several run side by side on one cluster, each with
namespaces of its own, and then one more, for the tests marked `alone`: they take away what the
others need, or look at what these have left.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clusterlib import locks
from controller.rest.kubeconfig import load_api_client
from e2e import cluster as clusters
from e2e import diagnosis, evidence
from e2e.actionsetcontroller import InstalledEngine
from e2e.backup_client import Client
from e2e.cluster import CLIENTS, EVENTS, NAMESPACE, NAMESPACES, WORKER, Cluster
from e2e.descriptions import Description, document
from e2e.installation import Controller
from e2e.node import Node
from e2e.server import MAY_CONNECT, Server
from e2e.stores import ObjectStores
from e2e.witness import Witness
from reconcilers import resources
from reconcilers.actionset.api import ACTION_SETS, BLUEPRINTS, LABEL_UID

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

KUBECONFIG = "RSC_TEST_KUBECONFIG"
CONTROLLER_IMAGE = "RSC_TEST_CONTROLLER_IMAGE"
SERVER_IMAGE = "RSC_TEST_SERVER_IMAGE"

# A file for what `kubectl describe` prints of the servers that the tests see.
DESCRIPTIONS = "RSC_TEST_DESCRIPTIONS"

# Files whose tests take long. Side by side they come first: one that is begun late is waited for.
LONG = ("test_rotation.py", "test_outages.py", "test_compatibility.py", "test_access.py")
LAST = "test_confidentiality.py"

# What a test adds to its report, which comes to the process that prints the summary.
RECORDED = "seconds"
DESCRIBED = "description"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    first = LONG if WORKER else ()
    # The last looks at what all the others have left. The sort keeps the order of the rest.
    items.sort(key=lambda item: (item.path.name == LAST, item.path.name not in first))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed what an operator would look at, while it is there."""
    report = yield
    cluster, server = item.funcargs.get("cluster"), item.funcargs.get("server")
    if report.failed and call.when != "teardown" and isinstance(cluster, Cluster):
        name = server.name if isinstance(server, Server) else ""
        report.sections.extend(diagnosis.sections(cluster.kubectl, name))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: pytest.ExitCode
) -> None:
    """Show the times that the tests recorded, and write the descriptions that they made."""
    added = [
        (report.nodeid, key, value)
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, ())
        if report.when == "call"
        for key, value in report.user_properties
    ]
    recorded = [(node, *value) for node, key, value in added if key == RECORDED]
    if recorded:
        terminalreporter.section("times")
        for node, what, seconds in sorted(recorded):
            terminalreporter.write_line(f"{seconds:6.1f} s  {node.rpartition('::')[2]}: {what}")
    path = os.environ.get(DESCRIPTIONS)
    described = [Description(*value) for _, key, value in added if key == DESCRIBED]
    if path and described and exitstatus == pytest.ExitCode.OK:
        page = Path(path)
        page.write_text(document(page.read_text(), described))


@pytest.fixture
def record_seconds(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Give a function that has a time shown at the end of the run."""

    def record(what: str, seconds: float) -> None:
        request.node.user_properties.append((RECORDED, (what, seconds)))

    return record


def told(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.fail(f"{variable} is not set; `hack/test e2e` makes a cluster and sets it")
    return value


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give the cluster with two empty namespaces."""
    connected = clusters.connect(told(KUBECONFIG), told(CONTROLLER_IMAGE), told(SERVER_IMAGE))
    clusters.clear(connected)
    for name in (NAMESPACE, CLIENTS):
        connected.client.create(NAMESPACES, "", {"metadata": {"name": name}})
        connected.kubectl.wait(name, "serviceaccount/default", "create")
    yield connected
    for name in (NAMESPACE, CLIENTS):
        connected.client.delete(NAMESPACES, "", name)


@pytest.fixture(scope="session")
def witness(
    cluster: Cluster,
    definition: None,  # noqa: ARG001 - what is watched must be served
) -> Iterator[Witness]:
    """Give who has seen everything since the controller was installed."""
    api_client = load_api_client(told(KUBECONFIG), user_agent="e2e-test")
    observer = Witness(cluster, api_client)
    observer.start()
    yield observer
    observer.stop()


@pytest.fixture(scope="session")
def definition(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Install the CRD alone, so that its objects can be watched."""
    # kubectl fails where another one creates the same object at the same time.
    shared = tmp_path_factory.getbasetemp().parent if WORKER else tmp_path_factory.getbasetemp()
    with locks.exclusive(shared / "definition"):
        cluster.kubectl.run("apply", "--kustomize=manifests/crd")


@pytest.fixture(scope="session")
def controller(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    witness: Witness,  # it sees the controller from its first line on
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Controller]:
    """Give the controller, installed from the manifests."""
    installed = Controller(cluster)
    installed.install(tmp_path_factory.mktemp("overlay"))
    yield installed
    folder = os.environ.get(evidence.FOLDER)
    # The session that looks at it has its own at hand.
    if folder and all(item.path.name != LAST for item in request.session.items):
        evidence.keep(evidence.gather(cluster, witness, installed), Path(folder))


@pytest.fixture(scope="session")
def node(cluster: Cluster) -> Iterator[Node]:
    """Give the node."""
    prepared = Node(cluster)
    prepared.start()
    yield prepared
    prepared.remove()


@pytest.fixture(scope="module")
def engine(
    cluster: Cluster, node: Node, witness: Witness, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InstalledEngine]:
    """Yield the controller of ActionSets, with the witness of what it does."""
    installed = InstalledEngine(cluster, node)
    installed.install()
    for resource in (ACTION_SETS, BLUEPRINTS):
        witness.watch(resource, NAMESPACE)
    # The pods of phases are in the namespace of the application, too.
    witness.watch(resources.PODS, CLIENTS, only=LABEL_UID)
    witness.watch(EVENTS, CLIENTS)
    installed.deploy(tmp_path_factory.mktemp("engine"))
    yield installed
    logs = installed.logs()
    installed.remove()
    assert "Traceback" not in logs, logs
    assert cluster.confidential.found_in(logs) == []


@pytest.fixture(scope="session")
def stores(cluster: Cluster) -> ObjectStores:
    """Give the object stores of this machine."""
    return ObjectStores(cluster)


@pytest.fixture(scope="session")
def client(cluster: Cluster) -> Client:
    """Give a pod that the servers' network policies name."""
    return started(Client(cluster, "client", MAY_CONNECT))


@pytest.fixture(scope="session")
def stranger(cluster: Cluster) -> Client:
    """Give a pod that nobody names."""
    return started(Client(cluster, "stranger", {}))


def started(pod: Client) -> Client:
    pod.cluster.kubectl.create([pod.manifest()])
    pod.cluster.kubectl.wait(CLIENTS, f"pod/{pod.pod}", "condition=Ready")
    return pod


@pytest.fixture
def server(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    node: Node,
    witness: Witness,
    controller: Controller,  # noqa: ARG001 - it makes the server
) -> Iterator[Server]:
    """Give a RepositoryServer of the test's own, of which nothing exists yet."""
    described = Server(cluster, node, witness, name_of(request.node))
    yield described
    described.remove()


def name_of(item: Any) -> str:
    """Return a name for the objects of a test: its own, or that of its row in a table."""
    words = item.callspec.id if hasattr(item, "callspec") else item.name.removeprefix("test_")
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:40].rstrip("-")


@pytest.fixture
def describe(request: pytest.FixtureRequest, cluster: Cluster) -> Callable[[Server, str], None]:
    """Give a function that keeps what kubectl says of a server, as an example of something."""

    def keep(described: Server, heading: str) -> None:
        text = cluster.kubectl.run(
            "describe", f"--namespace={NAMESPACE}", f"repositoryserver/{described.name}"
        )
        shown = (f"{heading[0].upper()}{heading[1:]}", text)
        request.node.user_properties.append((DESCRIBED, shown))

    return keep
