"""A real API server for the tests: the one named, or a control plane made for this run."""

import os
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
import yaml
from prometheus_client import CollectorRegistry

from clusterlib import components
from clusterlib.outages import Outages
from clusterlib.state import State
from controller.clock import SystemClock
from controller.metrics import Metrics
from controller.resource import Resource
from controller.rest.client import Client
from controller.rest.kubeconfig import load_api_client
from controller.rest.transport import Transport
from fakes.tcpproxy import TcpProxy
from integration import plane
from integration.container import Container, Run
from integration.plane import Plane
from integration.replicasets import ReplicaSetController

#: Names the kubeconfig of a cluster to use; its user must be an administrator.
KUBECONFIG_VARIABLE: Final = "RSC_TEST_KUBECONFIG"

CLUSTER: Final = Path(__file__).parents[2] / "hack" / "cluster"

NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)


@pytest.fixture(scope="session")
def kubeconfig() -> Iterator[str]:
    """Give the path of a kubeconfig."""
    if named := os.environ.get(KUBECONFIG_VARIABLE):
        yield named
        return
    # `hack/test` takes it down if this process is killed.
    name = f"test-integration-{os.getpid()}"
    try:
        run_cluster("up", "--control-plane-only", "--name", name)
        exports = run_cluster("env", "--name", name)
        variables = dict(word.split("=", 1) for word in shlex.split(exports) if "=" in word)
        with pytest.MonkeyPatch.context() as environment:
            # For kubectl.
            environment.setenv("PATH", variables["PATH"])
            yield variables["KUBECONFIG"]
    finally:
        run_cluster("down", "--name", name)


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[Plane]:
    """Give a control plane with the controllers of Kubernetes, and without a node."""
    if os.environ.get(KUBECONFIG_VARIABLE):
        pytest.skip("the nodes of a cluster that somebody uses are not a test's to lose")
    name = f"test-controllers-{os.getpid()}"
    try:
        run_cluster("build", *plane.PROGRAMS)
        run_cluster("up", "--control-plane-only", "--name", name)
        state, known = State(name), components.load()
        record = state.read_record()
        assert record is not None
        made = Plane(state, record, known, Outages(state, known))
        made.start(client_of(made.kubeconfig))
        yield made
    finally:
        run_cluster("down", "--name", name)


def run_cluster(*arguments: str) -> str:
    finished = subprocess.run(  # noqa: S603 - a program of this project
        [CLUSTER, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return finished.stdout


@pytest.fixture
def network(kubeconfig: str) -> Iterator[TcpProxy]:
    """A way to the API server that can fail."""
    server = urlsplit(load_api_client(kubeconfig).configuration.host)
    assert server.hostname is not None
    with TcpProxy(server.hostname, server.port or 443) as proxy:
        yield proxy


@pytest.fixture
def over_network(kubeconfig: str, network: TcpProxy, tmp_path: Path) -> str:
    """Give the path of a kubeconfig that goes that way."""
    content = yaml.safe_load(Path(kubeconfig).read_text())
    (cluster,) = content["clusters"]
    host = urlsplit(cluster["cluster"]["server"]).hostname
    cluster["cluster"]["server"] = f"https://127.0.0.1:{network.port}"
    cluster["cluster"]["tls-server-name"] = host
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture
def run(namespace: str) -> Iterator[Run]:
    """Give a function that runs a replica of the controller over a kubeconfig."""
    started: list[Container] = []

    def start(kubeconfig: str, *flags: str) -> Container:
        arguments = (f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", *flags)
        started.append(Container(arguments))
        return started[-1].__enter__()

    yield start
    for one in started:
        one.__exit__()


@pytest.fixture(scope="session")
def kubectl(kubeconfig: str) -> Callable[..., str]:
    """Give a function that runs kubectl and returns what it printed."""

    def run(*arguments: str) -> str:
        command = ["kubectl", f"--kubeconfig={kubeconfig}", *arguments]
        return subprocess.run(  # noqa: S603 - the arguments are those of the tests
            command, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    return run


@pytest.fixture(scope="session")
def client(kubeconfig: str) -> Client:
    return client_of(kubeconfig)


def client_of(kubeconfig: str) -> Client:
    """Return a client of the tests' own, beside that of a controller."""
    transport = Transport(
        load_api_client(kubeconfig), clock=SystemClock(), metrics=Metrics(CollectorRegistry())
    )
    return Client(transport, field_manager="integration-test")


@pytest.fixture
def namespace(client: Client) -> Iterator[str]:
    """Give a namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    client.create(NAMESPACES, "", body)
    with ReplicaSetController(client, name):
        yield name
    client.delete(NAMESPACES, "", name)
