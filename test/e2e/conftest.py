"""One cluster, one controller, one pair of client pods for the session; a server for each test."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from controller.rest.kubeconfig import load_api_client
from e2e import cluster as clusters
from e2e import diagnosis
from e2e.backup_client import Client
from e2e.cluster import CLIENTS, NAMESPACE, NAMESPACES, Cluster
from e2e.descriptions import Description, document
from e2e.installation import Controller
from e2e.node import Node
from e2e.server import MAY_CONNECT, Server
from e2e.stores import ObjectStores
from e2e.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

KUBECONFIG = "RSC_TEST_KUBECONFIG"
CONTROLLER_IMAGE = "RSC_TEST_CONTROLLER_IMAGE"
SERVER_IMAGE = "RSC_TEST_SERVER_IMAGE"

# A file for what `kubectl describe` prints of the servers that the tests see.
DESCRIPTIONS = "RSC_TEST_DESCRIPTIONS"

LAST = "test_confidentiality.py"

RECORDED = pytest.StashKey[list[tuple[str, float]]]()
DESCRIBED = pytest.StashKey[list[Description]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDED] = []
    config.stash[DESCRIBED] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # It looks at what all the others have left. The sort keeps the order of the rest.
    items.sort(key=lambda item: item.path.name == LAST)


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
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    recorded = config.stash[RECORDED]
    if recorded:
        terminalreporter.section("times")
        for what, seconds in recorded:
            terminalreporter.write_line(f"{seconds:6.1f} s  {what}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    path = os.environ.get(DESCRIPTIONS)
    if path and exitstatus == pytest.ExitCode.OK:
        seen = session.config.stash[DESCRIBED]
        Path(path).write_text(document(seen))


@pytest.fixture
def record_seconds(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Give a function that has a time shown at the end of the run."""

    def record(what: str, seconds: float) -> None:
        request.config.stash[RECORDED].append((f"{request.node.name}: {what}", seconds))

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
def definition(cluster: Cluster) -> None:
    """Install the CRD alone, so that its objects can be watched."""
    cluster.kubectl.run("apply", "--kustomize=manifests/crd")


@pytest.fixture(scope="session")
def controller(
    cluster: Cluster,
    witness: Witness,  # noqa: ARG001 - it sees the controller from its first line on
    tmp_path_factory: pytest.TempPathFactory,
) -> Controller:
    """Give the controller, installed from the manifests."""
    installed = Controller(cluster)
    installed.install(tmp_path_factory.mktemp("overlay"))
    return installed


@pytest.fixture(scope="session")
def node(cluster: Cluster) -> Iterator[Node]:
    """Give the node."""
    prepared = Node(cluster)
    prepared.start()
    yield prepared
    prepared.remove()


@pytest.fixture(scope="session")
def stores(cluster: Cluster) -> Iterator[ObjectStores]:
    """Give the object stores of this machine."""
    started = ObjectStores(cluster)
    yield started
    started.remove()


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
        shown = Description(f"{heading[0].upper()}{heading[1:]}", text)
        request.config.stash[DESCRIBED].append(shown)

    return keep
