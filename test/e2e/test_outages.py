"""What a server depends on goes away and comes back: what an operator sees, and that it is over.

Nobody does anything but to bring it back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from e2e import outages
from e2e.backup_client import login
from e2e.cluster import NAMESPACE
from e2e.server import condition, events_of, is_ready
from e2e.waiting import CLOCK, wait_for
from reconcilers import resources
from reconcilers.repositoryserver.children import names
from reconcilers.repositoryserver.rollout.podstatus import node_is_lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.installation import Controller
    from e2e.server import Server
    from e2e.stores import ObjectStores

    RecordSeconds = Callable[[str, float], None]

# In which a server that clients cannot use must say so, and in which it must be of use again when
# what it lacked is back.
NOTICED_SECONDS = 60.0
MENDED_SECONDS = 60.0

# Until the node lifecycle controller gives up on a node, with what a busy machine adds.
LOST_SECONDS = 90.0

# With which a server notices within that time that its object store is away.
REFRESH_SECONDS = 20

# Of each packet that comes from or goes to a slow store.
DELAY_SECONDS = 0.05

TOO_LITTLE_MEMORY = "24Mi"

NO_IMAGE = "localhost/no-such-image:1"


def says(reason: str) -> Callable[[Object], bool]:
    """Return a function that tells whether a server is not Ready, for a reason."""

    def told(server: Object) -> bool:
        ready = condition(server, "Ready")
        return ready is not None and (ready["status"], ready["reason"]) == ("False", reason)

    return told


def message_of(server: Object) -> str:
    ready = condition(server, "Ready")
    assert ready is not None
    message: str = ready["message"]
    return message


def warnings(server: Server, reason: str) -> list[str]:
    """Return the notes of the warnings about a server, for a reason."""
    events = events_of(server.cluster.events(server.get()), reason)
    return [event["note"] for event in events if event["type"] == "Warning"]


def restarts(pod: Object) -> int:
    count: int = pod["status"]["containerStatuses"][0]["restartCount"]
    return count


def test_a_server_whose_storage_goes_away_says_so_and_recovers(
    server: Server, client: Client, record_seconds: RecordSeconds
) -> None:
    """At a refresh Kopia waits for its storage, with the lock that all requests need."""
    me = login(server.start(), server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)
    pod = server.pod()

    began = CLOCK.monotonic()
    with outages.moved_away(server):
        outages.forget_lists(server)
        password = server.cluster.confidential.password("password of another user")
        server.set_values("users", {"another": password})
        server.wait("not to be Ready", lambda seen: not is_ready(seen), seconds=NOTICED_SECONDS)
        record_seconds("not Ready after", CLOCK.monotonic() - began)
        (note,) = wait_for("the cause to be told", lambda: warnings(server, "StorageUnavailable"))
    assert note == (
        f"Kopia cannot reach backups/repository/ on PersistentVolumeClaim {NAMESPACE}/"
        f"{server.name}: its server has not answered for 30 s"
    )
    began = CLOCK.monotonic()
    ready = server.wait_ready(seconds=MENDED_SECONDS)
    record_seconds("Ready again after", CLOCK.monotonic() - began)

    after = server.pod()
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert restarts(after) == restarts(pod)
    assert client.restore(server.name, me, snapshot) == written
    assert client.connect("another", login(ready, password, host="another")).code == 0


def test_a_file_store_that_is_away_is_noticed_though_nobody_uses_it(
    server: Server, record_seconds: RecordSeconds
) -> None:
    server.start()
    pod = server.pod()["metadata"]["name"]

    began = CLOCK.monotonic()
    with outages.moved_away(server):
        unready = server.wait(
            "not to be Ready", lambda seen: not is_ready(seen), seconds=NOTICED_SECONDS
        )
        record_seconds("not Ready after", CLOCK.monotonic() - began)
    server.wait_ready(seconds=MENDED_SECONDS)

    assert message_of(unready) == (
        f"pod {pod} fails its readiness probe; if this lasts, backups/repository/ on "
        f"PersistentVolumeClaim {NAMESPACE}/{server.name} may be away: check it"
    )
    assert warnings(server, "NotAvailable") == [message_of(unready)]
    assert server.pod()["metadata"]["name"] == pod


def test_an_object_store_that_is_away_is_noticed_where_the_server_looks_at_it(
    server: Server, client: Client, stores: ObjectStores, record_seconds: RecordSeconds
) -> None:
    with outages.over_network(stores.get("s3")) as (store, network):
        server.move_to(store)
        server.resource["spec"]["server"]["refreshSeconds"] = REFRESH_SECONDS
        me = login(server.start(), server.password_of())
        pod = server.pod()

        began = CLOCK.monotonic()
        with outages.cut_off(network):
            unready = server.wait(
                "not to be Ready", lambda seen: not is_ready(seen), seconds=NOTICED_SECONDS
            )
            record_seconds("not Ready after", CLOCK.monotonic() - began)
        began = CLOCK.monotonic()
        server.wait_ready(seconds=MENDED_SECONDS)
        record_seconds("Ready again after", CLOCK.monotonic() - began)

        assert message_of(unready).startswith(
            f"pod {pod['metadata']['name']} fails its readiness probe; if this lasts, "
        )
        assert "may be away" in message_of(unready)
        after = server.pod()
        assert after["metadata"]["uid"] == pod["metadata"]["uid"]
        assert restarts(after) == restarts(pod)
        assert client.connect(server.name, me).code == 0


def test_a_slow_storage_makes_a_server_slow_and_a_lost_one_fails_the_backup_only(
    server: Server, client: Client, stores: ObjectStores, record_seconds: RecordSeconds
) -> None:
    with outages.over_network(stores.get("s3")) as (store, network):
        network.slow(DELAY_SECONDS)
        server.move_to(store)
        began = CLOCK.monotonic()
        me = login(server.start(), server.password_of())
        record_seconds("Ready after", CLOCK.monotonic() - began)
        assert client.connect(server.name, me).code == 0
        written = client.write_files(server.name)
        snapshot = client.back_up(server.name, me)
        assert client.restore(server.name, me, snapshot) == written
        network.slow(0)
        client.write_files(server.name)

        with outages.cut_off(network):
            failed = client.attempt_to_back_up(server.name, me)
        again = client.attempt_to_back_up(server.name, me)

        assert failed.code != 0
        assert again.code == 0, again
        assert client.restore(server.name, me, snapshot).items() >= written.items()
        assert server.history() in (["True"], ["False", "True"])


def test_a_server_with_too_little_memory_says_so(server: Server) -> None:
    limits = {"memory": TOO_LITTLE_MEMORY}
    server.resource["spec"]["server"]["resources"] = {"requests": limits, "limits": limits}
    server.make_volume()
    server.make_repository()
    server.create()

    killed = server.wait("to be killed", says("OutOfMemory"))
    assert "raise spec.server.resources.limits.memory" in message_of(killed)

    server.patch({"spec": {"server": {"resources": None}}})
    server.wait_ready()
    assert warnings(server, "OutOfMemory") == [message_of(killed)]


def test_an_image_that_cannot_be_pulled_is_told_once(server: Server) -> None:
    override = {"containers": [{"name": names.CONTAINER, "image": NO_IMAGE}]}
    server.resource["spec"]["server"]["podOverride"] = override
    server.make_volume()
    server.make_repository()
    server.create()

    told = server.wait("to lack its image", says("ImagePullFailed"))
    assert message_of(told).startswith(f"image {NO_IMAGE} of pod ")

    server.patch({"spec": {"server": {"podOverride": None}}})
    server.wait_ready()
    assert len(warnings(server, "ImagePullFailed")) == 1


@pytest.mark.alone
def test_a_server_comes_back_from_a_drained_node(server: Server) -> None:
    server.start()
    pod, kubectl = server.pod(), server.cluster.kubectl
    node = pod["spec"]["nodeName"]
    selector = f"--pod-selector={names.LABEL_INSTANCE}={server.name}"

    try:
        kubectl.run("drain", node, selector, "--delete-emptydir-data", "--force", "--timeout=60s")
        waits = server.wait("to have no node", says("PodUnschedulable"))
    finally:
        kubectl.run("uncordon", node)

    assert "node(s) were unschedulable" in message_of(waits)
    server.wait_ready()
    assert server.pod()["metadata"]["uid"] != pod["metadata"]["uid"]


@pytest.mark.alone
def test_a_lost_node_is_named_and_over_when_it_is_back(
    server: Server, record_seconds: RecordSeconds
) -> None:
    server.start()
    pod = server.pod()
    name, node = pod["metadata"]["name"], pod["spec"]["nodeName"]
    cluster = server.cluster

    with outages.nodes_given_up_early(), outages.paused("kubelet"):
        wait_for(
            "the cluster to give the node up",
            lambda: cluster.client.get(resources.PODS, NAMESPACE, name),
            node_is_lost,
            seconds=LOST_SECONDS,
        )
        began = CLOCK.monotonic()
        lost = server.wait("to tell of it", says("NodeLost"), seconds=NOTICED_SECONDS)
        record_seconds("told after", CLOCK.monotonic() - began)
        assert message_of(lost).startswith(f"node {node} does not answer, so the state of pod ")
        # As what evicts the pods of lost nodes does after five minutes.
        cluster.client.delete(resources.PODS, NAMESPACE, name)
        # The one that takes its place has no other node.
        server.wait("to have no node", says("PodUnschedulable"))

    began = CLOCK.monotonic()
    wait_for("the pod to be gone", lambda: cluster.get(resources.PODS, name), is_gone)
    server.wait_ready()
    record_seconds("Ready again after", CLOCK.monotonic() - began)
    assert warnings(server, "NodeLost") == [message_of(lost)]


def is_gone(seen: Object | None) -> bool:
    return seen is None


def is_another_than(pod: Object) -> Callable[[Object | None], bool]:
    return lambda seen: seen is not None and seen["metadata"]["uid"] != pod["metadata"]["uid"]


def delete_service(server: Server, ready: Object) -> None:
    """Delete the Service of a server, and wait for another one."""
    service = ready["status"]["serverInfo"]["serviceName"]
    former = server.cluster.client.get(resources.SERVICES, NAMESPACE, service)
    server.cluster.client.delete(resources.SERVICES, NAMESPACE, service)
    wait_for(
        "another Service",
        lambda: server.cluster.get(resources.SERVICES, service),
        is_another_than(former),
    )


def test_a_backup_goes_on_while_its_service_is_deleted(server: Server, client: Client) -> None:
    ready = server.start()
    me = login(ready, server.password_of())
    assert client.connect(server.name, me).code == 0
    running = client.begin_to_back_up(server.name, me)

    delete_service(server, ready)
    snapshot = running.complete()

    server.wait_ready()
    assert client.connect("again", me).code == 0
    assert client.restore("again", me, snapshot) == running.checksums()


@pytest.mark.alone
def test_a_backup_goes_on_while_the_api_server_is_away_and_nothing_is_missed(
    server: Server, client: Client, controller: Controller, record_seconds: RecordSeconds
) -> None:
    """It comes back without the versions that the controller knows: its watches are refused."""
    ready = server.start()
    me = login(ready, server.password_of())
    assert client.connect(server.name, me).code == 0
    running = client.begin_to_back_up(server.name, me)
    leader, before = controller.leader(), relists(controller)

    began = CLOCK.monotonic()
    outages.restart_api_server()
    record_seconds("away for", CLOCK.monotonic() - began)
    snapshot = running.complete()

    wait_for("a leader", controller.leader)
    delete_service(server, ready)
    server.wait_ready()
    assert client.restore(server.name, me, snapshot) == running.checksums()
    # Another leader, be it another process of the same pod, began with lists in any case.
    if controller.leader() == leader:
        assert relists(controller) > before


def relists(controller: Controller) -> float:
    """Return how often the leader has fetched all objects anew."""
    return sum(
        map(float, re.findall(r"(?m)^informer_relists_total\S* (\S+)$", controller.metrics()))
    )
