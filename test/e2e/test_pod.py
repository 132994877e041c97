"""The server's pod is as the resource says: what it gets, where it runs, and what else is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e2e.backup_client import login
from e2e.cluster import NAMESPACE
from e2e.server import condition
from e2e.waiting import wait_for
from reconcilers.repositoryserver.children import names

if TYPE_CHECKING:
    from controller.resource import Object
    from e2e.backup_client import Client
    from e2e.cluster import Cluster
    from e2e.server import Server

SIDECAR = "beside"


def of_pod(**settings: Any) -> Object:
    """Return the change of a resource that sets fields of `spec.server`."""
    return {"spec": {"server": settings}}


def labels(server: Server) -> dict[str, str]:
    found: dict[str, str] = server.pod()["metadata"]["labels"]
    return found


def test_a_label_comes_to_a_running_pod_and_goes_again(server: Server) -> None:
    ready = server.start()
    before = server.pod()

    server.patch(of_pod(podLabels={"team": "a"}, podAnnotations={"example.com/note": "b"}))
    wait_for("the label", lambda: labels(server), lambda found: found.get("team") == "a")
    assert server.pod()["metadata"]["annotations"]["example.com/note"] == "b"
    server.patch(of_pod(podLabels={"team": None}))
    wait_for("the label to go", lambda: labels(server), lambda found: "team" not in found)

    after = server.pod()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"] == before["metadata"]["labels"]
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    assert condition(server.wait_ready(), "Ready") == {
        **(condition(ready, "Ready") or {}),
        "observedGeneration": server.get()["metadata"]["generation"],
    }


def test_resources_placement_and_an_override_are_the_pods(
    server: Server, client: Client, cluster: Cluster
) -> None:
    node = cluster.kubectl.run("get", "nodes", "--output=jsonpath={.items[0].metadata.name}")
    server.resource["spec"]["server"].update(
        drainSeconds=0,
        resources={"requests": {"memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        nodeSelector={"kubernetes.io/hostname": node},
        tolerations=[{"key": "backup", "operator": "Exists"}],
        podOverride={
            "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["store"]}],
            "containers": [
                {
                    "name": SIDECAR,
                    "image": cluster.server_image,
                    "command": ["/bin/sh", "-c", "while true; do sleep 3600; done"],
                }
            ],
            "terminationGracePeriodSeconds": 5,
        },
    )
    ready = server.start()
    pod = server.pod()

    own = next(one for one in pod["spec"]["containers"] if one["name"] == names.CONTAINER)
    assert own["resources"]["requests"] == {"cpu": "50m", "memory": "64Mi"}
    assert {"name": "GOMEMLIMIT", "value": str(512 * 1024 * 1024 * 9 // 10)} in own["env"]
    assert pod["spec"]["tolerations"][0] == {"key": "backup", "operator": "Exists"}
    statuses = {status["name"]: status for status in pod["status"]["containerStatuses"]}
    assert statuses.keys() == {names.CONTAINER, SIDECAR}
    assert all(status["ready"] for status in statuses.values())
    hosts = cluster.kubectl.shell(NAMESPACE, pod["metadata"]["name"], "cat /etc/hosts")
    assert "store" in hosts.output
    client.wait_until_accepted(server.name, login(ready, server.password_of()))

    server.patch(of_pod(podOverride={"hostAliases": None}))
    moved = server.wait(
        "to have another pod",
        lambda obj: obj["status"]["serverInfo"]["podName"] != pod["metadata"]["name"],
    )
    assert "hostAliases" not in server.pod()["spec"]
    client.wait_until_accepted(server.name, login(moved, server.password_of()))


def test_an_override_that_the_api_server_refuses_is_told(server: Server) -> None:
    server.start()
    pod = server.pod()

    server.patch(of_pod(podOverride={"restartPolice": "Always"}))
    failed = server.wait("to be Stalled", lambda obj: condition(obj, "Stalled") is not None)

    ready = condition(failed, "Ready")
    assert ready is not None
    assert ready["reason"] == "PodRefused"
    assert ".spec.restartPolice: field not declared in schema" in ready["message"]
    assert failed["status"]["serverInfo"]["podName"] == pod["metadata"]["name"]
    assert failed["status"]["progress"] == "Ready"
    server.patch(of_pod(podOverride=None))
    server.wait_ready()
    assert server.pod()["metadata"]["uid"] == pod["metadata"]["uid"]
