"""The command, as it runs in its container, while the control plane fails.

On a control plane of its own, whose API server is stopped and whose etcd is compacted. There is no
node, so a server is as good as it gets when it has its pod.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from clusterlib import components
from clusterlib.outages import Outages
from clusterlib.state import State
from controller.leaderelection.elector import EXIT_LOST
from e2e.waiting import CLOCK, wait_for
from integration import running
from integration.conftest import KUBECONFIG_VARIABLE, client_of, run_cluster
from integration.running import create, delete_pod, wait_for_pod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.rest.client import Client
    from fakes.tcpproxy import TcpProxy
    from integration.container import Container, Run

# They wait for minutes: what is promised is measured with the times that it is promised for.
pytestmark = pytest.mark.timeout(400)

API_SERVER = "kube-apiserver"

# For longer than two minutes, so that a replica that starts while the API server is away waits for
# it for as long; its leader ends after the renew deadline.
AWAY_SECONDS = 135.0
RENEW_DEADLINE_SECONDS = 10.0

# From an API server that is back to work that is done.
BACK_SECONDS = 30.0
SLACK_SECONDS = 15.0

FIRST, SECOND = "first", "second"


@pytest.fixture(scope="module")
def plane() -> Iterator[Outages]:
    if os.environ.get(KUBECONFIG_VARIABLE):
        pytest.skip("only a control plane of hack/cluster is a test's to stop")
    name = f"test-outages-{os.getpid()}"
    try:
        run_cluster("up", "--control-plane-only", "--name", name)
        yield Outages(State(name), components.load())
    finally:
        run_cluster("down", "--name", name)


@pytest.fixture(scope="module")
def kubeconfig(plane: Outages) -> str:
    return str(plane.kubeconfig)


@pytest.fixture(scope="module")
def client(kubeconfig: str) -> Client:
    made = client_of(kubeconfig)
    running.install_definition(made)
    return made


def leads(replica: Container) -> bool:
    return replica.metric("leader_election_master_status") == 1


def test_an_api_server_that_is_away_for_two_minutes_is_waited_for(
    plane: Outages, kubeconfig: str, client: Client, namespace: str, run: Run
) -> None:
    """The leader ends and is started again; the others are alive, and say what they wait for."""
    leader = run(kubeconfig, "--leader-elect")
    wait_for("a leader", lambda: leads(leader))
    standby = run(kubeconfig, "--leader-elect")
    wait_for("the other to stand by", lambda: standby.probe("/readyz") == 200)
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    pod = wait_for_pod(client, namespace, FIRST)

    gone = CLOCK.monotonic()
    plane.kill(API_SERVER)
    (end,) = wait_for("the leader to end", lambda: leader.ends, seconds=30)
    assert end.code == EXIT_LOST
    assert end.at - gone < RENEW_DEADLINE_SECONDS + SLACK_SECONDS
    CLOCK.wait_event(threading.Event(), gone + AWAY_SECONDS - CLOCK.monotonic())

    assert [leader.probe("/healthz"), standby.probe("/healthz")] == [200, 200]
    # The one that has started since has nothing to work with.
    assert [leader.probe("/readyz"), standby.probe("/readyz")] == [500, 200]
    assert leader.logged("waiting for the API server")[-1]["reason"].startswith("not synced: ")
    assert not leads(leader)
    assert not leads(standby)
    assert standby.metric("informer_last_contact_seconds", resource="pods") > 120

    plane.start(API_SERVER)
    plane.wait_for_api()
    back = CLOCK.monotonic()
    create(client, namespace, SECOND)
    delete_pod(client, namespace, FIRST)
    wait_for_pod(client, namespace, SECOND)
    wait_for_pod(client, namespace, FIRST, other_than=pod)
    assert CLOCK.monotonic() - back < BACK_SECONDS
    wait_for(
        "both to be ready", lambda: {leader.probe("/readyz"), standby.probe("/readyz")} == {200}
    )
    assert [leads(leader), leads(standby)].count(True) == 1
    assert (len(leader.ends), standby.ends) == (1, [])


def test_a_compaction_of_etcd_while_the_watches_are_broken_hides_nothing(
    *,
    plane: Outages,
    over_network: str,
    client: Client,
    namespace: str,
    network: TcpProxy,
    run: Run,
) -> None:
    """The watches are opened where they broke off, and end with an error of code 410.

    The API server keeps no changes of its own, so that what etcd has forgotten is gone.
    """
    plane.kill(API_SERVER)
    plane.start(API_SERVER, "--watch-cache=false")
    plane.wait_for_api()
    running.create_secrets(client, namespace)
    create(client, namespace, FIRST)
    replica = run(over_network)
    pod = wait_for_pod(client, namespace, FIRST)
    before = replica.metric("informer_relists_total", resource="pods")

    network.refuse()
    network.cut()
    create(client, namespace, SECOND)
    delete_pod(client, namespace, FIRST)
    plane.compact_etcd()
    network.accept()

    wait_for_pod(client, namespace, SECOND)
    # Its ReplicaSet brings the pod back, whatever the controller knows by then.
    wait_for_pod(client, namespace, FIRST, other_than=pod)
    wait_for(
        "the pods to be listed anew",
        lambda: replica.metric("informer_relists_total", resource="pods"),
        lambda relists: relists > before,
    )
    expired = {
        one["resource"]: one["error"] for one in replica.logged("watch fell behind, listing anew")
    }
    assert "pods" in expired
    assert "too old" in expired["pods"]
    assert replica.ends == []
