"""Who may connect follows the access Secret, and the certificate its own, without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2e import certificates
from e2e.backup_client import PROMPTLY_SECONDS, login
from e2e.cluster import NAMESPACE
from e2e.documented import as_typed, commands_of
from e2e.server import HOST, condition, events_of
from e2e.waiting import CLOCK, wait_for
from fakes.objects import KeyPair
from reconcilers import resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.resource import Object
    from e2e.backup_client import Client, Login
    from e2e.cluster import Cluster
    from e2e.server import Server

OTHER = "other"
PAGE = "docs/security.md"

MANY = 300

DRAIN_SECONDS = 5


def identity(pod: Object) -> tuple[str, int]:
    """Return what changes when a pod or its container is started anew."""
    return pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]


def assert_refused(client: Client, server: Server, who: Login) -> None:
    refused = client.connect(server.name, who)
    assert refused.code != 0
    assert "access denied" in refused.complaint


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
    client.wait_until_accepted(server.name, login(ready, password))
    record_seconds("new password accepted after", CLOCK.monotonic() - began)

    for who in (former, gone):
        assert_refused(client, server, who)
    assert identity(server.pod()) == running
    assert server.history() == ["True"]
    wait_for(
        "the event",
        lambda: [event["note"] for event in events_of(cluster.events(ready), "UsersChanged")],
        lambda notes: notes[-1:] == ["changed backup@client; removed backup@other"],
    )


def test_users_of_further_secrets_come_and_go_like_the_others(
    server: Server, client: Client, cluster: Cluster
) -> None:
    password = cluster.confidential.password
    further = {HOST: password("further user's password"), OTHER: password("another's password")}
    server.secrets["further"] = server.secret(
        "further", "secrets.kanister.io/kopia-repository/serveruser", {HOST: further[HOST]}
    )
    server.resource["spec"]["server"]["additionalUserAccess"] = [
        {"username": "further", "userAccessSecretRef": server.reference("further")}
    ]
    ready = server.start()
    running = identity(server.pod())
    first = login(ready, server.password_of())
    second = login(ready, further[HOST], username="further")
    third = login(ready, further[OTHER], username="further", host=OTHER)

    for who in (first, second):
        assert client.connect(server.name, who).code == 0
    assert_refused(client, server, third)
    server.set_values("further", {OTHER: further[OTHER]})
    client.wait_until_accepted(server.name, third)
    written = client.write_files(server.name)
    assert client.restore(server.name, third, client.back_up(server.name, third)) == written

    server.patch({"spec": {"server": {"additionalUserAccess": None}}})
    wait_for(
        "the further users to be refused",
        lambda: client.connect(server.name, second),
        lambda ran: ran.code != 0 and "access denied" in ran.complaint,
        seconds=PROMPTLY_SECONDS,
    )
    assert_refused(client, server, third)
    assert client.connect(server.name, first).code == 0
    assert identity(server.pod()) == running


def test_a_user_deletes_no_backup_once_the_repository_has_rules_for_it(
    server: Server, client: Client
) -> None:
    who = login(server.start(), server.password_of())
    assert client.connect(server.name, who).code == 0
    client.write_files(server.name)
    kept = client.back_up(server.name, who)

    words = {"-n kanister": f"-n {NAMESPACE}", "NAME": server.name}
    for command in commands_of(PAGE):
        ran = server.cluster.kubectl.attempt(*as_typed(command, words))
        assert ran.code == 0, f"{command}: {ran}"
        for rule in ran.output.splitlines():
            if "target:type=snapshot" in rule:
                words["RULE"] = rule.split()[0].removeprefix("id:")
    former = server.revision()
    server.patch({"spec": {"server": {"restart": "with rules"}}})
    server.wait("another revision", lambda _obj: server.revision() != former)
    server.wait_ready()

    refused = client.attempt_to_delete(server.name, who, kept)
    assert refused.code != 0
    assert "access denied" in refused.complaint
    written = client.write_files(server.name)
    assert client.restore(server.name, who, client.back_up(server.name, who)) == written
    assert kept in client.snapshots(server.name, who)


def test_hundreds_of_users_in_one_secret(
    server: Server,
    client: Client,
    cluster: Cluster,
    record_seconds: Callable[[str, float], None],
) -> None:
    def passwords(what: str) -> dict[str, str]:
        # One of them is looked for in the end. To look for them all takes minutes.
        common = cluster.confidential.password(f"common part of {what}")
        return {f"host{number}": f"{common}{number}" for number in range(MANY)}

    values = passwords("the first passwords")
    server.secrets["users"]["stringData"] = {**values}
    began = CLOCK.monotonic()
    ready = server.start()
    record_seconds(f"Ready with {MANY} users after", CLOCK.monotonic() - began)
    running = identity(server.pod())
    for host in ("host0", f"host{MANY - 1}"):
        connected = client.connect(server.name, login(ready, values[host], host=host))
        assert connected.code == 0, connected

    changed = passwords("the changed passwords")
    began = CLOCK.monotonic()
    server.set_values("users", {**changed})
    last = f"host{MANY - 1}"
    client.wait_until_accepted(server.name, login(ready, changed[last], host=last))
    record_seconds(f"{MANY} changed passwords accepted after", CLOCK.monotonic() - began)

    assert client.connect(server.name, login(ready, changed["host0"], host="host0")).code == 0
    assert_refused(client, server, login(ready, values["host0"], host="host0"))
    assert identity(server.pod()) == running


def test_users_whom_somebody_else_registered_are_left_alone(
    server: Server, client: Client, cluster: Cluster
) -> None:
    ready = server.start()
    password = cluster.confidential.password
    somebody = login(ready, password("somebody's"), username="somebody", host="else")
    other = login(ready, password("other user's password"), host=OTHER)
    server.add_user_to_repository("somebody@else", somebody.password)
    assert client.connect(server.name, somebody).code == 0

    server.set_values("users", {OTHER: other.password})
    client.wait_until_accepted(server.name, other)
    assert client.connect(server.name, somebody).code == 0
    server.set_values("users", {OTHER: None})
    wait_for(
        "the other user to be refused",
        lambda: client.connect(server.name, other),
        lambda ran: ran.code != 0,
        seconds=PROMPTLY_SECONDS,
    )
    # The repository has been searched when the status says how many users it has.
    told = server.wait(
        "to count the repository's users", lambda seen: "repositoryUsers" in seen["status"]
    )

    assert client.connect(server.name, somebody).code == 0
    assert server.users_in_repository() == ["somebody@else"]
    assert events_of(cluster.events(ready), "LegacyUsersPurged") == []
    assert told["status"]["repositoryUsers"] == 1
    # The search has brought the version as well, in the same write.
    assert told["status"]["serverInfo"]["kopiaVersion"] == server.kopia("--version").split()[0]
    warned = condition(told, "UsersInRepository")
    assert warned is not None
    assert "somebody@else" in warned["message"]


def test_an_access_secret_without_keys_leaves_the_users_of_the_repository(
    server: Server, client: Client, cluster: Cluster
) -> None:
    """The tutorial of the removed controller makes one, with `kubectl create secret`."""
    server.secrets["users"]["stringData"] = {}
    ready = server.start()
    password = cluster.confidential.password("password in the repository")
    server.add_user_to_repository("somebody@else", password)

    somebody = login(ready, password, username="somebody", host="else")
    assert client.connect(server.name, somebody).code == 0
    warned = condition(server.get(), "AccessSecretEmpty")
    assert warned is not None
    assert warned["status"] == "True"


def test_the_fingerprint_in_the_status_moves_with_the_service(
    server: Server, client: Client, cluster: Cluster
) -> None:
    server.resource["spec"]["server"]["drainSeconds"] = DRAIN_SECONDS
    before = server.start()
    old = login(before, server.password_of())
    assert client.connect(server.name, old).code == 0

    values = server.certificate()
    former = server.revision()
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
    assert told_after(server, service, pod), "the status was ahead of the Service"
    client.wait_until_accepted(server.name, login(after, server.password_of()))
    assert client.connect(server.name, old).code != 0
    # One server or the other was Ready all the time.
    assert server.history() == ["True"]
    wait_for(
        "the former ReplicaSet and its Secret to be gone",
        lambda: [cluster.get(kind, former) for kind in (resources.REPLICA_SETS, resources.SECRETS)],
        lambda found: not any(found),
    )


def told_after(server: Server, service: Object, pod: Object) -> bool:
    """Return whether the status told of a pod after the Service had moved to it.

    A resourceVersion is a revision of the one store that all objects are in.
    """
    moved = next(
        version
        for version in server.witness.versions(service)
        if version["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    )
    told = next(
        version
        for version in server.witness.versions(server.get())
        if version.get("status", {}).get("serverInfo", {}).get("podName") == pod["metadata"]["name"]
    )
    return int(moved["metadata"]["resourceVersion"]) < int(told["metadata"]["resourceVersion"])


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
