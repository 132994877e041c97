"""What was written for the removed controller, or after Kanister's design document, works."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from e2e.backup_client import Login, login
from e2e.cluster import NAMESPACE, names
from e2e.installation import REPLICAS
from e2e.removed import (
    FORMER_POD,
    FORMER_SERVICE,
    FORMER_STATUS,
    LONG_AGO,
    ROOT,
    leave_behind,
    write_former_status,
)
from e2e.server import PREFIX, ROOT_PATH, USER, condition, events_of, is_ready
from e2e.waiting import CLOCK, wait_for
from reconcilers import resources
from reconcilers.repositoryserver.children.names import ANNOTATION_DRAIN_UNTIL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.installation import Controller
    from e2e.server import Server

# What `spec.server.drainSeconds` is where it is left out.
DEFAULT_DRAIN_SECONDS = 300


@pytest.fixture
def former(server: Server) -> Server:
    """Give a server as users of the removed controller have it, beside what that left behind.

    The files are root's, as which that controller ran. The location has a credential, although a
    file store needs none: it was read in any case. The types of Secrets were not looked at.
    """
    server.secrets["credential"] = server.secret("credential", "secrets.kanister.io/filestore", {})
    server.secrets["users"]["type"] = "Opaque"
    spec = server.resource["spec"]
    spec["storage"]["credentialSecretRef"] = server.reference("credential")
    spec["repository"] |= {
        # Written with a slash at both ends, as in the documentation.
        "rootPath": "/repository/",
        "username": "kopia-user",
        "hostname": "localhost",
        "cacheSizeSettings": {"metadata": 500, "content": 100},
        "configuration": {
            "cacheDirectory": "/tmp/kopia-cache",  # noqa: S108 - in a pod that is no more
            "logDirectory": "/tmp/kopia-log",  # noqa: S108 - as above
            "configFilePath": "/tmp/kopia-repository.config",  # noqa: S108 - as above
        },
    }
    spec["server"]["runAsUser"] = ROOT
    # It made no network policy.
    del spec["server"]["networkPolicy"]
    return server


@pytest.fixture
def no_controller(controller: Controller) -> Iterator[Controller]:
    """Give the controller, which does not run until the test scales it up."""
    controller.scale(0)
    yield controller
    controller.scale(REPLICAS)


def test_a_server_of_the_removed_controller_is_taken_over_unchanged(
    former: Server, no_controller: Controller, cluster: Cluster, client: Client
) -> None:
    former.make_volume()
    former.make_repository(owner=ROOT)
    former.create()
    left = leave_behind(former)

    began = CLOCK.now()
    no_controller.scale(REPLICAS)
    taken_over = former.wait(
        "to be taken over",
        lambda obj: is_ready(obj) and obj["status"]["serverInfo"]["podName"] != FORMER_POD,
    )

    assert taken_over["spec"] == left["spec"]
    for step in FORMER_STATUS["conditions"]:
        found = condition(taken_over, step["type"])
        assert found is not None
        assert (found["status"], found["reason"]) == ("True", step["reason"])
    # Its clients may be at work: the pod stays, as does the Service that they found it by.
    pod = cluster.client.get(resources.PODS, NAMESPACE, FORMER_POD)
    until = pod["metadata"]["annotations"][ANNOTATION_DRAIN_UNTIL]
    assert datetime.fromisoformat(until) - began > timedelta(seconds=DEFAULT_DRAIN_SECONDS - 1)
    assert cluster.get(resources.SERVICES, FORMER_SERVICE) is not None
    let_drain_end(pod, cluster)
    wait_for(
        "what the removed controller left to be gone",
        lambda: {
            kind: names(objects)
            for kind, objects in cluster.owned(taken_over["metadata"]["uid"]).items()
            if kind in ("Pod", "Service")
        },
        lambda found: (
            found
            == {
                "Pod": [taken_over["status"]["serverInfo"]["podName"]],
                "Service": [taken_over["status"]["serverInfo"]["serviceName"]],
            }
        ),
    )
    # The removed controller made no network policy: its users' clients must be let in now.
    former.patch({"spec": {"server": {"networkPolicy": {"from": [{"namespaceSelector": {}}]}}}})
    reopened = former.wait_ready()
    client.wait_until_accepted(former.name, login(reopened, former.password_of()))


def let_drain_end(pod: Object, cluster: Cluster) -> None:
    """Let the time be over that a pod is left to its clients."""
    change = {"metadata": {"annotations": {ANNOTATION_DRAIN_UNTIL: LONG_AGO}}}
    cluster.client.merge_patch(resources.PODS, NAMESPACE, pod["metadata"]["name"], change)


def test_an_entry_that_the_removed_controller_made_opens_the_door_no_longer(
    server: Server, no_controller: Controller, client: Client, cluster: Cluster
) -> None:
    """It wrote users into the repository, where a password goes on working when it is changed."""
    former = server.cluster.confidential.password("password of before")
    server.make_volume()
    server.make_repository()
    path = f"{PREFIX}/{ROOT_PATH}"
    server.node.register_user(
        server.name, path, server.repository_password, user=USER, user_password=former
    )

    server.create()
    write_former_status(server)
    no_controller.scale(REPLICAS)
    # The Ready of this controller: that one wrote none.
    ready = server.wait_ready()
    wait_for(
        "the entry to be removed", lambda: events_of(cluster.events(ready), "LegacyUsersPurged")
    )

    refused = client.connect(server.name, login(ready, former))
    assert refused.code != 0
    assert "access denied" in refused.complaint
    assert client.connect(server.name, login(ready, server.password_of())).code == 0
    assert server.users_in_repository() == []
    server.wait("to count them", lambda seen: seen["status"].get("repositoryUsers") == 0)


def test_the_spelling_of_the_design_document_works(server: Server, client: Client) -> None:
    password = server.password_of()
    server.secrets["location"]["stringData"] = {
        "type": "file-store",
        "path": PREFIX,
        "claimName": server.name,
    }
    server.secrets["users"]["stringData"] = {"alice_at_host.example": password}
    access = server.resource["spec"]["server"]
    access["userAccessSecretRef"] = access.pop("userAccess")["userAccessSecretRef"]

    ready = server.start()

    info = login(ready, password)
    alice = Login(info.url, info.fingerprint, password, username="alice", host="host.example")
    connected = client.connect(server.name, alice)
    assert connected.code == 0, connected
