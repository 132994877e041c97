"""Takes away what a running server depends on, and brings it back."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from clusterlib import components
from clusterlib.outages import Outages
from clusterlib.state import State
from e2e.cluster import NAMESPACE
from e2e.server import PREFIX, ROOT_PATH
from e2e.stores import CLUSTER
from fakes.tcpproxy import TcpProxy
from reconcilers.kopia.repository_config import CACHE_DIRECTORY

CONTROLLERS: Final = "kube-controller-manager"
# A kubelet renews its lease every 10 s; by itself Kubernetes waits for 50 s.
GIVEN_UP_AFTER_SECONDS: Final = 22

if TYPE_CHECKING:
    from collections.abc import Iterator

    from e2e.server import Server
    from storelib.servers import Store


def of_local_cluster() -> Outages:
    """Return the components of the cluster under test; skip the test where they are not ours."""
    if not os.environ.get(CLUSTER):
        pytest.skip("only a cluster of hack/cluster has components that a test may stop")
    return Outages(State(os.environ[CLUSTER]), components.load())


@contextmanager
def moved_away(server: Server) -> Iterator[None]:
    """Have a server's file store without its repository.

    Kopia could otherwise make the folder again for what it writes meanwhile.
    """
    server.in_volume(f"mv {PREFIX}/{ROOT_PATH} {PREFIX}/away && chmod u-w {PREFIX}")
    try:
        yield
    finally:
        server.in_volume(f"chmod u+w {PREFIX} && mv {PREFIX}/away {PREFIX}/{ROOT_PATH}")


@contextmanager
def over_network(store: Store) -> Iterator[tuple[Store, TcpProxy]]:
    """Give an S3 store as it is reached over a network that can fail, and the network."""
    host, _, port = store.location["endpoint"].removeprefix("https://").partition(":")
    with TcpProxy(host, int(port), listen=host) as network:
        endpoint = f"https://{host}:{network.port}"
        yield replace(store, location={**store.location, "endpoint": endpoint}), network


@contextmanager
def cut_off(network: TcpProxy) -> Iterator[None]:
    """Have nobody reach what is behind a network."""
    network.refuse()
    network.cut()
    try:
        yield
    finally:
        network.accept()


@contextmanager
def paused(component: str) -> Iterator[None]:
    """Have a component of the cluster do nothing."""
    outages = of_local_cluster()
    outages.pause(component)
    try:
        yield
    finally:
        outages.resume(component)


@contextmanager
def nodes_given_up_early() -> Iterator[None]:
    """Have the cluster give a node up after two missed renewals of its lease, not after four."""
    outages = of_local_cluster()
    restart(outages, CONTROLLERS, f"--node-monitor-grace-period={GIVEN_UP_AFTER_SECONDS}s")
    try:
        yield
    finally:
        restart(outages, CONTROLLERS)


def restart(outages: Outages, component: str, *flags: str) -> None:
    """Kill a component of the cluster, and start it again with further flags."""
    outages.kill(component)
    outages.start(component, *flags)


def restart_api_server() -> None:
    """Kill the API server, start it again, and return when it answers."""
    outages = of_local_cluster()
    restart(outages, "kube-apiserver")
    outages.wait_for_api()


def forget_lists(server: Server) -> None:
    """Take from Kopia the lists of what its storage has, which it otherwise keeps for 30 s."""
    pod = server.pod()["metadata"]["name"]
    ran = server.cluster.kubectl.shell(NAMESPACE, pod, f"rm -rf {CACHE_DIRECTORY}/blob-list/*")
    assert ran.code == 0, ran
