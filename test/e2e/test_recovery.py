"""What breaks a running server, or the controller, is mended by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from controller.conditions import conditions_of, is_true
from e2e.backup_client import login
from e2e.cluster import NAMESPACE, Cluster, names
from e2e.installation import REPLICAS
from e2e.server import events_of, is_ready, revision_of
from e2e.waiting import CLOCK, wait_for
from reconcilers import resources
from reconcilers.repositoryserver import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.resource import Object, Resource
    from e2e.backup_client import Client
    from e2e.installation import Controller
    from e2e.node import Node
    from e2e.server import Server

    RecordSeconds = Callable[[str, float], None]

# Time in which a thing that was changed by hand is as it was.
PROMPTLY = 15.0


def test_a_killed_kopia_is_noticed_and_served_again(
    server: Server, node: Node, client: Client, record_seconds: RecordSeconds
) -> None:
    ready = server.start()
    pod = server.pod()

    began = CLOCK.monotonic()
    node.kill(pod)
    wait_for("the end of Kopia to be noticed", server.history, lambda seen: len(seen) > 1)
    record_seconds("noticed after", CLOCK.monotonic() - began)
    server.wait_ready()
    record_seconds("Ready again after", CLOCK.monotonic() - began)

    assert server.history() == ["True", "False", "True"]
    assert server.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
    assert client.connect(server.name, login(ready, server.password_of())).code == 0


def test_a_deleted_pod_comes_back(
    server: Server, cluster: Cluster, client: Client, record_seconds: RecordSeconds
) -> None:
    ready = server.start()
    pod = server.pod()["metadata"]

    began = CLOCK.monotonic()
    cluster.client.delete(resources.PODS, NAMESPACE, pod["name"])
    wait_for("the lack of a pod to be noticed", server.history, lambda seen: len(seen) > 1)
    server.wait_ready()
    record_seconds("Ready again after", CLOCK.monotonic() - began)

    assert server.history() == ["True", "False", "True"]
    assert server.pod()["metadata"]["uid"] != pod["uid"]
    # kube-proxy may send a connection to the former pod for a second more, which serves on.
    assert client.connect(server.name, login(ready, server.password_of())).code == 0


@pytest.fixture
def no_controller(controller: Controller) -> Iterator[Callable[[], None]]:
    """Give a function that ends the controller for the rest of the test."""
    yield lambda: controller.scale(0)
    controller.scale(REPLICAS)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(False, id="nothing else is amiss"),
        pytest.param(True, id="an input is wrong"),
    ],
)
def test_without_a_controller_a_deleted_pod_comes_back_and_clients_connect(
    server: Server,
    cluster: Cluster,
    client: Client,
    no_controller: Callable[[], None],
    record_seconds: RecordSeconds,
    *,
    changes: bool,
) -> None:
    me = login(server.start(), server.password_of())
    pod = server.pod()["metadata"]
    if changes:
        server.set_values("password", {"repo-password": ""})
        server.wait("to refuse it", lambda obj: not is_ready(obj))
    no_controller()

    cluster.client.delete(resources.PODS, NAMESPACE, pod["name"])
    # It serves on while another one comes up.
    assert client.connect(server.name, me).code == 0
    (again,) = wait_for(
        "the former pod to be gone",
        lambda: cluster.owned(server.get()["metadata"]["uid"])["Pod"],
        lambda pods: len(pods) == 1,
    )
    began = CLOCK.monotonic()
    client.wait_until_accepted(server.name, me)
    record_seconds("a client connects after the former pod's end by", CLOCK.monotonic() - began)

    assert again["metadata"]["uid"] != pod["uid"]


def test_a_failed_change_leaves_the_former_server_whole(
    server: Server, cluster: Cluster, client: Client
) -> None:
    ready = server.start()
    me = login(ready, server.password_of())
    former = server.revision()
    wrong = cluster.confidential.password("wrong repository password")
    server.set_values("password", {"repo-password": wrong})
    server.wait("to fail", lambda obj: not is_ready(obj))

    deleted = server.pod()["metadata"]
    cluster.client.delete(resources.PODS, NAMESPACE, deleted["name"])
    # The status names the deleted pod until another one serves.
    replacement = wait_for(
        "another pod to serve",
        lambda: cluster.get(resources.PODS, server.get()["status"]["serverInfo"]["podName"]),
        lambda pod: pod is not None and pod["metadata"]["uid"] != deleted["uid"],
    )
    client.wait_until_accepted(server.name, me)
    assert replacement is not None
    assert revision_of(replacement) == former

    server.set_values("password", {"repo-password": server.repository_password})
    server.wait_ready()
    assert server.revision() == former
    # As in `test_a_deleted_pod_comes_back`.
    client.wait_until_accepted(server.name, me)


@frozen
class Tampering:
    """What somebody does to a child.

    Attributes:
        resource: Of the child.
        info: The field of `status.serverInfo` that names it.
        change: A merge patch.
    """

    resource: Resource
    info: str
    change: Object


@pytest.mark.parametrize(
    "tampering",
    [
        pytest.param(
            Tampering(
                resources.SERVICES, "serviceName", {"spec": {"selector": {"app": "another"}}}
            ),
            id="a Service that selects nothing",
        ),
        pytest.param(
            Tampering(resources.NETWORK_POLICIES, "networkPolicyName", {"spec": {"ingress": [{}]}}),
            id="a NetworkPolicy that lets everybody in",
        ),
    ],
)
def test_a_child_that_is_changed_or_deleted_by_hand_comes_back(
    server: Server, cluster: Cluster, client: Client, tampering: Tampering
) -> None:
    resource = tampering.resource
    ready = server.start()
    name = ready["status"]["serverInfo"][tampering.info]
    before = cluster.client.get(resource, NAMESPACE, name)

    cluster.client.merge_patch(resource, NAMESPACE, name, tampering.change)
    changed_back = wait_for(
        f"the {resource.kind} to be as it was",
        lambda: cluster.client.get(resource, NAMESPACE, name),
        lambda obj: obj["spec"] == before["spec"],
        seconds=PROMPTLY,
    )
    assert changed_back["metadata"]["uid"] == before["metadata"]["uid"]
    (restored,) = wait_for(
        "an event that tells of it", lambda: events_of(cluster.events(ready), "ChildRestored")
    )
    assert (
        restored["note"] == f"{resource.kind} {name} was not as it should be and has been restored"
    )

    cluster.client.delete(resource, NAMESPACE, name)
    wait_for(
        f"the {resource.kind} to be there again",
        lambda: cluster.get(resource, name),
        lambda obj: obj and without_address(obj["spec"]) == without_address(before["spec"]),
        seconds=PROMPTLY,
    )
    client.wait_until_accepted(server.name, login(ready, server.password_of()))


def without_address(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a specification without the address that the API server gave."""
    return {key: value for key, value in spec.items() if not key.startswith("clusterIP")}


