"""What a running server cannot take up starts another one, and backups that run go on."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from e2e import images
from e2e.backup_client import Login, login
from e2e.cluster import CLIENTS, NAMESPACE
from e2e.node import parse_checksums
from e2e.server import PREFIX, ROOT_PATH, is_ready
from e2e.waiting import wait_for
from reconcilers import resources
from reconcilers.repositoryserver.api import PORT
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.server import Server
    from e2e.stores import ObjectStores

# Longer than a backup needs when it is told to end, on a machine that is busy.
DRAIN_SECONDS = 150
# What it is lowered to once the backup is done.
SHORT_DRAIN_SECONDS = 1

# Until a server knows what another one has written, on a machine that is busy.
KNOWN_SECONDS = 25

PORT_AS_HEX = f"{PORT:04X}"
ESTABLISHED = "01"

AZURE_KEY, AZURE_TOKEN = "azure_storage_key", "azure_storage_sas_token"


@contextmanager
def backup_that_spans_a_change(server: Server, client: Client) -> Iterator[Object]:
    """Start a server and a backup, and see to it that both outlive what is changed within.

    Yields:
        The resource before the change.
    """
    cluster = server.cluster
    server.resource["spec"]["server"]["drainSeconds"] = DRAIN_SECONDS
    before = server.start()
    me = login(before, server.password_of())
    connected = client.connect(server.name, me)
    assert connected.code == 0, connected
    former = before["status"]["serverInfo"]["podName"]
    running = client.begin_to_back_up(server.name, me)

    yield before

    after = served_by_another(server, former)
    pod = cluster.client.get(resources.PODS, NAMESPACE, former)
    assert running.is_running()
    assert has_session_with(pod, client)
    assert names.ANNOTATION_DRAIN_UNTIL in pod["metadata"]["annotations"]
    snapshot = running.complete()
    new = login(after, server.password_of())
    client.wait_until_accepted(server.name, new)
    restored = wait_for(
        "what ended in the former pod to be restored through the new one",
        lambda: client.attempt_to_restore(server.name, new, snapshot),
        lambda ran: ran.code == 0,
        seconds=KNOWN_SECONDS,
    )
    assert parse_checksums(restored.output) == running.checksums()
    # One pod or the other was Ready all the time.
    assert server.history() == ["True"]


def assert_former_pod_goes(server: Server, before: Object) -> None:
    """Assert that the pod that served before the change goes when its time is over, cut short."""
    server.patch({"spec": {"server": {"drainSeconds": SHORT_DRAIN_SECONDS}}})
    former = before["status"]["serverInfo"]["podName"]
    revision = former.rpartition("-")[0]
    wait_for(
        "the former pod, its ReplicaSet and its Secret to be gone",
        lambda: [
            server.cluster.get(resources.PODS, former),
            server.cluster.get(resources.REPLICA_SETS, revision),
            server.cluster.get(resources.SECRETS, revision),
        ],
        lambda found: not any(found),
    )


def served_by_another(server: Server, former: str) -> Object:
    """Wait until another pod serves, and return the resource."""
    return server.wait(
        "to be served by another pod",
        lambda seen: is_ready(seen) and seen["status"]["serverInfo"]["podName"] != former,
    )


def has_session_with(pod: Object, client: Client) -> bool:
    """Return whether a client is connected to a server's pod."""
    address = client.cluster.client.get(resources.PODS, CLIENTS, client.pod)["status"]["podIP"]
    # As Linux writes it: the bytes of each word from the last to the first.
    peer = socket.inet_aton(address)[::-1].hex().upper()
    ran = client.cluster.kubectl.shell(
        NAMESPACE, pod["metadata"]["name"], "cat /proc/net/tcp /proc/net/tcp6"
    )
    connections = [line.split()[1:4] for line in ran.output.splitlines() if ":" in line]
    return any(
        local.endswith(f":{PORT_AS_HEX}")
        and remote.partition(":")[0].endswith(peer)
        and state == ESTABLISHED
        for local, remote, state in connections
    )


def test_a_backup_goes_on_while_the_certificate_is_rotated(server: Server, client: Client) -> None:
    with backup_that_spans_a_change(server, client) as before:
        server.set_values("tls", {**server.certificate()})

    fingerprints = [
        seen["status"]["serverInfo"]["tlsFingerprint"] for seen in (before, server.get())
    ]
    assert fingerprints[0] != fingerprints[1]
    assert_former_pod_goes(server, before)


@pytest.fixture
def other_image(controller: Controller, cluster: Cluster) -> Iterator[str]:
    """Give an image of Kopia that the controller does not know yet; it forgets it afterwards."""
    yield images.tag_again(cluster.server_image)
    controller.use_server_image(cluster.server_image)
    controller.wait_ready()


def test_a_backup_goes_on_while_the_controller_is_upgraded_to_another_image(
    server: Server, client: Client, controller: Controller, other_image: str
) -> None:
    with backup_that_spans_a_change(server, client) as before:
        controller.use_server_image(other_image)

    assert server.pod()["spec"]["containers"][0]["image"] == other_image
    assert_former_pod_goes(server, before)


def test_a_backup_goes_on_while_the_administrators_password_is_changed(
    server: Server, client: Client, cluster: Cluster
) -> None:
    former = server.secrets["admin"]["stringData"]["password"]
    changed = cluster.confidential.password("changed administrator's password")

    with backup_that_spans_a_change(server, client):
        server.set_values("admin", {"password": changed})

    ready = server.get()
    name = server.secrets["admin"]["stringData"]["username"]
    to = login(ready, changed)
    accepted = client.administer(server.name, Login(to.url, to.fingerprint, changed, name))
    refused = client.administer(server.name, Login(to.url, to.fingerprint, former, name))
    assert accepted.code == 0, accepted
    assert refused.code != 0


def test_a_backup_goes_on_while_the_repositorys_password_is_changed(
    server: Server, client: Client, cluster: Cluster
) -> None:
    changed = cluster.confidential.password("changed repository password")

    with backup_that_spans_a_change(server, client):
        path = f"{PREFIX}/{ROOT_PATH}"
        server.node.change_password(server.name, path, server.repository_password, changed)
        server.set_values("password", {"repo-password": changed})


def test_another_credential_of_the_store_takes_effect(
    server: Server, client: Client, stores: ObjectStores
) -> None:
    key, token = stores.get("azure"), stores.get("azure-sas")
    server.move_to(key)
    server.resource["spec"]["server"]["drainSeconds"] = 0
    before = server.start()
    me = login(before, server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)

    server.set_values("credential", {AZURE_KEY: None, AZURE_TOKEN: token.credential[AZURE_TOKEN]})
    former = before["status"]["serverInfo"]["podName"]
    served_by_another(server, former)
    wait_for(
        "the former pod to be gone",
        lambda: server.cluster.get(resources.PODS, former),
        lambda found: found is None,
    )

    connected = client.connect(server.name, me)
    assert connected.code == 0, connected
    assert client.restore(server.name, me, snapshot) == written
    client.back_up(server.name, me)
