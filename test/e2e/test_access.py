"""Who may connect follows the access Secret, and the certificate its own, without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e import certificates
from e2e.backup_client import login
from e2e.cluster import NAMESPACE
from e2e.server import events_of
from e2e.waiting import CLOCK, wait_for
from fakes.objects import KeyPair
from reconcilers.repositoryserver import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.server import Server

OTHER = "other"


def identity(pod: Object) -> tuple[str, int]:
    """Return what changes when a pod or its container is started anew."""
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def test_a_changed_access_secret_is_in_force_without_a_restart(
    server: Server,
    client: Client,
    cluster: Cluster,
    record_seconds: Callable[[str, float], None],
) -> None:
    removed = cluster.confidential.password("removed user's password")
    server.secrets["users"]["stringData"][OTHER] = removed
    ready = server.start()
    running = identity(server.pod())
    former = login(ready, server.password_of())
    gone = login(ready, removed, host=OTHER)
    for who in (former, gone):
        assert client.connect(server.name, who).code == 0

    password = cluster.confidential.password("changed password")
    began = CLOCK.monotonic()
    server.set_values("users", {"client": password, OTHER: None})
    wait_for(
        "the new password to be accepted",
        lambda: client.connect(server.name, login(ready, password)),
        lambda ran: ran.code == 0,
        seconds=30,
    )
    record_seconds("new password accepted after", CLOCK.monotonic() - began)

    for who in (former, gone):
        refused = client.connect(server.name, who)
        assert refused.code != 0
        assert "access denied" in refused.complaint
    assert server.users() == ["backup@client"]
    assert server.get()["status"]["registeredUsers"] == ["backup@client"]
    assert identity(server.pod()) == running
    assert server.history() == ["False", "True"]
    changed = events_of(cluster.events(ready), "UsersChanged")[-1]
    assert changed["note"] == "changed backup@client; removed backup@other"


def test_users_whom_somebody_else_registered_are_left_alone(server: Server) -> None:
    server.start()
    pod = server.pod()["metadata"]["name"]
    password = server.cluster.confidential.password("somebody else's password")
    hashed = server.cluster.kubectl.shell(
        NAMESPACE,
        pod,
        f"/bin/kopia --no-auto-maintenance server user add somebody@else"
        f" --user-password='{password}'",
    )
    assert hashed.code == 0, hashed

    server.set_values("users", {OTHER: server.cluster.confidential.password("another password")})

    users = ["backup@client", "backup@other", "somebody@else"]
    wait_for("the other user to be registered", server.users, lambda found: found == users)
    server.set_values("users", {OTHER: None})
    wait_for(
        "the other user to be gone",
        server.users,
        lambda found: found == ["backup@client", "somebody@else"],
    )


def test_the_fingerprint_in_the_status_moves_with_the_service(
    server: Server, client: Client, cluster: Cluster
) -> None:
    before = server.start()
    old = login(before, server.password_of())
    assert client.connect(server.name, old).code == 0

    values = server.certificate()
    new = certificates.fingerprint(KeyPair(values["tls.crt"], values["tls.key"]))
    server.set_values("tls", {**values})
    after = server.wait(
        "to show the new fingerprint",
        lambda obj: obj["status"]["serverInfo"]["tlsFingerprint"] == new,
    )

    info = after["status"]["serverInfo"]
    service = cluster.client.get(resources.SERVICES, NAMESPACE, info["serviceName"])
    pod = cluster.client.get(resources.PODS, NAMESPACE, info["podName"])
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert info["serviceName"] == before["status"]["serverInfo"]["serviceName"]
    assert info["podName"] != before["status"]["serverInfo"]["podName"]
    connected = client.connect(server.name, login(after, server.password_of()))
    assert connected.code == 0, connected
    assert client.connect(server.name, old).code != 0
    # One server or the other was Ready all the time.
    assert server.history() == ["False", "True"]
    owned = wait_for(
        "the former pod and its Secret to be gone",
        lambda: cluster.owned(after["metadata"]["uid"]),
        lambda found: len(found["Pod"]) == len(found["Secret"]) == 1,
    )
    assert owned["Pod"][0]["metadata"]["name"] == info["podName"]


def test_the_leaf_of_a_chain_is_the_certificate_that_counts(server: Server, client: Client) -> None:
    authority = certificates.make("authority")
    leaf = certificates.make(server.name, issuer=authority)
    server.cluster.confidential.remember_key("private key", leaf.key)
    server.secrets["tls"]["stringData"] = {
        "tls.crt": leaf.certificate + authority.certificate,
        "tls.key": leaf.key,
    }

    ready = server.start()

    assert ready["status"]["serverInfo"]["tlsFingerprint"] == certificates.fingerprint(leaf)
    assert client.connect(server.name, login(ready, server.password_of())).code == 0