@pytest.mark.parametrize(
    ("resource", "named", "sleeps"),
    [
        pytest.param(
            resources.SECRETS,
            "repo-server-{server}-users",
            False,
            id="killed when it has written the users",
        ),
        pytest.param(resources.SECRETS, "{server}-", False, id="killed before its ReplicaSet"),
        pytest.param(resources.REPLICA_SETS, "{server}-", False, id="killed after its ReplicaSet"),
        pytest.param(
            # It sleeps until the pod is Ready: awake it would be faster than who kills it.
            resources.PODS,
            "{server}-",
            True,
            id="killed before the Service routes",
        ),
    ],
)
def test_a_controller_killed_in_the_middle_of_a_reconcile_completes_it_when_it_is_back(
    server: Server,
    client: Client,
    node: Node,
    controller: Controller,
    *,
    resource: Resource,
    named: str,
    sleeps: bool,
) -> None:
    password = server.cluster.confidential.password
    users = {f"host{number}": password(f"password {number}") for number in range(3)}
    server.secrets["users"]["stringData"] = users
    server.make_volume()
    server.make_repository()
    with node.about_to_kill(controller.pod()) as kill:
        events = events_from_now(server.cluster, resource, named.format(server=server.name))
        server.create()
        made = next(obj for obj in events if "ownerReferences" in obj["metadata"])

        def until_ready() -> None:
            if sleeps:
                wait_for(
                    "the pod to be Ready",
                    lambda: server.cluster.get(resource, made["metadata"]["name"]),
                    lambda pod: pod and is_true(conditions_of(pod), "Ready"),
                )

        kill(until_ready)
    assert not is_ready(server.get()), "the controller was killed too late to prove anything"

    controller.replace()
    ready = server.wait_ready()

    for host, right in users.items():
        connected = client.connect(server.name, login(ready, right, host=host))
        assert connected.code == 0, connected
    assert_only_children(server, ready)


def events_from_now(cluster: Cluster, resource: Resource, prefix: str) -> Iterator[Object]:
    """Return the objects whose names begin so as they come and change, from this call on."""
    version = cluster.client.list(resource, NAMESPACE, limit=1)["metadata"]["resourceVersion"]
    stream = cluster.client.watch(
        resource, NAMESPACE, resource_version=version, timeout_seconds=60, read_timeout=60
    )

    def objects() -> Iterator[Object]:
        with stream:
            for event in stream:
                if event["type"] != "BOOKMARK" and event["object"]["metadata"]["name"].startswith(
                    prefix
                ):
                    yield event["object"]

    return objects()


def assert_only_children(server: Server, ready: Object) -> None:
    """Assert that what the status names is all that there is, beside the users."""
    info = ready["status"]["serverInfo"]
    revision = server.revision()
    expected = {
        "ReplicaSet": [revision],
        "Pod": [info["podName"]],
        "Service": [info["serviceName"]],
        "NetworkPolicy": [info["networkPolicyName"]],
        "Secret": sorted([revision, f"{info['serviceName']}-users"]),
        "CronJob": [],
    }
    wait_for(
        "leftovers to be gone",
        lambda: {
            kind: names(objects)
            for kind, objects in server.cluster.owned(ready["metadata"]["uid"]).items()
        },
        lambda found: found == expected,
    )


def test_a_deleted_resource_takes_its_children_with_it_and_leaves_the_repository(
    server: Server, node: Node, cluster: Cluster, client: Client
) -> None:
    ready = server.start()
    me = login(ready, server.password_of())
    assert client.connect(server.name, me).code == 0
    written = client.write_files(server.name)
    snapshot = client.back_up(server.name, me)
    before = node.checksums(server.name)
    assert before

    cluster.delete(api.REPOSITORY_SERVERS, server.name)
    wait_for(
        "the children to be gone",
        lambda: cluster.owned(ready["metadata"]["uid"]),
        lambda found: not any(found.values()),
    )

    after = node.checksums(server.name)
    assert after.items() >= before.items()
    # At its end Kopia writes its log into the repository, as its client does.
    added = after.keys() - before.keys()
    assert all("/_/log/" in name for name in added), added
    # The user's Secrets are the user's.
    server.cluster.kubectl.create([server.resource])
    again = login(server.wait_ready(), server.password_of())
    assert client.connect(server.name, again).code == 0
    assert client.restore(server.name, again, snapshot) == written
